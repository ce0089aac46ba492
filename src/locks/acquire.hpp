// Taking a lock or waiting for it in line, as a coroutine. What is passed by reference must outlive it.
//
// The protocol is in the scripts beside this (queue.lua first). It follows Redis's own advice on
// locks (https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/) and adds a queue,
// direct hand-over and fencing tokens (M. Kleppmann, "How to do distributed locking", 2016).
#pragma once

#include <memory>
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
    /// What a mutex is to store in the end, where the caller wants that. It is taken with a token of
    /// ours nevertheless: another one may come with the same.
    std::string stored_as;
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

engine::task<result<verdict>> acquire(engine::context& with, access& keepers,
                                      const std::shared_ptr<const target>& what, const terms& rules,
                                      const std::string& token);

}  // namespace redislock::locks
