// One reply of a server as a plain value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace redislock::wire {

struct reply {
    enum class kind : std::uint8_t {
        nil,
        integer,  ///< also a RESP3 boolean: 0 or 1
        text,     ///< bulk strings, and RESP3 doubles, big numbers and verbatim strings as written
        status,   ///< "+OK"
        failure,  ///< "-ERR ..."
        array,    ///< also RESP3 sets, and maps as key, value, key, value
        push,     ///< out of band, RESP3 attributes included
    };

    reply::kind type = kind::nil;
    std::int64_t integer = 0;
    std::string text;
    std::vector<reply> items;

    bool is_nil() const noexcept { return type == kind::nil; }
    bool is_failure() const noexcept { return type == kind::failure; }
    bool is_text() const noexcept { return type == kind::text || type == kind::status; }
    /// Whether this is an error whose first word is `code` ("NOSCRIPT").
    bool failed_with(std::string_view code) const noexcept {
        return is_failure() && text.starts_with(code) &&
               (text.size() == code.size() || text[code.size()] == ' ' || text[code.size()] == ':');
    }
};

}  // namespace redislock::wire
