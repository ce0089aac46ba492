// The keys of the miniature server: texts and lists, their expiry, and who watches them. Knows no
// commands and no locks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "memory/clocks.hpp"
#include "memory/text_ring.hpp"

namespace redislock::memory {

/// What a key holds.
struct entry {
    std::variant<std::string, text_ring> value;
    nanos expires_at = never;

    std::string* text() noexcept { return std::get_if<std::string>(&value); }
    text_ring* list() noexcept { return std::get_if<text_ring>(&value); }
};

/// Told that a key which it watches was changed, removed or has expired.
struct watcher {
    bool touched = false;
    std::vector<std::string> watched;
};

/// An integer as servers store it: no sign but '-', no leading zeros.
std::optional<std::int64_t> parse_number(std::string_view text) noexcept;

class keyspace {
public:
    explicit keyspace(frozen_clock& clock) noexcept : clock_(clock) {}
    keyspace(const keyspace&) = delete;
    keyspace& operator=(const keyspace&) = delete;

    /// What a key holds, or nothing. An entry that has expired is removed first. Entries stay where
    /// they are until they are erased.
    entry* find(std::string_view key);
    /// Stores a text in place of whatever was there; `expires_at` may be `never`.
    void set(std::string_view key, std::string_view text, nanos expires_at = never);
    /// A new list; the key must not exist.
    text_ring& make_list(std::string_view key);
    /// True if there was something to remove.
    bool erase(std::string_view key);
    void clear();
    void expire_at(std::string_view key, entry& which, nanos when);

    /// Must follow every change that is made in an entry itself.
    void touch(std::string_view key) {
        if (!watchers_.empty()) touch_watched(key);
    }
    void watch(std::string_view key, watcher& who);
    void unwatch(watcher& who);
    /// Whether something that is watched was touched, expiry included.
    bool was_touched(watcher& who);

    std::size_t size() const noexcept { return entries_.size(); }
    /// Calls `visit(key, entry)` for everything that has not expired.
    template <class Visitor>
    void for_each(Visitor visit) {
        for (auto& [key, each] : entries_) {
            if (!expired(each)) visit(std::string_view(key), each);
        }
    }

private:
    struct text_hash {
        using is_transparent = void;
        // Not noexcept: then libstdc++ keeps the hash in each node, and need not read every key again
        // to grow, to sweep or to tell two keys apart.
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    template <class Value>
    using by_key = std::unordered_map<std::string, Value, text_hash, std::equal_to<>>;

    bool expired(const entry& which) { return which.expires_at != never && which.expires_at <= clock_.now(); }
    void touch_watched(std::string_view key);
    void sweep_a_little(nanos expires_at);
    void sweep_bucket(std::size_t bucket);

    frozen_clock& clock_;
    by_key<entry> entries_;
    by_key<std::vector<watcher*>> watchers_;
    std::size_t sweep_at_ = 0;  // the bucket that is looked at next
    nanos first_due_ = never;   // nothing expires before; the next sweep begins then
    nanos next_due_ = never;    // the same, for the sweep after this one
};

}  // namespace redislock::memory
