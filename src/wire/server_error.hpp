// What a server's error reply means for the caller.
// https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
#pragma once

#include "types/error.hpp"
#include "wire/reply.hpp"

namespace redislock::wire {

/// Turns an error reply into an error value: never applied, with the server's own words.
error to_error(const reply& failure);

/// Whether the server refused because of a state that another connection, a little later, may not
/// meet: a replica after failover, a data set still loading. Nothing was applied.
bool asks_to_come_back(const reply& failure) noexcept;

}  // namespace redislock::wire
