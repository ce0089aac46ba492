// What the commands on sorted sets share: bounds of scores, and how members are told.
#pragma once

#include <optional>
#include <string_view>

#include "memory/commands.hpp"
#include "memory/sorted_set.hpp"

namespace redislock::memory {

struct score_bound {
    double value = 0;
    bool excluded = false;
};

/// "5", "(5", "-inf", "+inf".
std::optional<score_bound> parse_bound(std::string_view text);

/// Appends a member; with its score either behind it or, as protocol 3 wants it, in a pair.
void append_member(wire::reply& said, const sorted_set::place& which, bool with_score, bool nested);

}  // namespace redislock::memory
