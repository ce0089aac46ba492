// Exclusive channels, lent out one owner at a time: bounded, and first come first served.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "engine/channel.hpp"

namespace redislock::engine {

class lane_pool;

/// The right to use an exclusive channel. Giving it up returns the channel, or closes it where a
/// reply is still owed.
class lane {
public:
    lane() noexcept = default;
    lane(lane_pool& home, std::unique_ptr<channel> own) noexcept : home_(&home), channel_(std::move(own)) {}
    lane(lane&& other) noexcept = default;
    lane& operator=(lane&& other) noexcept {
        give_up();
        home_ = other.home_;
        channel_ = std::move(other.channel_);
        watching = std::exchange(other.watching, false);
        return *this;
    }
    ~lane() { give_up(); }

    engine::channel& channel() const noexcept { return *channel_; }
    explicit operator bool() const noexcept { return channel_ != nullptr; }
    void give_up() noexcept;

    /// A WATCH was sent and neither EXEC nor UNWATCH since.
    bool watching = false;

private:
    lane_pool* home_ = nullptr;
    std::unique_ptr<engine::channel> channel_;
};

/// Waits in line for a lane.
class lane_waiter {
public:
    virtual void on_lane(std::unique_ptr<channel> granted, bool watching) = 0;

protected:
    ~lane_waiter() = default;
};

class lane_pool {
public:
    explicit lane_pool(backend& from) : backend_(from) {}
    lane_pool(const lane_pool&) = delete;
    lane_pool& operator=(const lane_pool&) = delete;

    /// Grants at once where a channel is free or may be opened, else queues the waiter.
    void request(lane_waiter& who);
    void leave(lane_waiter& who) noexcept;
    void give_back(std::unique_ptr<channel> returned, bool watching) noexcept;

    /// The most that ever waited in line at once.
    std::size_t longest_line() const noexcept { return longest_line_; }

private:
    struct parked {
        std::unique_ptr<engine::channel> channel;
        bool watching;
    };

    backend& backend_;
    std::vector<parked> idle_;
    std::deque<lane_waiter*> line_;
    std::uint32_t lent_ = 0;
    std::size_t longest_line_ = 0;
};

}  // namespace redislock::engine
