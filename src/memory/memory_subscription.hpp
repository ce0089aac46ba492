// One channel of a memory server, listened to for as long as this lives.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/channel.hpp"
#include "engine/loop.hpp"
#include "memory/inbox.hpp"
#include "memory/server.hpp"

namespace redislock::memory {

/// To be made, used and ended by the loop's own thread, and before the loop. It may be ended from
/// within a call to its subscriber.
class memory_subscription final : public engine::subscription, private engine::wakeable {
public:
    memory_subscription(engine::loop& loop, std::shared_ptr<server> home, std::string channel,
                        engine::subscriber& who);
    memory_subscription(const memory_subscription&) = delete;
    memory_subscription& operator=(const memory_subscription&) = delete;
    ~memory_subscription() override;

private:
    void on_wake() override;

    engine::loop& loop_;
    std::shared_ptr<server> home_;
    const std::string channel_;
    engine::subscriber& who_;
    inbox inbox_;
    bool greeted_ = false;
    bool* ended_ = nullptr;  // while the subscriber is told something: set if this ends meanwhile
};

}  // namespace redislock::memory
