// Turns bytes from a server into replies, within limits: hiredis's parser with object functions
// that build our own values, so that no tree is made twice.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "types/result.hpp"
#include "wire/reply.hpp"

struct redisReader;

namespace redislock::wire {

/// What a reply may cost at most. Beyond it the connection is given up with errc::protocol.
struct reply_limits {
    int depth = 16;
    long long elements = 1 << 20;                ///< of one reply, all levels together
    std::size_t bytes = std::size_t{64} << 20U;  ///< of one reply
};

/// Builds replies for a hiredis reader that it does not own. Not movable: hiredis keeps its address.
class reply_builder {
public:
    explicit reply_builder(reply_limits limits = {}) noexcept : limits_(limits) {}
    reply_builder(const reply_builder&) = delete;
    reply_builder& operator=(const reply_builder&) = delete;

    /// Puts the object functions and limits into `reader`.
    void attach(redisReader& reader) noexcept;

    /// The next whole reply, nullopt when more bytes are needed, or errc::protocol.
    result<std::optional<reply>> next(redisReader& reader);

private:
    friend struct builder_functions;

    reply_limits limits_;
    reply root_;
    long long elements_ = 0;
    std::size_t bytes_ = 0;
    bool too_deep_ = false;
};

}  // namespace redislock::wire
