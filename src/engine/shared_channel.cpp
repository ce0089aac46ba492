#include "engine/shared_channel.hpp"

#include <algorithm>

#include "wire/server_error.hpp"

namespace redislock::engine {
namespace {

constexpr nanos least_backoff = 20 * millisecond;
constexpr nanos most_backoff = 1 * second;
constexpr nanos idle_before_probe = 10 * millisecond;
constexpr std::size_t early_write = 16;  // units; half or twice as many measure the same
constexpr nanos silence_before_retiring = 100 * millisecond;

error unanswered_write(const error& why) {
    return {errc::outcome_unknown,
            "the connection was lost after the request was written and before its answer came (" +
                why.message +
                "): it may or may not have been applied; an idempotency_key makes retrying safe"};
}

}  // namespace

shared_channel::shared_channel(engine::loop& loop, endpoint& at) : loop_(loop), at_(at) {}

shared_channel::~shared_channel() { loop_.forget(*this); }

void shared_channel::send(slot_ptr which) {
    pending_.push_back(std::move(which));
    // In a busy tick the server gets its first units while the rest is still being made: otherwise
    // the two take turns, each idle while the other works.
    if (pending_.size() >= early_write && link_ && link_->ready()) flush();
    else loop_.mark_dirty(*this);
}

// A connection that was stepped around may still carry `earlier` to the server, later than what goes
// out on the new one. So the second copy follows on the same connection.
void shared_channel::send_behind(slot_ptr which, const slot& earlier) {
    const auto carrier = std::find_if(retired_.begin(), retired_.end(), [&](const auto& each) {
        return earlier.offered && each.get() == earlier.carrier && each->ready();
    });
    if (carrier != retired_.end()) {
        auto copy = loop_.slots().take();
        copy->request = which->request;
        copy->expires_at = which->expires_at;
        (*carrier)->offer(std::move(copy), loop_.now());
    }
    send(std::move(which));
}

void shared_channel::flush_retired() {
    std::vector<link*> congested;  // a flush may find its link lost, which takes it from the list
    for (const auto& each : retired_) {
        if (each->congested()) congested.push_back(each.get());
    }
    for (link* each : congested) each->flush();
}

void shared_channel::flush() {
    flush_retired();
    if (nothing_to_send() || !usable()) return;
    // What was written behind a script call that has to be repeated may meet the same fate, and must
    // not be overtaken by what comes later.
    if (!again_.empty() && !link_->empty()) return;
    kill_lost_clients();
    const nanos now = loop_.now();
    for (auto* line : {&again_, &pending_}) {
        while (!line->empty()) {
            link_->offer(std::move(line->front()), now);
            line->pop_front();
        }
    }
    link_->flush();
}

// What a greeting does where it comes after the loss. A link that was stepped around, or an exclusive
// one, may be lost while this one is in use: nothing of it may run later than what is sent from now on.
void shared_channel::kill_lost_clients() {
    if (at_.lost.empty()) return;
    auto kills = loop_.slots().take();
    kills->request.policy = resend::read;  // where it is lost as well, it goes first again
    for (const auto& each : at_.lost) wire::add_kill(kills->request.commands, each);
    at_.lost.clear();
    link_->offer(std::move(kills), loop_.now());
}

// Whether units can be offered now; if not, whatever is needed has been set in motion.
bool shared_channel::usable() {
    if (link_ && link_->ready() && link_->empty() && loop_.now() - link_->heard_at() > idle_before_probe) {
        link_->probe();  // a write into a connection that the server closed would have no outcome
    }
    if (!link_) {
        reconnect_when_needed();
        return false;
    }
    return link_->ready() && !link_->congested();
}

void shared_channel::connect() {
    cancel();
    link_ = std::make_unique<link>(loop_, at_, static_cast<link_owner&>(*this), false);
    link_->open();
}

void shared_channel::reconnect_when_needed() {
    drop_expired();
    if (nothing_to_send() || link_ || armed()) return;
    const auto in_a_row = std::max(failures_, refusals_);
    if (in_a_row <= 1) {
        connect();
        return;
    }
    loop_.timers().arm(*this, loop_.now() + loop_.backoff(in_a_row - 2, least_backoff, most_backoff));
}

void shared_channel::on_timer() {
    drop_expired();
    if (!nothing_to_send() && !link_) connect();
}

void shared_channel::on_link_ready(link& /*which*/) {
    if (failures_ > 0) loop_.log(log_level::info, "connected again to " + at_.settings.redacted());
    loop_.mark_dirty(*this);
}

void shared_channel::on_link_answer(link& which, slot_ptr answered) {
    const auto& replies = answered->replies;
    const bool again = std::any_of(replies.begin(), replies.end(), wire::asks_to_come_back);
    if (again && !answered->abandoned) {
        last_failure_ = std::find_if(replies.begin(), replies.end(), wire::asks_to_come_back)->text;
        loop_.log(log_level::warning, at_.settings.redacted() + " applied nothing (" + last_failure_ +
                                          "): looking for the server again");
        answered->replies.clear();
        again_.push_back(std::move(answered));
        if (!which.retired()) ++refusals_;
        step_around(which);
        return;
    }
    const bool unknown_script = std::any_of(
        replies.begin(), replies.end(), [](const wire::reply& each) { return each.failed_with("NOSCRIPT"); });
    if (unknown_script && answered->request.fallback != nullptr && !answered->abandoned) {
        loop_.log(log_level::debug, "the server did not know script '" +
                                        std::string(answered->request.fallback->name) +
                                        "': sending it whole");
        answered->replies.clear();
        answered->request.use_eval();
        again_.push_back(std::move(answered));
        loop_.mark_dirty(*this);
        return;
    }
    failures_ = 0;
    if (answered->request.policy != resend::read) refusals_ = 0;  // a replica answers reads all the time
    if (!nothing_to_send()) loop_.mark_dirty(*this);
    answered->finish();
}

// New work goes to a new connection; the old one stays for the replies that it still owes.
void shared_channel::step_around(link& which) {
    if (&which == link_.get()) {
        which.retire(at_.settings.timeout);
        retired_.push_back(std::move(link_));
    }
    loop_.mark_dirty(*this);
}

std::unique_ptr<link> shared_channel::release(link& which) {
    if (&which == link_.get()) return std::move(link_);
    const auto found = std::find_if(retired_.begin(), retired_.end(),
                                    [&](const auto& each) { return each.get() == &which; });
    auto released = std::move(*found);
    retired_.erase(found);
    return released;
}

void shared_channel::on_link_lost(link& which, const error& why, std::deque<slot_ptr> unanswered) {
    const bool current = &which == link_.get();
    const bool was_needed = !unanswered.empty() || !nothing_to_send();
    loop_.dispose(release(which));
    take_back(std::move(unanswered), why);
    if (!current) {
        if (!nothing_to_send()) loop_.mark_dirty(*this);
        return;
    }
    ++failures_;
    last_failure_ = why.message;
    if (was_needed) loop_.log(log_level::warning, "lost " + at_.settings.redacted() + ": " + why.message);
    const bool hopeless = !at_.ever_ready || why.code == errc::authentication ||
                          why.code == errc::no_permission || why.code == errc::configuration ||
                          why.code == errc::protocol;
    if (hopeless) fail_pending(why);
    loop_.mark_dirty(*this);
}

// What may be sent again goes before all else in its old order; the rest has no known outcome.
void shared_channel::take_back(std::deque<slot_ptr> unanswered, const error& why) {
    for (auto& each : unanswered) {
        each->offered = false;
        if (each->abandoned) continue;
        each->in_doubt = true;
        if (each->request.policy == resend::once) {
            each->fail(unanswered_write(why));
        } else {
            loop_.log(log_level::info, "sending again what the lost connection did not answer");
            again_.push_back(std::move(each));
        }
    }
}

void shared_channel::fail_pending(const error& why) {
    for (auto* line : {&again_, &pending_}) {
        for (auto& each : std::exchange(*line, {})) {
            const bool unknown = each->in_doubt && each->changes_money();
            each->fail(unknown ? unanswered_write(why) : why);
        }
    }
    failures_ = refusals_ = 0;
}

void shared_channel::drop_expired() {
    const nanos now = loop_.now();
    for (auto* line : {&again_, &pending_}) {
        std::erase_if(*line, [now](const slot_ptr& each) { return each->expires_at <= now; });
    }
}

void shared_channel::abandon(slot& which, bool overdue) {
    which.listener = nullptr;
    if (which.offered) {
        which.abandoned = true;
    } else {
        for (auto* line : {&again_, &pending_}) {
            std::erase_if(*line, [&](const slot_ptr& each) { return each.get() == &which; });
        }
    }
    step_around_silence(overdue);
}

// A caller that leaves before its time says less about the connection than one whose time has run out.
// But where all of them do, under a timeout of their own, it must not stay the connection for ever.
void shared_channel::step_around_silence(bool overdue) {
    if (!link_ || !link_->ready()) return;
    // What counts is the oldest unit: callers more impatient than the pause would never wait for it.
    const nanos owing_since = link_->owing_since();
    if (owing_since == never) return;
    const nanos pause =
        overdue ? silence_before_retiring : std::max(silence_before_retiring, at_.settings.timeout);
    if (loop_.now() - std::max(link_->heard_at(), owing_since) < pause) return;
    loop_.log(log_level::warning, at_.settings.redacted() + " has gone silent: opening another connection");
    step_around(*link_);
}

std::string shared_channel::condition() const {
    const bool ready = link_ && link_->ready();
    std::string text = (ready ? "waiting for " : "not connected to ") + at_.settings.redacted();
    std::string why;
    if (!ready) why = last_failure_.empty() && link_ ? link_->trouble() : last_failure_;
    else if (failures_ > 0 || refusals_ > 0) why = last_failure_;  // nothing useful was said since
    if (!why.empty()) text += " (" + why + ")";
    return text;
}

}  // namespace redislock::engine
