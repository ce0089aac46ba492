#include "engine/thread_driver.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace redislock::engine {
namespace {

constexpr nanos patience_for_cleanup = 50 * millisecond;

}  // namespace

bool thread_driver::start(std::shared_ptr<operation> which) {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    reactor_->submit(std::move(which));
    flush_beside_leader();
    return true;
}

bool thread_driver::wait(operation& which, nanos slice) {
    const nanos until = slice == never ? never : monotonic_now() + slice;
    sleeper own;
    std::unique_lock lock(mutex_);
    while (!which.finished() && monotonic_now() < until) {
        if (!led_) {
            lead_once(lock, until);
            continue;
        }
        which.waiter = &own;
        asleep_.push_back(&own);
        if (until == never) own.wake.wait(lock);
        else own.wake.wait_for(lock, std::chrono::nanoseconds(std::max<nanos>(0, until - monotonic_now())));
        std::erase(asleep_, &own);
        which.waiter = nullptr;
    }
    if (which.finished()) see_off(lock, which);
    // Whoever leaves, for whatever reason, passes the lead on: it may have been meant for this one.
    if (!led_) pass_the_lead();
    return which.finished();
}

// Nobody pumps between two calls, so what a failed operation has to clean up (a lock that it may
// hold) would wait for the next call, or for the lease. Its caller stays a moment to see it done.
void thread_driver::see_off(std::unique_lock<std::mutex>& lock, const operation& which) {
    const nanos until = monotonic_now() + patience_for_cleanup;
    while (which.left_cleanup() && !led_ && asleep_.empty() && monotonic_now() < until)
        lead_once(lock, until);
}

void thread_driver::lead_once(std::unique_lock<std::mutex>& lock, nanos until) {
    led_ = true;  // everything was flushed by whoever submitted or led last
    const nanos left = until == never ? never : std::max<nanos>(0, until - monotonic_now());
    const nanos timeout = reactor_->has_work() ? 0 : left;
    lock.unlock();
    reactor_->loop().poller().wait(timeout);
    // On memory:// there is always work: without this a thread would begin and end its operation
    // before another could begin, and callers that race would look as if they never did.
    if (timeout == 0) std::this_thread::yield();
    lock.lock();
    reactor_->turn();
    reactor_->flush();
    deliver();
    led_ = false;
}

void thread_driver::deliver() {
    if (reactor_->loop().has_log()) has_log_.store(true, std::memory_order_relaxed);
    for (const auto& each : reactor_->take_finished()) {
        if (each->waiter != nullptr) static_cast<sleeper*>(each->waiter)->wake.notify_one();
    }
}

void thread_driver::pass_the_lead() noexcept {
    if (!asleep_.empty()) asleep_.front()->wake.notify_one();
}

void thread_driver::cancel(operation& which) {
    const std::lock_guard lock(mutex_);
    reactor_->cancel(which);
    flush_beside_leader();
}

// The leader, if there is one, sleeps in the poller. It need not know of what goes out here, but
// it must look at once where something can go on without an event.
void thread_driver::flush_beside_leader() {
    reactor_->flush();
    deliver();
    if (led_ && reactor_->has_work()) reactor_->loop().poller().wake_handle()->wake();
}

void thread_driver::close() {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    reactor_->cancel_all(errc::closed);
    reactor_->drain();
    deliver();
    reactor_->loop().poller().wake_handle()->wake();
}

std::vector<log_record> thread_driver::take_log() {
    const std::lock_guard lock(mutex_);
    has_log_.store(false, std::memory_order_relaxed);
    return reactor_->loop().take_log();
}

}  // namespace redislock::engine
