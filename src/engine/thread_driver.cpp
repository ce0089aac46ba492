#include "engine/thread_driver.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace redislock::engine {
namespace {

constexpr nanos patience_for_cleanup = 50 * millisecond;
// Only for a thread that is kept from arriving: `arrived` writes as soon as the last one has. Shorter
// than a tick of the kernel would make each sleep arm the hardware's timer, which costs more than a write.
constexpr nanos patience_for_company = 10 * millisecond;
constexpr nanos a_moment = 50 * microsecond;
constexpr int most_luck = 8;
constexpr std::uint32_t enough_company = 8;  // more, and the server would idle while the rest comes

}  // namespace

// A thread that sleeps beside the leader. It is picked under the driver's mutex, and called with that
// mutex released: it would otherwise wake up only to wait for it. Once picked it stays for the call.
class thread_driver::sleeper {
public:
    explicit sleeper(operation& which) noexcept : operation_(which) {}

    // ---- under the driver's mutex

    void lie_down() noexcept {
        called_ = picked_ = false;
        operation_.waiter = this;
    }
    void get_up() noexcept { operation_.waiter = nullptr; }
    void pick() noexcept {
        get_up();
        picked_ = true;
        finished_ = operation_.finished();
        may_leave_ = finished_ && !operation_.left_cleanup();
    }
    bool picked() const noexcept { return picked_; }
    /// Whether it was picked because its operation has finished.
    bool told() const noexcept { return finished_; }

    // ---- without it

    /// Until called, or until the time has come. True if called.
    bool sleep(nanos until) {
        std::unique_lock lock(mutex_);
        const auto called = [this] { return called_; };
        if (until == never) {
            wake_.wait(lock, called);
            return true;
        }
        const auto left = std::chrono::nanoseconds(std::max<nanos>(0, until - monotonic_now()));
        return wake_.wait_for(lock, left, called);
    }
    void call() {
        const std::scoped_lock lock(mutex_);  // also while notifying: it may be gone right afterwards
        called_ = true;
        wake_.notify_one();
    }
    /// Once called: whether there is nothing left to do here.
    bool may_leave() const noexcept { return may_leave_; }

private:
    operation& operation_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool called_ = false;
    bool picked_ = false;
    bool finished_ = false;
    bool may_leave_ = false;
};

// Who is to be called, once the driver's mutex has been released: declare it before the lock.
class thread_driver::calls {
public:
    calls() = default;
    calls(const calls&) = delete;
    calls& operator=(const calls&) = delete;
    ~calls() { make(); }

    void add(sleeper& who) {
        picked_.push_back(&who);
        who.pick();
    }
    bool empty() const noexcept { return picked_.empty(); }
    void make() noexcept {
        for (sleeper* each : picked_) each->call();
        picked_.clear();
    }

private:
    std::vector<sleeper*> picked_;
};

bool thread_driver::start(std::shared_ptr<operation> which) {
    calls to_make;
    const std::scoped_lock lock(mutex_);
    if (closed_) return false;
    reactor_->submit(std::move(which));
    const auto unwritten = unwritten_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (!led_) return true;  // this thread leads next, and flushes first
    const bool company = returning_.load(std::memory_order_relaxed) > 0 && unwritten < enough_company;
    if (!company || reactor_->has_work()) flush_beside_leader(to_make);
    return true;
}

bool thread_driver::wait(operation& which, nanos slice) {
    const nanos until = slice == never ? never : monotonic_now() + slice;
    sleeper own(which);
    calls to_make;
    std::unique_lock lock(mutex_);
    while (!which.finished() && monotonic_now() < until) {
        if (!led_) lead_once(lock, which, until);
        else if (sleep_once(lock, own, until)) return true;
    }
    const bool finished = which.finished();
    if (finished) see_off(lock, which);
    if (finished && !own.told()) returning_.fetch_add(1, std::memory_order_relaxed);
    // Whoever leaves, for whatever reason, passes the lead on: it may have been meant for this one.
    if (!led_) pass_the_lead(to_make);
    return finished;
}

void thread_driver::arrived() {
    if (returning_.fetch_sub(1, std::memory_order_relaxed) > 1) return;
    if (unwritten_.load(std::memory_order_relaxed) == 0) return;
    // The last of those who came back: what waited for them goes out before it computes for long.
    calls to_make;
    const std::scoped_lock lock(mutex_);
    if (unwritten_.load(std::memory_order_relaxed) > 0) flush_beside_leader(to_make);
}

// Nobody pumps between two calls, so what a failed operation has to clean up (a lock that it may
// hold) would wait for the next call, or for the lease. Its caller stays a moment to see it done.
void thread_driver::see_off(std::unique_lock<std::mutex>& lock, const operation& which) {
    const nanos until = monotonic_now() + patience_for_cleanup;
    while (which.left_cleanup() && !led_ && asleep_.empty() && monotonic_now() < until)
        lead_once(lock, which, until);
}

void thread_driver::lead_once(std::unique_lock<std::mutex>& lock, const operation& own, nanos until) {
    led_ = true;
    calls to_make;
    try {
        lead(lock, own, until, to_make);
    } catch (...) {  // out of memory, say: this call's misfortune, which must not leave the others leaderless
        led_ = false;
        pass_the_lead(to_make);
        throw;
    }
    led_ = false;
    if (to_make.empty()) return;
    lock.unlock();
    to_make.make();
    lock.lock();
}

// A server nearby answers sooner than a sleeping thread can be woken, so a thread that waits alone
// looks for a moment before it sleeps. The processor is anybody else's meanwhile, and where that moment
// has been too short for a while it is seldom tried: the server is far away, or what is waited for is
// not its answer.
bool thread_driver::answered_at_once(nanos timeout) {
    if (luck_ < 0) ++luck_;
    if (luck_ < 0) return false;
    auto& poller = reactor_->loop().poller();
    const nanos until = monotonic_now() + std::min(timeout, a_moment);
    do {
        poller.wait(0);
        if (poller.found()) {
            luck_ = std::min(luck_ + 1, most_luck);
            return true;
        }
        std::this_thread::yield();
    } while (monotonic_now() < until);
    luck_ -= 4;
    if (luck_ < 0) luck_ = -64;
    return false;
}

void thread_driver::lead(std::unique_lock<std::mutex>& lock, const operation& own, nanos until,
                         calls& to_make) {
    const bool had_finished = own.finished();
    flush(to_make);
    const bool changed = reactor_->has_work() || !to_make.empty() || own.finished() != had_finished;
    const nanos left = until == never ? never : std::max<nanos>(0, until - monotonic_now());
    const nanos timeout = changed ? 0 : left;
    const bool alone = asleep_.empty();
    lock.unlock();
    to_make.make();
    const bool answered = timeout > 0 && alone && answered_at_once(timeout);
    if (!answered) reactor_->loop().poller().wait(timeout);
    // On memory:// there is always work: without this a thread would begin and end its operation
    // before another could begin, and callers that race would look as if they never did.
    if (timeout == 0) std::this_thread::yield();
    lock.lock();
    reactor_->turn();
    flush(to_make);
}

// Beside a leader. True if the operation has finished and nothing is left to do; the mutex is then
// released.
bool thread_driver::sleep_once(std::unique_lock<std::mutex>& lock, sleeper& own, nanos until) {
    asleep_.push_back(&own);
    own.lie_down();
    const bool in_company = unwritten_.load(std::memory_order_relaxed) > 0;
    const nanos wake_at = in_company ? std::min(until, monotonic_now() + patience_for_company) : until;
    lock.unlock();
    const bool called = own.sleep(wake_at);
    if (called && own.may_leave()) return true;
    lock.lock();
    if (own.picked() && !called) {  // at any moment
        lock.unlock();
        own.sleep(never);
        if (own.may_leave()) return true;
        lock.lock();
    }
    if (!own.picked()) {
        std::erase(asleep_, &own);
        own.get_up();
    }
    if (led_ && unwritten_.load(std::memory_order_relaxed) > 0) {  // the company did not come
        calls to_make;
        flush_beside_leader(to_make);
        lock.unlock();
        to_make.make();
        lock.lock();
    }
    return false;
}

void thread_driver::flush(calls& to_make) {
    reactor_->flush();
    unwritten_.store(0, std::memory_order_relaxed);
    deliver(to_make);
}

void thread_driver::deliver(calls& to_make) {
    if (reactor_->loop().has_log()) has_log_.store(true, std::memory_order_relaxed);
    for (const auto& each : reactor_->take_finished()) {
        if (each->waiter == nullptr) continue;
        auto& own = *static_cast<sleeper*>(each->waiter);
        to_make.add(own);
        std::erase(asleep_, &own);
        returning_.fetch_add(1, std::memory_order_relaxed);
    }
}

void thread_driver::pass_the_lead(calls& to_make) {
    if (asleep_.empty()) return;
    to_make.add(*asleep_.front());
    asleep_.pop_front();
}

void thread_driver::cancel(operation& which) {
    calls to_make;
    const std::scoped_lock lock(mutex_);
    reactor_->cancel(which);
    flush_beside_leader(to_make);
}

// The leader, if there is one, sleeps in the poller. It need not know of what goes out here, but
// it must look at once where something can go on without an event.
void thread_driver::flush_beside_leader(calls& to_make) {
    flush(to_make);
    if (led_ && reactor_->has_work()) reactor_->loop().poller().wake_handle()->wake();
}

void thread_driver::close() {
    calls to_make;
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    reactor_->cancel_all(errc::closed);
    reactor_->drain();
    deliver(to_make);
    reactor_->loop().poller().wake_handle()->wake();
}

std::vector<log_record> thread_driver::take_log() {
    const std::scoped_lock lock(mutex_);
    has_log_.store(false, std::memory_order_relaxed);
    return reactor_->loop().take_log();
}

}  // namespace redislock::engine
