// What everything in one reactor shares: time, readiness, timers, coroutines that can go on, and
// the things to flush before the next wait. Knows no server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/poller.hpp"
#include "engine/slot.hpp"
#include "engine/task.hpp"
#include "engine/timers.hpp"
#include "types/clock.hpp"
#include "types/random.hpp"

namespace redislock::engine {

enum class log_level : std::uint8_t { debug, info, warning };

struct log_record {
    log_level level;
    std::string text;
};

/// Collects work and is flushed once before the reactor waits.
class flushable {
public:
    virtual void flush() = 0;
    bool dirty = false;

protected:
    ~flushable() = default;
};

/// Waits for a word from another thread, which comes through the poller's waker.
class wakeable {
public:
    virtual void on_wake() = 0;

protected:
    ~wakeable() = default;
};

class mailbox;

/// Something that ends its life inside its own callback; the loop deletes it later.
class disposable {
public:
    virtual ~disposable() = default;
};

class loop {
public:
    explicit loop(clock_source clock = monotonic_now, std::uint64_t seed = random_seed())
        : clock_(clock), random_(seed) {}
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop();

    nanos now() const noexcept { return clock_(); }
    random_source& random() noexcept { return random_; }
    engine::poller& poller() noexcept { return poller_; }
    timer_queue& timers() noexcept { return timers_; }
    ready_queue& ready() noexcept { return ready_; }
    slot_pool& slots() noexcept { return slots_; }

    void mark_dirty(flushable& which);
    void forget(flushable& which) noexcept;
    void listen_for_wake(wakeable& which) { wakeable_.push_back(&which); }
    void stop_listening(wakeable& which) noexcept { std::erase(wakeable_, &which); }
    /// Where other threads post to this loop's signals; made when it is first asked for.
    std::shared_ptr<mailbox> mail();
    void dispose(std::unique_ptr<disposable> which) { graveyard_.push_back(std::move(which)); }
    void log(log_level level, std::string text);
    std::vector<log_record> take_log() noexcept { return std::exchange(log_, {}); }
    bool has_log() const noexcept { return !log_.empty(); }

    /// A random part of a growing bound: `least` at first, doubling up to `most`.
    nanos backoff(std::uint32_t attempt, nanos least, nanos most) noexcept;

    /// Writes what is dirty, then arms the descriptor for the earliest deadline.
    void flush();
    /// Nobody but `wait` waits on the descriptor, and nobody submits meanwhile: so `wait` itself heeds
    /// the earliest deadline, and the descriptor is never armed, which is a system call each time.
    void wait_alone() noexcept { alone_ = poller_.is_exact(); }
    /// Blocks until something happens, for `timeout` at most.
    void wait(nanos timeout) noexcept;
    /// One round after a wait: events, timers, coroutines. True if more could be done at once.
    bool turn();
    void clear_graveyard() noexcept { graveyard_.clear(); }

private:
    clock_source clock_;
    random_source random_;
    slot_pool slots_;
    engine::poller poller_;
    timer_queue timers_;
    ready_queue ready_;
    std::vector<flushable*> dirty_;
    std::vector<wakeable*> wakeable_;
    std::shared_ptr<mailbox> mailbox_;
    std::vector<std::unique_ptr<disposable>> graveyard_;
    std::vector<log_record> log_;
    nanos armed_at_ = never;
    bool alone_ = false;
};

}  // namespace redislock::engine
