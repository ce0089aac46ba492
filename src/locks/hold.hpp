// A lock that is held: its token and fences, until when it is certainly ours, and who wants to know
// when it is not any more. Shared between its owner's threads and the keeper.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/signal.hpp"
#include "locks/target.hpp"
#include "types/clock.hpp"

namespace redislock::locks {

/// No lease: held until it is released.
inline constexpr nanos no_lease = 0;

class hold {
public:
    /// `deadline`: of the lease that it has now; `lease`: what it is renewed for, or is to have once claimed.
    hold(std::shared_ptr<const target> own, std::string own_token, std::vector<std::int64_t> own_fences,
         nanos deadline, nanos lease);
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;

    const std::shared_ptr<const target> shared_what;  ///< with whoever takes it time and again
    const target& what = *shared_what;
    const std::string token;
    const std::vector<std::int64_t> fences;  ///< in the order of what.locks

    /// Until when no server can have ended the lease: what was asked for, counted from before it was
    /// asked, less 1 % and 2 ms for clocks that run differently. `never` without a lease.
    /// Redlock, "validity time": https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
    nanos deadline() const noexcept { return deadline_.load(std::memory_order_acquire); }
    nanos lease() const noexcept { return lease_.load(std::memory_order_relaxed); }
    bool lost(nanos now) const noexcept;
    bool released() const noexcept { return state_.load(std::memory_order_acquire) == state::released; }

    /// How often the lease was changed: taken before the server is asked to change it.
    std::uint32_t changes() const noexcept { return changes_.load(std::memory_order_acquire); }
    /// The server says that it was extended; `asked_at` as above. Where somebody else changed the lease
    /// `since` then, nobody knows which came last: the earlier deadline counts.
    void extended(nanos asked_at, nanos lease, std::uint32_t since);
    /// What it is renewed for from now on.
    void renew_for(nanos lease) noexcept { lease_.store(lease, std::memory_order_relaxed); }
    /// Known to be gone. False where it was released or lost before. Tells the watchers.
    bool lose();
    /// Given back by its owner. False where that was done before, or it was lost. Tells the watchers.
    bool release();

    /// `who` gets a word once it is lost or released, at once where that has been; and whenever its
    /// deadline moves to an earlier time.
    void watch(const std::shared_ptr<engine::signal>& who);

    bool announced = false;  ///< its loss is put into `losses`; set before it is shared

private:
    enum class state : std::uint8_t { held, lost, released };
    bool end(state how);

    std::atomic<state> state_ = state::held;
    std::atomic<nanos> deadline_;
    std::atomic<nanos> lease_;
    std::atomic<bool> watched_ = false;
    std::atomic<std::uint32_t> changes_ = 0;
    std::mutex mutex_;  // of the watchers, and of changes to the deadline
    std::vector<std::weak_ptr<engine::signal>> watchers_;
};

/// The local deadline of a lease. `asked_at`: when the request for it was sent, on the monotonic clock.
nanos deadline_of(nanos asked_at, nanos lease) noexcept;

/// Losses of holds that are announced, for a thread that tells their owners.
void push_loss(std::shared_ptr<hold> which);
/// Waits for the next one; null when `patience` is over or `stop_losses` was called.
std::shared_ptr<hold> next_loss(nanos patience);
/// Wakes whoever waits there, for good.
void stop_losses();

}  // namespace redislock::locks
