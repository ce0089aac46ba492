// Replies in the server's own words. Each function fills a fresh reply.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/reply.hpp"

namespace redislock::memory {

inline constexpr std::string_view wrong_type =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";
inline constexpr std::string_view syntax_error = "ERR syntax error";

inline void answer_status(wire::reply& out, std::string_view word) {
    out.type = wire::reply::kind::status;
    out.text = word;
}

inline void answer_ok(wire::reply& out) { answer_status(out, "OK"); }

inline void answer_integer(wire::reply& out, std::int64_t value) {
    out.type = wire::reply::kind::integer;
    out.integer = value;
}

inline void answer_text(wire::reply& out, std::string_view text) {
    out.type = wire::reply::kind::text;
    out.text = text;
}

/// The text begins with the error's code: "ERR ...", "WRONGTYPE ...".
inline void answer_failure(wire::reply& out, std::string_view text) {
    out.type = wire::reply::kind::failure;
    out.text = text;
}

/// An array; the elements are then filled in place.
inline std::vector<wire::reply>& answer_array(wire::reply& out, std::size_t size = 0) {
    out.type = wire::reply::kind::array;
    out.items.resize(size);
    return out.items;
}

}  // namespace redislock::memory
