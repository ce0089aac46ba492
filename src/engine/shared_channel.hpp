// The connection that all callers of one reactor share: their units are written together and
// answered in order. Reconnects, sends again what may be sent again, and steps around a
// connection that has gone silent.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "engine/channel.hpp"
#include "engine/link.hpp"
#include "engine/loop.hpp"

namespace redislock::engine {

class shared_channel final : public channel, private flushable, private link_owner, private timer {
public:
    shared_channel(engine::loop& loop, endpoint& at);
    shared_channel(const shared_channel&) = delete;
    shared_channel& operator=(const shared_channel&) = delete;
    ~shared_channel() override;

    void send(slot_ptr which) override;
    void send_behind(slot_ptr which, const slot& earlier) override;
    void abandon(slot& which, bool overdue) override;
    bool reusable() const noexcept override { return true; }
    std::string condition() const override;

private:
    void flush() override;
    void on_link_ready(link& which) override;
    void on_link_answer(link& which, slot_ptr answered) override;
    void on_link_lost(link& which, const error& why, std::deque<slot_ptr> unanswered) override;
    void on_timer() override;

    bool nothing_to_send() const noexcept { return again_.empty() && pending_.empty(); }
    bool usable();
    void connect();
    void reconnect_when_needed();
    void step_around(link& which);
    void step_around_silence(bool overdue);
    std::unique_ptr<link> release(link& which);
    void take_back(std::deque<slot_ptr> unanswered, const error& why);
    void fail_pending(const error& why);
    void drop_expired();
    void flush_retired();
    void kill_lost_clients();

    engine::loop& loop_;
    endpoint& at_;
    std::deque<slot_ptr> again_;    // to be sent once more, in their old order
    std::deque<slot_ptr> pending_;  // behind them, in the order in which they came
    std::unique_ptr<link> link_;
    std::vector<std::unique_ptr<link>> retired_;
    std::uint32_t failures_ = 0;  // connections lost in a row, since the last useful answer
    std::uint32_t refusals_ = 0;  // servers stepped around in a row, since the last change that was taken
    std::string last_failure_;
};

}  // namespace redislock::engine
