// What tests of memory:// share: a server on a clock that they move, and clients whose replies read
// like text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "memory/server.hpp"
#include "wire/command.hpp"

namespace redislock::memory {

inline nanos fake_monotonic = 0;
inline nanos fake_wall = 0;

/// 2025-01-01, with milliseconds and microseconds that differ from zero.
inline constexpr nanos new_year = 1'735'689'600'012'345'000;

inline void reset_time() noexcept {
    fake_monotonic = 1'000 * second;
    fake_wall = new_year;
}

inline void advance(nanos by) noexcept {
    fake_monotonic += by;
    fake_wall += by;
}

inline constexpr clocks fake_clocks{[]() noexcept { return fake_monotonic; },
                                    []() noexcept { return fake_wall; }};

/// `OK`, `'text'`, `7`, `nil`, `-ERR ...`, `['a', 1]`.
inline std::string show(const wire::reply& said) {
    using kind = wire::reply::kind;
    switch (said.type) {
        case kind::nil: return "nil";
        case kind::integer: return std::to_string(said.integer);
        case kind::status: return said.text;
        case kind::failure: return "-" + said.text;
        case kind::push:
        case kind::array: break;
        case kind::text: return "'" + said.text + "'";
    }
    std::string text = "[";
    for (const auto& each : said.items) text += (text.size() > 1 ? ", " : "") + show(each);
    return text + "]";
}

/// A client by hand.
class test_client {
public:
    explicit test_client(std::shared_ptr<server> home) : session_(std::move(home)) {}

    /// Runs one command: `c("SET", "key", 3)`.
    template <class... Arguments>
    std::string operator()(const Arguments&... arguments) {
        wire::commands request;
        request.add(as_argument(arguments)...);
        return show(send(request.bytes()).at(0));
    }

    std::vector<wire::reply> send(std::string_view bytes) {
        std::vector<wire::reply> replies;
        turn(session_.home()).execute(session_, bytes, replies);
        return replies;
    }

private:
    template <class Argument>
    static decltype(auto) as_argument(const Argument& argument) {
        if constexpr (std::is_integral_v<Argument>) return argument;
        else return std::string_view(argument);
    }

    session session_;
};

}  // namespace redislock::memory
