// What can be done with a lock, as coroutines: take it or wait for it in line, give it back, extend
// it. What is passed by reference must outlive the task.
//
// The protocol is in the scripts beside this (queue.lua first). It follows Redis's own advice on
// locks (https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/) and adds a queue,
// direct hand-over and fencing tokens (M. Kleppmann, "How to do distributed locking", 2016).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/context.hpp"
#include "engine/task.hpp"
#include "locks/hold.hpp"
#include "locks/keeper.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

struct terms {
    nanos lease = no_lease;
    nanos wait = 0;        ///< how long to wait for it; `never` for as long as it takes
    nanos round_trip = 0;  ///< how long each answer may take
    bool barging = false;  ///< need not wait its turn
    bool find_deadlocks = true;
    bool renew = false;
    nanos max_hold = never;  ///< not renewed any longer than this
    bool announce = false;   ///< its loss goes to `next_loss`
};

/// One who waits in a cycle: for which lock, and since when on the server's clock.
struct party {
    std::string owner;
    std::string lock;
    std::int64_t since_ms = 0;
};

/// How an acquire ended: with a hold, with nothing since it was busy, or in a deadlock.
struct verdict {
    std::shared_ptr<hold> held;
    std::vector<party> cycle;
};

engine::task<result<verdict>> acquire(engine::context& with, access& keepers, const target& what,
                                      const terms& rules, const std::string& token);

/// Gives it back; true if it was ours until then. After a lost answer a repetition that finds nothing
/// counts as ours only where the lease cannot have ended meanwhile.
engine::task<result<bool>> release(engine::context& with, access& keepers, hold& which);

/// The same with a token alone, also to leave the line.
engine::task<result<bool>> release(engine::context& with, const target& what, const std::string& token);

/// Extends to `lease` from now on, or by it where `adding`; false where it is not ours.
engine::task<result<bool>> extend(engine::context& with, const target& what, const std::string& token,
                                  nanos lease, bool adding);
engine::task<result<bool>> extend(engine::context& with, access& keepers, hold& which, nanos lease,
                                  bool adding);

/// The token of a mutex's holder, if there is one.
engine::task<result<std::optional<std::string>>> holder(engine::context& with, const std::string& name);

/// Waits until it is lost; false when `patience` is over before, or it was released.
engine::task<result<bool>> wait_lost(engine::context& with, std::shared_ptr<hold> which, nanos patience);

}  // namespace redislock::locks
