#include "memory/memory_subscription.hpp"

#include <utility>

namespace redislock::memory {

memory_subscription::memory_subscription(engine::loop& loop, std::shared_ptr<server> home,
                                         std::string channel, engine::subscriber& who)
    : loop_(loop),
      home_(std::move(home)),
      channel_(std::move(channel)),
      who_(who),
      inbox_(loop.poller().wake_handle()) {
    loop_.listen_for_wake(*this);
    turn(*home_).subscribe(channel_, inbox_);
    loop_.poller().wake_handle()->wake();  // the subscriber is told in a later turn
}

memory_subscription::~memory_subscription() {
    turn(*home_).unsubscribe(channel_, inbox_);
    loop_.stop_listening(*this);
    if (ended_ != nullptr) *ended_ = true;
}

void memory_subscription::on_wake() {
    const auto fetched = turn(*home_).take(inbox_);
    bool ended = false;
    ended_ = &ended;
    if (!std::exchange(greeted_, true) || fetched.missed) who_.on_subscribed();
    for (const auto& each : fetched.messages) {
        if (ended) return;
        who_.on_message(each);
    }
    if (!ended) ended_ = nullptr;
}

}  // namespace redislock::memory
