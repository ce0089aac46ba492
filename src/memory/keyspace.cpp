#include "memory/keyspace.hpp"

#include <algorithm>

#include "types/amount.hpp"

namespace redislock::memory {
namespace {

// Buckets looked at for each key that is given an expiry, while a sweep is under way: what nobody
// asks for again goes in pace with what comes in, so that it never makes up most of the keys.
constexpr std::size_t buckets_per_step = 2;

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
    if (expires_at != never) sweep_a_little(expires_at);
}

bool keyspace::erase(std::string_view key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    const bool was_there = !expired(found->second);
    entries_.erase(found);
    touch(key);
    return was_there;
}

void keyspace::clear() {
    for (auto& [key, who] : watchers_) {
        if (!entries_.contains(key)) continue;
        for (watcher* each : who) each->touched = true;
    }
    entries_.clear();
}

void keyspace::expire_at(std::string_view key, entry& which, nanos when) {
    which.expires_at = when;
    touch(key);
    if (when != never) sweep_a_little(when);
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

// A sweep begins when the first entry is due and walks through all buckets, a few at a time. Time
// stands still within a turn, so an entry that a command holds is never among the swept.
void keyspace::sweep_a_little(nanos expires_at) {
    first_due_ = std::min(first_due_, expires_at);
    next_due_ = std::min(next_due_, expires_at);
    if (clock_.now() < first_due_) return;
    if (sweep_at_ == 0) next_due_ = expires_at;
    const std::size_t end = std::min(sweep_at_ + buckets_per_step, entries_.bucket_count());
    for (; sweep_at_ < end; ++sweep_at_) sweep_bucket(sweep_at_);
    if (end < entries_.bucket_count()) return;
    first_due_ = next_due_;
    sweep_at_ = 0;
}

void keyspace::sweep_bucket(std::size_t bucket) {
    for (auto each = entries_.begin(bucket); each != entries_.end(bucket);) {
        if (!expired(each->second)) {
            next_due_ = std::min(next_due_, each->second.expires_at);
            ++each;
            continue;
        }
        const std::string key = each->first;
        find(key);  // removes it and tells who watches it
        each = entries_.begin(bucket);
    }
}

}  // namespace redislock::memory
