// What the miniature server holds, and what it knows of each client. Whoever touches it holds the
// server's mutex.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>

#include "memory/clocks.hpp"
#include "memory/keyspace.hpp"
#include "memory/request.hpp"

namespace redislock::memory {

inline constexpr std::size_t max_twins = 64;

struct state {
    explicit state(clocks from) noexcept : clock(from) {}

    frozen_clock clock;
    keyspace keys{clock};
    std::bitset<max_twins> forgotten;  ///< scripts that SCRIPT FLUSH took away, by place in the table
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
