// One channel of a real server, listened to on a connection of its own for as long as this lives:
// connects, subscribes, notices a peer that went silent, and begins anew after every loss.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "engine/channel.hpp"
#include "engine/link.hpp"

namespace redislock::engine {

class server_subscription final : public subscription, private link_owner, private flushable, private timer {
public:
    /// Begins in a later turn of the loop: `who` is never called from within this. It is told of every
    /// attempt that failed, and must not end the subscription from within such a call.
    server_subscription(engine::loop& loop, endpoint& at, std::string channel, subscriber& who);
    server_subscription(const server_subscription&) = delete;
    server_subscription& operator=(const server_subscription&) = delete;
    ~server_subscription() override;

private:
    enum class phase : std::uint8_t {
        pausing,     ///< the timer begins anew, on the link where there is one
        connecting,  ///< the link calls
        asked,       ///< SUBSCRIBE is on its way
        subscribed,
    };

    void on_link_ready(link& which) override;
    void on_link_answer(link& /*which*/, slot_ptr /*answered*/) override {}  // it is given no units
    bool on_link_push(link& which, const wire::reply& said) override;
    void on_link_lost(link& which, const error& why, std::deque<slot_ptr> unanswered) override;
    void on_timer() override;
    void flush() override;

    void connect();
    void ask();
    void say(const wire::commands& what);
    void take_notice(const wire::reply& said);
    void take_other(const wire::reply& said);
    void begin();
    void watch_silence();
    void pause(const error& why);
    std::string place() const;

    engine::loop& loop_;
    endpoint& at_;
    const std::string channel_;
    subscriber& who_;
    std::unique_ptr<link> link_;
    phase phase_ = phase::pausing;
    std::uint32_t failures_ = 0;
    nanos subscribed_at_ = 0;
    nanos pinged_at_ = never;  // while that PING may be unanswered
    bool troubled_ = false;
};

}  // namespace redislock::engine
