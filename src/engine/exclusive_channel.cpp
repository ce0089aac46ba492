#include "engine/exclusive_channel.hpp"

#include <algorithm>

#include "wire/server_error.hpp"

namespace redislock::engine {
namespace {

constexpr nanos idle_before_probe = 10 * millisecond;

}  // namespace

exclusive_channel::exclusive_channel(engine::loop& loop, endpoint& at) : loop_(loop), at_(at) {
    link_ = std::make_unique<link>(loop_, at_, static_cast<link_owner&>(*this), true);
    link_->open();
}

exclusive_channel::~exclusive_channel() { loop_.forget(*this); }

void exclusive_channel::send(slot_ptr which) {
    pending_.push_back(std::move(which));
    loop_.mark_dirty(*this);
}

void exclusive_channel::flush() {
    const nanos now = loop_.now();
    if (link_ && link_->ready() && link_->empty() && now - link_->heard_at() > idle_before_probe) {
        link_->probe();
    }
    if (!link_) {
        for (auto& each : std::exchange(pending_, {})) {
            each->fail({errc::lane_lost, "the connection was lost while it was idle"});
        }
        return;
    }
    if (!link_->ready() || link_->congested()) return;
    while (!pending_.empty()) {
        link_->offer(std::move(pending_.front()), now);
        pending_.pop_front();
    }
    link_->flush();
}

void exclusive_channel::on_link_ready(link& /*which*/) { loop_.mark_dirty(*this); }

void exclusive_channel::on_link_answer(link& /*which*/, slot_ptr answered) {
    if (!pending_.empty()) loop_.mark_dirty(*this);
    const auto& replies = answered->replies;
    const auto again = std::find_if(replies.begin(), replies.end(), wire::asks_to_come_back);
    if (again != replies.end()) {
        broken_ = true;
        loop_.log(log_level::warning, at_.settings.redacted() + " applied nothing (" + again->text +
                                          "): looking for the server again");
        answered->fail({errc::lane_lost, again->text});
        return;
    }
    answered->finish();
}

void exclusive_channel::on_link_lost(link& /*which*/, const error& why, std::deque<slot_ptr> unanswered) {
    broken_ = true;
    loop_.dispose(std::move(link_));
    // A server that never answered anybody is a mistake in the settings; so is a refusal.
    const bool hopeless = !at_.ever_ready || why.code != errc::connection_failed;
    for (auto& each : unanswered) {
        each->offered = false;
        if (each->abandoned) continue;
        each->in_doubt = true;
        if (each->request.policy == resend::once) {
            each->fail(
                {errc::outcome_unknown,
                 "the connection was lost after EXEC was written and before its answer came (" + why.message +
                     "): it may or may not have been applied; an idempotency_key makes retrying safe"});
        } else {
            each->fail({errc::lane_lost, why.message});
        }
    }
    for (auto& each : std::exchange(pending_, {})) {
        each->fail({hopeless ? why.code : errc::lane_lost, why.message});
    }
}

void exclusive_channel::abandon(slot& which, bool /*overdue*/) {
    which.listener = nullptr;
    if (which.offered) {
        which.abandoned = true;
        broken_ = true;  // its reply must not meet the next owner: the pool closes it
        return;
    }
    std::erase_if(pending_, [&](const slot_ptr& each) { return each.get() == &which; });
}

bool exclusive_channel::reusable() const noexcept {
    return !broken_ && link_ && link_->ready() && link_->empty() && pending_.empty();
}

std::string exclusive_channel::condition() const {
    if (!link_) return "not connected to " + at_.settings.redacted();
    if (link_->ready()) return "waiting for " + at_.settings.redacted();
    return "connecting to " + at_.settings.redacted() + " (" + link_->trouble() + ")";
}

}  // namespace redislock::engine
