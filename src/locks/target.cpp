#include "locks/target.hpp"

#include <algorithm>

namespace redislock::locks {
namespace {

// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
bool has_hash_tag(std::string_view name) {
    const auto open = name.find('{');
    const auto close = open == std::string_view::npos ? open : name.find('}', open + 1);
    return close != std::string_view::npos && close > open + 1;
}

}  // namespace

std::string_view letter_of(kind which) noexcept {
    switch (which) {
        case kind::mutex: return "m";
        case kind::permit: return "p";
        case kind::reader: return "r";
        case kind::writer: return "w";
    }
    return "m";
}

lock_keys::lock_keys(std::string_view own) : name(own) {
    // Never the same for two names: "x" and "{x}" must not share a line.
    const std::string side = has_hash_tag(own) ? name + ":redislock:t:" : "{" + name + "}:redislock:";
    queue = side + "queue";
    waiters = side + "waiters";
    alive = side + "alive";
    fence = side + "fence";
    holders = side + "holders";
}

result<target> target::make(const std::vector<std::string>& names, kind how, std::uint32_t limit) {
    target made;
    made.how = how;
    made.limit = limit;
    auto sorted = names;  // one order for all, so that listings and messages agree
    std::sort(sorted.begin(), sorted.end());
    if (sorted.empty()) return {errc::invalid_argument, "names must hold at least one name"};
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
        return {errc::invalid_argument, "names must not hold a name twice"};
    }
    if (sorted.size() > 1 && how != kind::mutex) {
        return {errc::invalid_argument, "only mutexes can be taken several at once"};
    }
    made.locks.reserve(sorted.size());
    for (const auto& name : sorted) {
        if (name.empty()) return {errc::invalid_argument, "name must not be empty"};
        made.locks.emplace_back(name);
        if (sorted.size() > 1) made.packed_names += std::to_string(name.size()) + ":" + name;
    }
    return made;
}

std::string target::words() const {
    std::string text = "'" + locks.front().name + "'";
    for (std::size_t i = 1; i < locks.size(); ++i) {
        text += i + 1 < locks.size() ? ", '" : " and '";
        text += locks[i].name + "'";
    }
    return text;
}

}  // namespace redislock::locks
