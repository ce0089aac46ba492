// The one native thread of a process for locks: it listens for locks that are handed over, tells the
// server that waiters live, renews leases, and notices losses. Never touches Python. Started with the
// first renewed lock or the first wait; a forked child starts its own.
//
// For each server there is a station: its reactor in that thread, with one subscription. Coroutines of
// other reactors leave word there and are told through signals.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/reactor.hpp"
#include "engine/signal.hpp"
#include "locks/station.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

/// A client's way to the station of its server; opens it when first needed. Thread-safe.
class access {
public:
    /// `server`: equal for clients that can share a station.
    access(std::string server, engine::backend_factory factory);
    access(const access&) = delete;
    access& operator=(const access&) = delete;
    ~access();

    /// The station where it is open and listening already, else null.
    station* listening();
    /// The station where it is open, else null.
    station* opened();
    result<station*> open();

private:
    // Of one process: a forked child leaks its parent's, whose mutex may be held for ever.
    struct state {
        explicit state(std::uint32_t generation) : made_in(generation) {}
        const std::uint32_t made_in;
        std::mutex mutex;
        std::shared_ptr<station> own;            // under the mutex, and set once
        std::atomic<station*> opened = nullptr;  // the same, for all
    };
    state& current();

    const std::string server_;
    const engine::backend_factory factory_;
    std::atomic<state*> state_;
};

/// A waiter's place at a station, for as long as this lives.
class place {
public:
    place(station& at, std::shared_ptr<engine::signal> who, const std::vector<lock_keys>& which);
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place();

    std::uint64_t number() const noexcept { return number_; }

private:
    station& station_;
    std::uint64_t number_;
    std::uint32_t made_in_;
};

/// Ends the thread, for the end of the process.
void stop_keeper();
}  // namespace redislock::locks
