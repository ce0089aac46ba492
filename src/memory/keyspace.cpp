#include "memory/keyspace.hpp"

#include <algorithm>

#include "types/amount.hpp"

namespace redislock::memory {
namespace {

// Buckets looked at for each key that is given an expiry: what nobody asks for again is swept in
// pace with what comes in, so that it never makes up more than about half of the keys.
constexpr int buckets_per_sweep = 2;

}  // namespace

std::optional<std::int64_t> parse_number(std::string_view text) noexcept {
    const std::string_view magnitude = text.substr(!text.empty() && text.front() == '-' ? 1 : 0);
    if (magnitude.empty() || (magnitude.front() == '0' && text != "0")) return std::nullopt;
    return parse_integer(text);
}

entry* keyspace::find(std::string_view key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    if (!expired(found->second)) return &found->second;
    entries_.erase(found);
    touch(key);
    return nullptr;
}

void keyspace::set(std::string_view key, std::string_view text, nanos expires_at) {
    auto found = entries_.find(key);
    if (found == entries_.end()) found = entries_.emplace(key, entry{}).first;
    entry& target = found->second;
    if (auto* held = target.text()) held->assign(text);
    else target.value.emplace<std::string>(text);
    target.expires_at = expires_at;
    touch(key);
    if (expires_at != never) sweep_a_little();
}

text_ring& keyspace::make_list(std::string_view key) {
    return entries_[std::string(key)].value.emplace<text_ring>();
}

bool keyspace::erase(std::string_view key) {
    if (find(key) == nullptr) return false;
    entries_.erase(entries_.find(key));
    touch(key);
    return true;
}

void keyspace::clear() {
    for (auto& [key, who] : watchers_) {
        if (entries_.find(key) == entries_.end()) continue;
        for (watcher* each : who) each->touched = true;
    }
    entries_.clear();
}

void keyspace::expire_at(std::string_view key, entry& which, nanos when) {
    which.expires_at = when;
    touch(key);
    if (when != never) sweep_a_little();
}

void keyspace::touch_watched(std::string_view key) {
    const auto found = watchers_.find(key);
    if (found == watchers_.end()) return;
    for (watcher* each : found->second) each->touched = true;
}

void keyspace::watch(std::string_view key, watcher& who) {
    find(key);  // what has expired already must not count as a change later
    auto& watching = watchers_.try_emplace(std::string(key)).first->second;
    if (std::find(watching.begin(), watching.end(), &who) != watching.end()) return;
    watching.push_back(&who);
    who.watched.emplace_back(key);
}

void keyspace::unwatch(watcher& who) {
    for (const auto& key : who.watched) {
        const auto found = watchers_.find(key);
        std::erase(found->second, &who);
        if (found->second.empty()) watchers_.erase(found);
    }
    who.watched.clear();
    who.touched = false;
}

bool keyspace::was_touched(watcher& who) {
    for (const auto& key : who.watched) {
        if (who.touched) break;
        find(key);
    }
    return who.touched;
}

// Time stands still within a turn, so an entry that a command holds cannot be among the swept.
void keyspace::sweep_a_little() {
    for (int i = 0; i < buckets_per_sweep; ++i) {
        const std::size_t bucket = sweep_at_++ % entries_.bucket_count();
        for (auto each = entries_.begin(bucket); each != entries_.end(bucket);) {
            if (!expired(each->second)) {
                ++each;
                continue;
            }
            const std::string key = each->first;
            find(key);
            each = entries_.begin(bucket);
        }
    }
}

}  // namespace redislock::memory
