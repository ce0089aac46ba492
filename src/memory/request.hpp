// Requests as they would arrive at a server, cut into arguments without copying a byte.
// https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace redislock::memory {

/// The arguments of one command, its name first. They point into the bytes that were read.
using word_list = std::vector<std::string_view>;

class request_reader {
public:
    enum class outcome : std::uint8_t { command, end, malformed };

    explicit request_reader(std::string_view bytes) noexcept : rest_(bytes) {}

    /// Replaces `into` by the next command's arguments.
    outcome next(word_list& into);
    /// The bytes of the command that was read last.
    std::string_view raw() const noexcept { return raw_; }

private:
    bool take_length(char kind, std::size_t& length) noexcept;
    bool take_text(std::string_view& text) noexcept;

    std::string_view rest_;
    std::string_view raw_;
};

}  // namespace redislock::memory
