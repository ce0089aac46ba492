// Runs operations against one server from within somebody else's thread: submit, pump, collect.
// Owns no thread and never blocks but in `wait`. Not thread-safe: one driver at a time.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/channel.hpp"
#include "engine/lane_pool.hpp"
#include "engine/loop.hpp"
#include "engine/operation.hpp"

namespace redislock::engine {

/// Makes the backend once the loop exists.
using backend_factory = std::function<result<std::unique_ptr<backend>>(loop&)>;

class reactor {
public:
    static result<std::unique_ptr<reactor>> make(const backend_factory& factory,
                                                 clock_source clock = monotonic_now);
    reactor(const reactor&) = delete;
    reactor& operator=(const reactor&) = delete;
    ~reactor();

    /// Starts an operation: it runs to its first wait. What it sends goes out with the next flush.
    void submit(std::shared_ptr<operation> which);
    /// The caller no longer waits. The operation still finishes, soon.
    void cancel(operation& which, errc reason = errc::cancelled);
    void cancel_all(errc reason);

    /// Any event loop can wait on this: readable means `pump` has work.
    int fileno() const noexcept { return loop_.poller().fileno(); }
    /// Runs what became ready and writes what is queued.
    void flush();
    /// After `cancel_all`: flushes until every operation has taken its leave and said its last word.
    void drain();
    /// Blocks until something happens, a signal included. The only call that may run while another
    /// thread submits; it touches nothing but the descriptor.
    void wait(nanos timeout) noexcept { loop_.wait(has_work() ? 0 : timeout); }
    /// Handles what `wait` found.
    void turn();
    /// wait, turn and flush. With 0 it only looks.
    void pump(nanos timeout);
    bool has_work() const noexcept { return !ready_empty() || !finished_.empty(); }

    /// Operations that finished since the last call, in that order.
    std::vector<std::shared_ptr<operation>> take_finished() noexcept { return std::exchange(finished_, {}); }
    std::size_t in_flight() const noexcept { return live_.size(); }

    engine::loop& loop() noexcept { return loop_; }
    backend& server() noexcept { return *backend_; }
    lane_pool& lanes() noexcept { return *lanes_; }

    void abandon_after_fork() noexcept { loop_.poller().abandon_after_fork(); }

private:
    explicit reactor(clock_source clock) : loop_(clock) {}
    bool ready_empty() const noexcept { return loop_.ready().empty(); }
    void finish(operation& which);

    mutable engine::loop loop_;
    std::unique_ptr<backend> backend_;
    std::unique_ptr<lane_pool> lanes_;
    std::vector<std::shared_ptr<operation>> live_;
    std::vector<operation*> done_;  // finished within a resume; collected right after
    std::vector<std::shared_ptr<operation>> finished_;
};

}  // namespace redislock::engine
