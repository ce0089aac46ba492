#include "locks/hold.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <utility>

#include "locks/identity.hpp"

namespace redislock::locks {

nanos deadline_of(nanos asked_at, nanos lease) noexcept {
    if (lease == no_lease) return never;
    const nanos drift = lease / 100 + 2 * millisecond;
    return asked_at + std::max<nanos>(lease - drift, 0);
}

hold::hold(std::shared_ptr<const target> own, std::string own_token, std::vector<std::int64_t> own_fences,
           nanos deadline, nanos lease)
    : shared_what(std::move(own)),
      token(std::move(own_token)),
      fences(std::move(own_fences)),
      deadline_(deadline),
      lease_(lease) {}

bool hold::lost(nanos now) const noexcept {
    const auto current = state_.load(std::memory_order_acquire);
    return current == state::lost || (current == state::held && now >= deadline());
}

void hold::extended(nanos asked_at, nanos lease, std::uint32_t since) {
    const std::scoped_lock lock(mutex_);
    const nanos before = deadline();
    const nanos wanted = deadline_of(asked_at, lease);
    const nanos next = changes() == since ? wanted : std::min(wanted, before);
    deadline_.store(next, std::memory_order_release);
    changes_.fetch_add(1, std::memory_order_acq_rel);
    if (next >= before) return;
    for (const auto& each : watchers_) {
        if (const auto who = each.lock()) who->post("sooner");
    }
}

bool hold::end(state how) {
    auto expected = state::held;
    if (!state_.compare_exchange_strong(expected, how, std::memory_order_acq_rel)) return false;
    if (!watched_.load(std::memory_order_acquire)) return true;
    const std::scoped_lock lock(mutex_);
    for (const auto& each : watchers_) {
        if (const auto who = each.lock()) who->post("ended");
    }
    watchers_.clear();
    return true;
}

bool hold::lose() { return end(state::lost); }
bool hold::release() { return end(state::released); }

void hold::watch(const std::shared_ptr<engine::signal>& who) {
    {
        const std::scoped_lock lock(mutex_);
        std::erase_if(watchers_, [](const auto& each) { return each.expired(); });
        watchers_.push_back(who);
        watched_.store(true, std::memory_order_release);
    }
    if (state_.load(std::memory_order_acquire) != state::held) who->post("ended");
}

// ---- losses

namespace {

struct loss_queue {
    std::mutex mutex;
    std::condition_variable come;
    std::deque<std::shared_ptr<hold>> waiting;
    bool stopped = false;
};

// A forked child starts with one of its own; the mutex of the old may be held.
loss_queue& losses() {
    static std::atomic<loss_queue*> current = new loss_queue;  // NOLINT(cppcoreguidelines-owning-memory)
    static std::atomic<std::uint32_t> made_in = generation();
    const auto now = generation();
    if (made_in.exchange(now) != now) current = new loss_queue;  // NOLINT(cppcoreguidelines-owning-memory)
    return *current;
}

}  // namespace

void push_loss(std::shared_ptr<hold> which) {
    auto& queue = losses();
    {
        const std::scoped_lock lock(queue.mutex);
        queue.waiting.push_back(std::move(which));
    }
    queue.come.notify_one();
}

std::shared_ptr<hold> next_loss(nanos patience) {
    auto& queue = losses();
    std::unique_lock lock(queue.mutex);
    queue.come.wait_for(lock, std::chrono::nanoseconds(std::min(patience, 86400 * second)),
                        [&] { return queue.stopped || !queue.waiting.empty(); });
    if (queue.waiting.empty()) return nullptr;
    auto next = std::move(queue.waiting.front());
    queue.waiting.pop_front();
    return next;
}

void stop_losses() {
    auto& queue = losses();
    {
        const std::scoped_lock lock(queue.mutex);
        queue.stopped = true;
    }
    queue.come.notify_all();
}

}  // namespace redislock::locks
