#include "engine/server_backend.hpp"

#include "engine/server_subscription.hpp"

namespace redislock::engine {

result<std::unique_ptr<server_backend>> server_backend::make(engine::loop& loop, wire::options settings) {
    endpoint at;
    if (settings.scheme == wire::scheme::tls) {
        auto tls = wire::tls_context::make(settings);
        if (!tls) return tls.error();
        at.tls = std::move(*tls);
    }
    at.settings = std::move(settings);
    return std::unique_ptr<server_backend>(new server_backend(loop, std::move(at)));
}

server_backend::server_backend(engine::loop& loop, endpoint at)
    : loop_(loop), at_(std::move(at)), shared_(loop, at_) {}

std::unique_ptr<channel> server_backend::make_exclusive() {
    return std::make_unique<exclusive_channel>(loop_, at_);
}

std::unique_ptr<subscription> server_backend::subscribe(std::string channel, subscriber& who) {
    return std::make_unique<server_subscription>(loop_, at_, std::move(channel), who);
}

}  // namespace redislock::engine
