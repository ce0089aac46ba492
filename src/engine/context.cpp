#include "engine/context.hpp"

#include <cstdio>

namespace redislock::engine {

wait::~wait() {
    if (owner_.current_ == this) owner_.current_ = nullptr;
}

void wait::suspend(std::coroutine_handle<> handle) noexcept {
    handle_ = handle;
    owner_.current_ = this;
}

void wait::resume() {
    if (owner_.current_ == this) owner_.current_ = nullptr;
    if (handle_) owner_.loop().ready().push(std::exchange(handle_, {}));
}

const wire::reply* answer::failure() const noexcept {
    for (const auto& each : slot_->replies) {
        if (each.is_failure()) return &each;
    }
    return nullptr;
}

// ---- a unit and its replies

send_wait::~send_wait() {
    if (outstanding_) slot_->listener = nullptr;  // teardown: the channel goes next
}

void send_wait::await_suspend(std::coroutine_handle<> handle) {
    suspend(handle);
    if (owner_.interrupted_) {
        slot_->failure = owner_.interruption(*owner_.interrupted_, channel_.condition());
        resume();
        return;
    }
    outstanding_ = true;
    ++owner_.asked_.round_trips;
    owner_.asked_.statements += slot_->request.commands.count();
    slot_->listener = this;
    channel_.send(slot_);
}

void send_wait::on_complete(slot& /*which*/) {
    outstanding_ = false;
    if (owner_.added_latency_ == 0) resume();
    else owner_.loop().timers().arm(*this, owner_.loop().now() + owner_.added_latency_);
}

void send_wait::on_timer() { resume(); }

void send_wait::interrupt(errc reason) {
    if (!outstanding_) {  // the answer is there; only the latency added to it is not over
        cancel();
        resume();
        return;
    }
    const bool unknown = slot_->changes_money() && (slot_->offered || slot_->in_doubt);
    auto why = owner_.interruption(reason, channel_.condition());
    if (unknown) {
        why.code = errc::outcome_unknown;
        why.message += "; the request was written, so it may or may not have been applied";
    }
    outstanding_ = false;
    channel_.abandon(*slot_, reason == errc::timed_out);
    slot_ = owner_.make_slot();  // the old one is a tombstone now
    slot_->failure = std::move(why);
    resume();
}

result<answer> send_wait::await_resume() {
    if (slot_->in_doubt && slot_->changes_money()) owner_.in_doubt = true;
    if (slot_->failure) return std::move(*slot_->failure);
    return answer(std::move(slot_));
}

// ---- an exclusive lane

lane_wait::~lane_wait() {
    if (in_line_) pool_.leave(*this);
}

void lane_wait::await_suspend(std::coroutine_handle<> handle) {
    suspend(handle);
    if (owner_.interrupted_) {
        interrupted_ = owner_.interrupted_;
        resume();
        return;
    }
    in_line_ = true;
    pool_.request(*this);
}

void lane_wait::on_lane(std::unique_ptr<channel> granted, bool watching) {
    in_line_ = false;
    granted_ = lane(pool_, std::move(granted));
    granted_.watching = watching;
    resume();
}

void lane_wait::interrupt(errc reason) {
    interrupted_ = reason;
    pool_.leave(*this);
    in_line_ = false;
    resume();
}

result<lane> lane_wait::await_resume() {
    if (interrupted_)
        return owner_.interruption(
            *interrupted_,
            "waiting for one of the exclusive connections; raise max_connections or lower the load");
    return std::move(granted_);
}

// ---- time

void sleep_wait::await_suspend(std::coroutine_handle<> handle) {
    suspend(handle);
    if (owner_.interrupted_) {
        interrupted_ = owner_.interrupted_;
        resume();
        return;
    }
    owner_.loop().timers().arm(*this, owner_.loop().now() + duration_);
}

void sleep_wait::on_timer() { resume(); }

void sleep_wait::interrupt(errc reason) {
    interrupted_ = reason;
    cancel();
    resume();
}

result<done> sleep_wait::await_resume() {
    if (interrupted_) return owner_.interruption(*interrupted_, "waiting before another attempt");
    return done{};
}

// ---- a word from another thread

signal_wait::~signal_wait() {
    if (from_->listener == this) from_->listener = nullptr;
}

void signal_wait::await_suspend(std::coroutine_handle<> handle) {
    suspend(handle);
    if (owner_.interrupted_) interrupted_ = owner_.interrupted_;
    if (interrupted_ || from_->has_words()) {
        resume();
        return;
    }
    from_->listener = this;
    if (patience_ != never) owner_.loop().timers().arm(*this, owner_.loop().now() + patience_);
}

void signal_wait::stop() {
    from_->listener = nullptr;
    cancel();
    resume();
}

void signal_wait::on_word() { stop(); }

void signal_wait::on_timer() { stop(); }

void signal_wait::interrupt(errc reason) {
    interrupted_ = reason;
    stop();
}

result<std::optional<std::string>> signal_wait::await_resume() {
    if (interrupted_) return owner_.interruption(*interrupted_, "waiting to be told that it may go on");
    return from_->take();
}

// ---- the operation's view

void context::begin(nanos timeout) {
    begun_at_ = loop_.now();
    timeout_ = timeout;
    interrupted_.reset();
    in_doubt = false;
    asked_ = {};
    if (timeout != never) loop_.timers().arm(*this, begun_at_ + timeout);
}

void context::allow(nanos timeout) {
    if (interrupted_) return;
    timeout_ = timeout;
    if (timeout == never) cancel();
    else loop_.timers().arm(*this, loop_.now() + timeout);
}

void context::detach(slot_ptr what, nanos patience, const slot* earlier) {
    loop_.slots().begin_cleanup(*what, loop_.now() + patience);
    left_cleanup_ = true;
    asked_.statements += what->request.commands.count();
    if (earlier == nullptr) backend_.shared().send(std::move(what));
    else backend_.shared().send_behind(std::move(what), *earlier);
}

void context::interrupt(errc reason) {
    if (interrupted_) return;
    interrupted_ = reason;
    cancel();
    if (current_ != nullptr) current_->interrupt(reason);
}

error context::interruption(errc reason, const std::string& condition) const {
    const errc code = in_doubt ? errc::outcome_unknown : reason;
    if (reason == errc::cancelled) return {code, "cancelled while " + condition};
    if (reason == errc::closed) return {code, "the client was closed while " + condition};
    char text[64];
    std::snprintf(text, sizeof text, "timed out after %g s, ", static_cast<double>(timeout_) / 1e9);
    return {code, text + condition};
}

}  // namespace redislock::engine
