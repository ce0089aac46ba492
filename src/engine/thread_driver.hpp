// Lets any number of blocking threads share one reactor: one of them, the leader, waits for all;
// the others sleep until their own answer has come or the lead is theirs. No thread of its own.
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

    /// Submits and writes. False after `close`: the operation was not started.
    bool start(std::shared_ptr<operation> which);
    /// Blocks until the operation has finished, or for `slice` at most. True if it has finished.
    bool wait(operation& which, nanos slice);
    /// Ends the operation soon; it must still be waited for.
    void cancel(operation& which);
    /// Ends everything under way with errc::closed. Later starts are refused.
    void close();

    std::vector<log_record> take_log();
    bool has_log() const noexcept { return has_log_.load(std::memory_order_relaxed); }

    /// For a forked child, where the mutex may be held by a thread that does not exist there.
    void abandon_after_fork() noexcept { reactor_->abandon_after_fork(); }

private:
    struct sleeper {
        std::condition_variable wake;
    };

    void lead_once(std::unique_lock<std::mutex>& lock, nanos until);
    void flush_beside_leader();
    void deliver();
    void pass_the_lead() noexcept;
    void see_off(std::unique_lock<std::mutex>& lock, const operation& which);

    std::mutex mutex_;
    std::unique_ptr<reactor> reactor_;
    std::deque<sleeper*> asleep_;
    bool led_ = false;
    bool closed_ = false;
    std::atomic<bool> has_log_ = false;
};

}  // namespace redislock::engine
