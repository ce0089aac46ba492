// Patterns of SCAN and CONFIG GET: `*`, `?`, `[a-z]`, `[^x]` and a backslash before a literal.
// https://redis.io/docs/latest/commands/keys/
#pragma once

#include <string_view>

namespace redislock::memory {

bool matches_glob(std::string_view pattern, std::string_view text) noexcept;

}  // namespace redislock::memory
