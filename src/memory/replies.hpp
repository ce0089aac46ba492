// Replies in the server's own words, as values.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <cstdint>
#include <string_view>

#include "wire/reply.hpp"

namespace redislock::memory {

inline constexpr std::string_view wrong_type =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";
inline constexpr std::string_view syntax_error = "ERR syntax error";

inline wire::reply make_nil() { return {}; }

inline wire::reply make_reply(wire::reply::kind type, std::string_view words) {
    wire::reply made;
    made.type = type;
    made.text = words;
    return made;
}

inline wire::reply make_text(std::string_view text) { return make_reply(wire::reply::kind::text, text); }
inline wire::reply make_status(std::string_view word) { return make_reply(wire::reply::kind::status, word); }
inline wire::reply make_ok() { return make_status("OK"); }
/// The words begin with the error's code: "ERR ...", "WRONGTYPE ...".
inline wire::reply make_failure(std::string_view words) {
    return make_reply(wire::reply::kind::failure, words);
}

inline wire::reply make_integer(std::int64_t value) {
    wire::reply made;
    made.type = wire::reply::kind::integer;
    made.integer = value;
    return made;
}

/// To be filled by the caller.
inline wire::reply make_array(std::size_t size = 0) {
    wire::reply made;
    made.type = wire::reply::kind::array;
    made.items.reserve(size);
    return made;
}

}  // namespace redislock::memory
