// Runs the scripts of EVAL in a real Lua 5.1, the version of the servers: in a sandbox, within
// bounds of time and memory, with the server's commands at hand. Knows no script of its own.
// https://redis.io/docs/latest/develop/programmability/lua-api/
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "types/clock.hpp"
#include "wire/reply.hpp"

namespace redislock::memory {

struct client;
struct state;

struct script_limits {
    nanos duration = 5 * second;                  ///< a script that runs for longer is ended, with an error
    std::size_t memory = std::size_t{256} << 20;  ///< of all scripts of a server together
};

/// To be used by whoever holds the server's mutex.
class script_engine {
public:
    using texts = std::span<const std::string_view>;

    explicit script_engine(state& home);
    script_engine(const script_engine&) = delete;
    script_engine& operator=(const script_engine&) = delete;
    ~script_engine();

    /// `sha1` in small letters.
    bool knows(std::string_view sha1) const;
    /// Compiles a script and remembers it, so that it is known from now on; or why not.
    std::optional<wire::reply> load(const std::string& sha1, std::string_view body);
    /// Runs a script that is known. What is wrong with it becomes a failure in a server's words.
    wire::reply run(client& by, std::string_view sha1, texts keys, texts arguments);
    void forget_all();

private:
    struct native;
    std::unique_ptr<native> native_;
};

}  // namespace redislock::memory
