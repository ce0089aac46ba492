// A mutex that nobody else wants, taken and given back at once, without an operation: where its server
// is in this process, an operation costs many times what is done. Whatever is not that simple is left to
// `acquire` and `release`. Knows no such server; it is given one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "locks/acquire.hpp"
#include "locks/hold.hpp"
#include "locks/keeper.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

/// The common cases of acquire.lua and release.lua, to the letter. Where it is not certain to be one of
/// them, nothing is changed. Thread-safe; never waits.
class local_server {
public:
    virtual ~local_server() = default;
    struct taken {
        std::int64_t fence;
        nanos at;  ///< on the monotonic clock: its lease began then
    };
    /// Takes what is free and has no line.
    virtual std::optional<taken> take(const lock_keys& which, std::string_view token, nanos lease) = 0;
    /// Gives back what is held by that token and has no line.
    virtual bool give_back(const lock_keys& which, std::string_view token) = 0;
};

/// Null where it has to be taken by `acquire`.
std::shared_ptr<hold> take_at_once(local_server& at, access& keepers,
                                   const std::shared_ptr<const target>& what, const terms& rules,
                                   std::string token);

/// False where it has to be given back by `release`.
bool give_back_at_once(local_server& at, access& keepers, hold& which);

}  // namespace redislock::locks
