// What is held and awaited on a server, for people: found by SCAN, read in small steps, so that a busy
// server does not notice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/context.hpp"
#include "engine/task.hpp"

namespace redislock::locks {

struct seen_holder {
    std::string token;
    char kind = 'm';
    std::int64_t fence = 0;
    std::int64_t left_ms = -1;  ///< of its lease; -1 without one
};

struct seen_waiter {
    std::string token;
    char kind = 'm';
    std::int64_t since_us = 0;  ///< its ticket: when it got in line, on the server's clock
};

struct seen_lock {
    std::string name;
    std::int64_t now_ms = 0;  ///< the server's clock
    std::int64_t fence = 0;   ///< the last one that was given
    std::vector<seen_holder> holders;
    std::vector<seen_waiter> waiters;  ///< the first hundred
    std::uint64_t waiting = 0;         ///< all of them
};

/// Locks that are held or awaited, by name. With `names` these alone, held or not, also such as
/// nobody but redis-py ever touched; without, those of which this library keeps something.
engine::task<result<std::vector<seen_lock>>> list(engine::context& with, std::vector<std::string> names);

}  // namespace redislock::locks
