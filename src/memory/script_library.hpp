// What a script finds around it: the globals, as a server guards them, and the table `redis`. Knows
// commands, but not how a script is found and begun.
#pragma once

#include <string_view>

#include "memory/lua.hpp"
#include "memory/request.hpp"
#include "wire/reply.hpp"

namespace redislock::memory {

struct client;
struct state;

/// What redis.call needs to know; outlives the interpreter.
struct script_surroundings {
    state& server;
    client* by = nullptr;  ///< whose script runs at the moment
    word_list words;       ///< scratch space
};

/// Opens the libraries and makes the globals of all scripts. KEYS and ARGV are set by `set_global`.
/// To be called within a protected call.
void open_script_library(lua_State* lua, script_surroundings& around);

/// Takes the value on top of the stack.
void set_script_global(lua_State* lua, const char* name);

/// A handler for lua_pcall: tells where an error came from, as {err=, source=, line=}.
int locate_error(lua_State* lua);

}  // namespace redislock::memory
