#include "memory/memory_backend.hpp"

#include <algorithm>
#include <utility>

#include "memory/memory_subscription.hpp"

namespace redislock::memory {

memory_channel::memory_channel(engine::loop& loop, std::shared_ptr<server> home, const std::string& name)
    : loop_(loop), session_(std::move(home)), name_(name) {}

memory_channel::~memory_channel() { loop_.forget(*this); }

void memory_channel::send(engine::slot_ptr which) {
    pending_.push_back(std::move(which));
    loop_.mark_dirty(*this);
}

// What is pending was not offered: there is never a tombstone.
void memory_channel::abandon(engine::slot& which, bool /*overdue*/) {
    which.listener = nullptr;
    std::erase_if(pending_, [&](const engine::slot_ptr& each) { return each.get() == &which; });
}

void memory_channel::flush() {
    running_.swap(pending_);
    {
        turn ours(session_.home());
        for (auto& each : running_) run(ours, *each);
    }
    for (auto& each : running_) each->finish();
    running_.clear();
}

void memory_channel::run(turn& within, engine::slot& which) {
    within.execute(session_, which.request.commands.bytes(), which.replies);
    if (which.request.fallback == nullptr) return;
    const bool unknown_script =
        std::any_of(which.replies.begin(), which.replies.end(),
                    [](const wire::reply& each) { return each.failed_with("NOSCRIPT"); });
    if (!unknown_script) return;
    loop_.log(engine::log_level::debug, "the server did not know script '" +
                                            std::string(which.request.fallback->name) +
                                            "': sending it whole");
    which.replies.clear();
    which.request.use_eval();
    within.execute(session_, which.request.commands.bytes(), which.replies);
}

std::unique_ptr<engine::backend> memory_backend::make(engine::loop& loop, std::shared_ptr<server> home,
                                                      const wire::options& settings) {
    return std::unique_ptr<engine::backend>(new memory_backend(loop, std::move(home), settings));
}

memory_backend::memory_backend(engine::loop& loop, std::shared_ptr<server> home,
                               const wire::options& settings)
    : loop_(loop),
      home_(std::move(home)),
      name_(settings.redacted()),
      max_exclusive_(settings.max_connections),
      shared_(loop_, home_, name_) {}

std::unique_ptr<engine::channel> memory_backend::make_exclusive() {
    return std::make_unique<memory_channel>(loop_, home_, name_);
}

std::unique_ptr<engine::subscription> memory_backend::subscribe(std::string channel,
                                                                engine::subscriber& who) {
    return std::make_unique<memory_subscription>(loop_, home_, std::move(channel), who);
}

}  // namespace redislock::memory
