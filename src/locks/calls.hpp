// What the callers of the scripts share: keys in the order in which the scripts take them, the calls
// that more than one place makes, and numbers as they answer with them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/slot.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

/// The six keys of each lock. Views of what they came from.
std::vector<std::string_view> all_keys(std::span<const lock_keys> locks);

/// Fills `to` with a call of release.lua, which also leaves the line.
void call_release(engine::unit& to, const target& what, std::string_view token);

/// Fills `to` with a call of claim.lua.
void call_claim(engine::unit& to, const target& what, std::string_view token, std::string_view lease_ms,
                std::string_view channel, std::string_view stored_as = "");

/// The integer that a text begins with; 0 where it begins with none.
std::int64_t to_number(std::string_view text) noexcept;

}  // namespace redislock::locks
