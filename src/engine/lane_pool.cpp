#include "engine/lane_pool.hpp"

#include <algorithm>

namespace redislock::engine {

void lane::give_up() noexcept {
    if (channel_) home_->give_back(std::move(channel_), watching);
    watching = false;
}

void lane_pool::request(lane_waiter& who) {
    while (!idle_.empty()) {
        auto next = std::move(idle_.back());
        idle_.pop_back();
        if (!next.channel->reusable()) continue;
        ++lent_;
        who.on_lane(std::move(next.channel), next.watching);
        return;
    }
    if (lent_ < backend_.max_exclusive()) {
        ++lent_;
        who.on_lane(backend_.make_exclusive(), false);
        return;
    }
    line_.push_back(&who);
    longest_line_ = std::max(longest_line_, line_.size());
}

void lane_pool::leave(lane_waiter& who) noexcept { std::erase(line_, &who); }

void lane_pool::give_back(std::unique_ptr<channel> returned, bool watching) noexcept {
    --lent_;
    const bool good = returned->reusable();
    if (line_.empty()) {
        if (good) idle_.push_back({std::move(returned), watching});
        return;
    }
    lane_waiter& next = *line_.front();
    line_.pop_front();
    ++lent_;
    if (good) next.on_lane(std::move(returned), watching);
    else next.on_lane(backend_.make_exclusive(), false);
}

}  // namespace redislock::engine
