#include "engine/server_subscription.hpp"

#include <utility>

#include "wire/server_error.hpp"

namespace redislock::engine {
namespace {

constexpr nanos least_backoff = 20 * millisecond;
constexpr nanos most_backoff = 1 * second;
constexpr nanos quiet = 5 * second;     // without a word from the server: is it still there?
constexpr nanos patience = 5 * second;  // for an answer to that
constexpr nanos steady = 1 * second;    // subscribed for so long, the next loss is a new one

}  // namespace

server_subscription::server_subscription(engine::loop& loop, endpoint& at, std::string channel,
                                         subscriber& who)
    : loop_(loop), at_(at), channel_(std::move(channel)), who_(who) {
    connect();
}

server_subscription::~server_subscription() { loop_.forget(*this); }

void server_subscription::connect() {
    phase_ = phase::connecting;
    link_ = std::make_unique<link>(loop_, at_, static_cast<link_owner&>(*this), false);
    link_->open();
}

void server_subscription::on_link_ready(link& /*which*/) { ask(); }

void server_subscription::ask() {
    phase_ = phase::asked;
    pinged_at_ = never;
    say(wire::commands().add("SUBSCRIBE", channel_));
    loop_.timers().arm(*this, loop_.now() + quiet);
}

void server_subscription::say(const wire::commands& what) {
    link_->tell(what.bytes());
    loop_.mark_dirty(*this);
}

void server_subscription::flush() {
    if (link_) link_->flush();
}

bool server_subscription::on_link_push(link& /*which*/, const wire::reply& said) {
    const bool notice = said.type == wire::reply::kind::push || said.type == wire::reply::kind::array;
    if (notice) take_notice(said);
    else take_other(said);
    return true;
}

// "subscribe" channel 1, "message" channel payload; under RESP2 also "pong" "".
void server_subscription::take_notice(const wire::reply& said) {
    const auto& items = said.items;
    if (items.size() != 3 || items[1].text != channel_) return;
    const std::string& what = items[0].text;
    if (what == "message") who_.on_message(items[2].text);
    else if (what == "subscribe") begin();
    else if (what == "unsubscribe") link_->give_up({errc::connection_failed, "the server ended it"});
}

// An error, or the answer to PING where it comes as a plain reply.
void server_subscription::take_other(const wire::reply& said) {
    if (phase_ != phase::asked) return;
    if (said.is_failure()) pause(wire::to_error(said));
    else link_->give_up({errc::protocol, "the server does not answer SUBSCRIBE"});
}

void server_subscription::begin() {
    if (phase_ != phase::asked) return;
    phase_ = phase::subscribed;
    subscribed_at_ = loop_.now();
    if (troubled_) loop_.log(log_level::info, "subscribed again to " + place());
    troubled_ = false;
    who_.on_subscribed();
}

void server_subscription::on_timer() {
    if (phase_ != phase::pausing) watch_silence();
    else if (link_) ask();
    else connect();
}

// A peer may be gone without a word, and a subscriber has nothing to send that would tell.
void server_subscription::watch_silence() {
    const nanos heard_at = link_->heard_at();
    if (heard_at >= pinged_at_) pinged_at_ = never;
    if (pinged_at_ != never) {
        link_->give_up({errc::connection_failed, "the server went silent"});
    } else if (loop_.now() < heard_at + quiet) {
        loop_.timers().arm(*this, heard_at + quiet);
    } else {
        pinged_at_ = loop_.now();
        say(wire::commands().add("PING"));
        loop_.timers().arm(*this, pinged_at_ + patience);
    }
}

void server_subscription::on_link_lost(link& /*which*/, const error& why,
                                       std::deque<slot_ptr> /*unanswered*/) {
    if (phase_ == phase::subscribed && loop_.now() - subscribed_at_ >= steady) failures_ = 0;
    loop_.dispose(std::move(link_));
    pause(why);
}

void server_subscription::pause(const error& why) {
    phase_ = phase::pausing;
    loop_.timers().arm(*this, loop_.now() + loop_.backoff(failures_++, least_backoff, most_backoff));
    if (!troubled_) {
        loop_.log(log_level::warning,
                  "not subscribed to " + place() + " (" + why.message + "): trying again");
    }
    troubled_ = true;
    who_.on_unsubscribed(why);
}

std::string server_subscription::place() const { return channel_ + " on " + at_.settings.redacted(); }

}  // namespace redislock::engine
