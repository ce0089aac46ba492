// PUBLISH and PUBSUB. Subscribers are objects of this process, see memory_subscription.hpp.
#include "memory/glob.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {

wire::reply run_publish(call& which) {
    const auto found = which.server.subscribers.find(which.word(1));
    if (found == which.server.subscribers.end()) return make_integer(0);
    for (inbox* each : found->second) each->put(which.word(2));
    return make_integer(static_cast<std::int64_t>(found->second.size()));
}

wire::reply run_pubsub(call& which) {
    const auto& subscribers = which.server.subscribers;
    auto said = make_array();
    if (is_word(which.word(1), "CHANNELS") && which.words.size() <= 3) {
        const auto pattern = which.words.size() == 3 ? which.word(2) : "*";
        for (const auto& [channel, inboxes] : subscribers) {
            if (matches_glob(pattern, channel)) said.items.push_back(make_text(channel));
        }
        return said;
    }
    if (!is_word(which.word(1), "NUMSUB")) return refuse_subcommand(which, "PUBSUB");
    for (std::size_t i = 2; i < which.words.size(); ++i) {
        const auto found = subscribers.find(which.word(i));
        const std::size_t count = found != subscribers.end() ? found->second.size() : 0;
        said.items.push_back(make_text(which.word(i)));
        said.items.push_back(make_integer(static_cast<std::int64_t>(count)));
    }
    return said;
}

}  // namespace redislock::memory
