// The command table of the miniature server, and how one command is run or queued.
#pragma once

#include <string_view>
#include <vector>

#include "memory/request.hpp"
#include "memory/state.hpp"
#include "wire/reply.hpp"

namespace redislock::memory {

/// One command being run.
struct call {
    state& server;
    client& by;
    const word_list& words;  ///< its name first
    bool in_script = false;  ///< replies have the shapes of protocol 2

    std::string_view word(std::size_t index) const noexcept { return words[index]; }
};

/// Where a command may be used.
enum class place : std::uint8_t {
    anywhere,
    outside_scripts,
    outside_queues,  ///< nor in scripts: never queued after MULTI
};

using handler = wire::reply (*)(call& which);

struct command {
    std::string_view name;  ///< in capitals
    int arity;              ///< with the name; negative: at least that many
    handler run;
    place where = place::anywhere;

    bool takes(std::size_t words) const noexcept {
        const auto least = static_cast<std::size_t>(arity < 0 ? -arity : arity);
        return arity < 0 ? words >= least : words == least;
    }
};

/// Null where there is no such command. Case does not matter.
const command* find_command(std::string_view name) noexcept;

/// Whether a subcommand or option is the given one, in whatever case. `capitals` is in capitals.
bool is_word(std::string_view given, std::string_view capitals) noexcept;

/// "ERR wrong number of arguments for 'get' command"
wire::reply refuse_arity(std::string_view name);

/// "ERR unknown subcommand 'FOO'. Try CLIENT HELP."
wire::reply refuse_subcommand(const call& which, std::string_view name);

/// Runs every command in `bytes`, each as if it had come on this client's connection, and appends
/// one reply for each.
void execute(state& server, client& by, std::string_view bytes, std::vector<wire::reply>& replies);

}  // namespace redislock::memory
