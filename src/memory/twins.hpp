// The scripts of this library as native code: each twin does exactly what the Lua of the same name
// does, down to the texts that it answers with and stores. Tests compare them on a real server.
#pragma once

#include <span>
#include <string_view>

#include "engine/script.hpp"
#include "memory/state.hpp"
#include "wire/reply.hpp"

namespace redislock::memory {

using texts = std::span<const std::string_view>;

struct twin {
    const engine::script& script;
    std::size_t least_keys;
    std::size_t least_arguments;
    wire::reply (*run)(state& server, texts keys, texts arguments);
};

/// All twins, at most `max_twins`.
std::span<const twin> all_twins() noexcept;

// twins_accounts.cpp
wire::reply run_withdraw(state& server, texts keys, texts arguments);
wire::reply run_deposit(state& server, texts keys, texts arguments);
wire::reply run_init(state& server, texts keys, texts arguments);
wire::reply run_remove(state& server, texts keys, texts arguments);
wire::reply run_release(state& server, texts keys, texts arguments);

}  // namespace redislock::memory
