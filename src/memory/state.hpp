// What the miniature server holds, and what it knows of each client. Whoever touches it holds the
// server's mutex.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "memory/clocks.hpp"
#include "memory/inbox.hpp"
#include "memory/keyspace.hpp"
#include "memory/request.hpp"
#include "memory/script_engine.hpp"

namespace redislock::memory {

inline constexpr std::size_t max_twins = 64;

struct state {
    state(clocks from, script_limits bounds) noexcept : clock(from), limits(bounds) {}

    frozen_clock clock;
    keyspace keys{clock};
    std::bitset<max_twins> forgotten;  ///< scripts that SCRIPT FLUSH took away, by place in the table
    script_limits limits;
    std::unique_ptr<script_engine> scripts;    ///< of all scripts that have no twin; made when needed
    by_text<std::vector<inbox*>> subscribers;  ///< by channel; none is empty
    std::int64_t last_client = 0;
    std::int64_t clients = 0;
    // Scratch space, so that parsing allocates nothing in the long run.
    word_list words;
    word_list queued_words;
};

/// One client's side of a conversation.
struct client : watcher {
    std::int64_t id = 0;
    std::string name;
    bool queueing = false;  ///< between MULTI and EXEC
    bool refused = false;   ///< a command was refused while queueing: EXEC must be, too
    std::string queued;     ///< requests as they came
    std::uint32_t queued_count = 0;

    void stop_queueing() noexcept {
        queueing = refused = false;
        queued.clear();
        queued_count = 0;
    }
};

}  // namespace redislock::memory
