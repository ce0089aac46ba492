// Writes commands in the form that a server reads: arrays of bulk strings.
// https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "types/amount.hpp"

namespace redislock::wire {

/// Bytes of one or more commands, and how many replies they will bring.
class commands {
public:
    /// Appends one command. Arguments are text or integers.
    template <class... Arguments>
    commands& add(const Arguments&... arguments) {
        begin(sizeof...(Arguments));
        (argument(arguments), ...);
        return *this;
    }

    /// For commands whose number of arguments is known only at run time: `begin(n)`, then n arguments.
    void begin(std::size_t arguments) {
        header('*', arguments);
        ++count_;
    }
    void argument(std::string_view text) {
        header('$', text.size());
        bytes_.append(text).append("\r\n");
    }
    template <std::integral Integer>
    void argument(Integer value) {
        argument(digits(static_cast<std::int64_t>(value)).view());
    }

    /// Takes over the commands of another buffer, behind the own ones.
    void append(const commands& other) {
        bytes_.append(other.bytes_);
        count_ += other.count_;
    }
    void clear() noexcept {
        bytes_.clear();
        count_ = 0;
    }

    const std::string& bytes() const noexcept { return bytes_; }
    std::string& bytes() noexcept { return bytes_; }
    std::uint32_t count() const noexcept { return count_; }

private:
    void header(char kind, std::size_t value) {
        char text[24];
        text[0] = kind;
        char* end = std::to_chars(text + 1, text + sizeof text - 2, value).ptr;
        *end++ = '\r';
        *end++ = '\n';
        bytes_.append(text, end);
    }

    std::string bytes_;
    std::uint32_t count_ = 0;
};

}  // namespace redislock::wire
