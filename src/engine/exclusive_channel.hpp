// A connection with one owner at a time, for WATCH. Nothing is ever sent again on it: what was
// under way when it is lost fails, and the owner starts over at WATCH on another one.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "engine/channel.hpp"
#include "engine/link.hpp"
#include "engine/loop.hpp"

namespace redislock::engine {

class exclusive_channel final : public channel, private flushable, private link_owner {
public:
    exclusive_channel(engine::loop& loop, endpoint& at);
    exclusive_channel(const exclusive_channel&) = delete;
    exclusive_channel& operator=(const exclusive_channel&) = delete;
    ~exclusive_channel() override;

    void send(slot_ptr which) override;
    void abandon(slot& which, bool overdue) override;
    bool reusable() const noexcept override;
    std::string condition() const override;

private:
    void flush() override;
    void on_link_ready(link& which) override;
    void on_link_answer(link& which, slot_ptr answered) override;
    void on_link_lost(link& which, const error& why, std::deque<slot_ptr> unanswered) override;

    engine::loop& loop_;
    endpoint& at_;
    std::deque<slot_ptr> pending_;
    std::unique_ptr<link> link_;
    bool broken_ = false;
};

}  // namespace redislock::engine
