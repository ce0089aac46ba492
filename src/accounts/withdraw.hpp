// The strategies: four ways to take an amount from a balance, each in a file of its own, and each
// readable as its own sequence diagram.
//
// The settings and the change are passed by reference and must outlive the task.
#pragma once

#include "accounts/account.hpp"
#include "engine/context.hpp"
#include "engine/task.hpp"
#include "types/result.hpp"

namespace redislock::accounts {

using outcome = engine::task<result<receipt>>;

/// One script does it all. One round trip.
outcome withdraw_lua(engine::context& with, const settings& rules, const change& asked);

/// Takes the account's lock, then commits by a script that is refused when the lock was lost.
/// Two round trips, and the wait for a held lock.
outcome withdraw_lock(engine::context& with, const settings& rules, const change& asked);

/// Reads under WATCH, then MULTI ... EXEC; again after a conflict. Two round trips an attempt.
outcome withdraw_watch(engine::context& with, const settings& rules, const change& asked);

/// Reads, computes, writes: loses updates under contention. For comparison only.
outcome withdraw_naive(engine::context& with, const settings& rules, const change& asked);

/// One of the above.
outcome withdraw(strategy how, engine::context& with, const settings& rules, const change& asked);

}  // namespace redislock::accounts
