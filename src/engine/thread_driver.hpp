// Lets any number of blocking threads share one reactor: one of them, the leader, waits for all;
// the others sleep until their own answer has come or the lead is theirs. No thread of its own.
//
// Threads that were told of their answers at the same moment tend to come back with their next
// operations at the same moment too. The first of them leaves its request to be written together
// with those of the others, as long as these are still on their way.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/operation.hpp"
#include "engine/reactor.hpp"

namespace redislock::engine {

class thread_driver {
public:
    explicit thread_driver(std::unique_ptr<reactor> own) : reactor_(std::move(own)) {}
    thread_driver(const thread_driver&) = delete;
    thread_driver& operator=(const thread_driver&) = delete;

    /// Submits; what is to be sent is written at once, or in company. False after `close`: the
    /// operation was not started.
    bool start(std::shared_ptr<operation> which);
    /// Blocks until the operation has finished, or for `slice` at most. True if it has finished.
    bool wait(operation& which, nanos slice);
    /// To be called after a `wait` that returned true, once the caller can run on (in Python: holds
    /// the GIL): nobody needs to wait for its company any longer.
    void arrived();
    /// Ends the operation soon; it must still be waited for.
    void cancel(operation& which);
    /// Ends everything under way with errc::closed. Later starts are refused.
    void close();

    std::vector<log_record> take_log();
    bool has_log() const noexcept { return has_log_.load(std::memory_order_relaxed); }

    /// For a forked child, where the mutex may be held by a thread that does not exist there.
    void abandon_after_fork() noexcept { reactor_->abandon_after_fork(); }

private:
    class sleeper;
    class calls;

    void lead_once(std::unique_lock<std::mutex>& lock, const operation& own, nanos until);
    void lead(std::unique_lock<std::mutex>& lock, const operation& own, nanos until, calls& to_make);
    bool answered_at_once(nanos timeout);
    bool sleep_once(std::unique_lock<std::mutex>& lock, sleeper& own, nanos until);
    void flush(calls& to_make);
    void flush_beside_leader(calls& to_make);
    void deliver(calls& to_make);
    void pass_the_lead(calls& to_make);
    void see_off(std::unique_lock<std::mutex>& lock, const operation& which);

    std::mutex mutex_;
    std::unique_ptr<reactor> reactor_;
    std::deque<sleeper*> asleep_;
    bool led_ = false;
    int luck_ = 0;  // the leader's: how often an answer came at once
    bool closed_ = false;
    std::atomic<std::uint32_t> unwritten_ = 0;  // operations that wait for company
    std::atomic<std::int32_t> returning_ = 0;   // callers told of their answers that have not arrived yet
    std::atomic<bool> has_log_ = false;
};

}  // namespace redislock::engine
