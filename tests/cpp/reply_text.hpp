// Replies made from short notes, for tests that need many.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "wire/reply.hpp"

namespace redislock::wire {

inline reply make_reply(reply::kind type, std::string text) {
    reply made;
    made.type = type;
    made.text = std::move(text);
    return made;
}

inline reply bulk(std::string text) { return make_reply(reply::kind::text, std::move(text)); }
inline reply simple(std::string text = "OK") { return make_reply(reply::kind::status, std::move(text)); }
inline reply refusal_of(std::string text) { return make_reply(reply::kind::failure, std::move(text)); }
inline reply nil() { return {}; }

inline reply number(std::int64_t value) {
    reply made;
    made.type = reply::kind::integer;
    made.integer = value;
    return made;
}

inline reply list(std::vector<reply> items) {
    reply made;
    made.type = reply::kind::array;
    made.items = std::move(items);
    return made;
}

/// A reply as one line: `[+OK :3 "x" nil -ERR no >["push"]]`.
inline std::string to_text(const reply& said) {
    switch (said.type) {
        case reply::kind::nil: return "nil";
        case reply::kind::integer: return ":" + std::to_string(said.integer);
        case reply::kind::text: return "\"" + said.text + "\"";
        case reply::kind::status: return "+" + said.text;
        case reply::kind::failure: return "-" + said.text;
        case reply::kind::array:
        case reply::kind::push: break;
    }
    std::string text = said.type == reply::kind::push ? ">[" : "[";
    const char* separator = "";
    for (const auto& each : said.items) {
        text += separator + to_text(each);
        separator = " ";
    }
    return text + "]";
}

}  // namespace redislock::wire
