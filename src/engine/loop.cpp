#include "engine/loop.hpp"

#include <algorithm>

#include "engine/signal.hpp"

namespace redislock::engine {
namespace {

constexpr std::size_t max_log = 256;  // between two deliveries; more would tell nothing new

}  // namespace

loop::~loop() {
    if (mailbox_) mailbox_->close();
}

std::shared_ptr<mailbox> loop::mail() {
    if (!mailbox_) {
        mailbox_ = std::make_shared<mailbox>(poller_.wake_handle());
        listen_for_wake(*mailbox_);
    }
    return mailbox_;
}

void loop::mark_dirty(flushable& which) {
    if (which.dirty) return;
    which.dirty = true;
    dirty_.push_back(&which);
}

void loop::forget(flushable& which) noexcept {
    // Its place stays, empty: a flush may be walking through the list.
    if (which.dirty) std::replace(dirty_.begin(), dirty_.end(), &which, static_cast<flushable*>(nullptr));
}

void loop::log(log_level level, std::string text) {
    if (log_.size() < max_log) log_.push_back({level, std::move(text)});
}

nanos loop::backoff(std::uint32_t attempt, nanos least, nanos most) noexcept {
    const nanos bound = attempt >= 20 ? most : std::min(most, least << attempt);
    return 1 + static_cast<nanos>(random_.below(static_cast<std::uint64_t>(bound)));
}

void loop::flush() {
    // In a random order, as it is between connections: any fixed one favours somebody, and callers
    // in step on memory:// would never meet between WATCH and EXEC. A flush may make others dirty,
    // or take one of them away.
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
        const std::size_t left = dirty_.size() - i;
        if (left > 1) std::swap(dirty_[i], dirty_[i + static_cast<std::size_t>(random_.below(left))]);
        if (flushable* next = dirty_[i]) {
            next->dirty = false;
            next->flush();
        }
    }
    dirty_.clear();
    // Only an earlier deadline needs a new arming; a later one is found out when this one passes.
    if (!alone_ && timers_.earliest() < armed_at_) {
        armed_at_ = timers_.earliest();
        poller_.arm(armed_at_);
    }
}

void loop::wait(nanos timeout) noexcept {
    if (!alone_) {
        poller_.wait(timeout);
        return;
    }
    const nanos due = timers_.earliest();
    if (timeout > 0 && due != never) timeout = std::min(timeout, std::max<nanos>(due - now(), 0));
    poller_.wait_exactly(timeout);
}

bool loop::turn() {
    if (poller_.dispatch()) {
        const auto listening = wakeable_;  // a listener may leave while it is told
        for (wakeable* each : listening) each->on_wake();
    }
    const nanos time = now();
    if (time >= armed_at_) armed_at_ = never;
    timers_.run(time);
    ready_.run_batch();
    return !ready_.empty();
}

}  // namespace redislock::engine
