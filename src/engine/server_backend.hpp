// Channels to a real server over sockets.
#pragma once

#include <memory>

#include "engine/channel.hpp"
#include "engine/exclusive_channel.hpp"
#include "engine/shared_channel.hpp"

namespace redislock::engine {

class server_backend final : public backend {
public:
    /// Fails where TLS is asked for and cannot be set up. Opens no connection.
    static result<std::unique_ptr<server_backend>> make(engine::loop& loop, wire::options settings);

    channel& shared() override { return shared_; }
    std::unique_ptr<channel> make_exclusive() override;
    std::unique_ptr<subscription> subscribe(std::string channel, subscriber& who) override;
    std::uint32_t max_exclusive() const noexcept override { return at_.settings.max_connections; }
    std::string name() const override { return at_.settings.redacted(); }

private:
    server_backend(engine::loop& loop, endpoint at);

    engine::loop& loop_;
    endpoint at_;
    shared_channel shared_;
};

}  // namespace redislock::engine
