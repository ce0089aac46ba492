// The keys of the miniature server: texts, lists, hashes, sorted sets and streams, their expiry, and who
// watches them. Knows no commands and no locks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "memory/clocks.hpp"
#include "memory/sorted_set.hpp"
#include "memory/stream.hpp"
#include "memory/text_hash.hpp"
#include "memory/text_ring.hpp"

namespace redislock::memory {

using hash_table = by_text<std::string>;

/// What a key holds.
struct entry {
    // The larger ones in boxes, so that they make no entry larger.
    std::variant<std::string, text_ring, std::unique_ptr<hash_table>, std::unique_ptr<sorted_set>,
                 std::unique_ptr<stream>>
        value;
    nanos expires_at = never;

    std::string* text() noexcept { return std::get_if<std::string>(&value); }
    text_ring* list() noexcept { return std::get_if<text_ring>(&value); }
    template <class Value>
    Value* as() noexcept {
        if constexpr (is_boxed<Value>) {
            auto* box = std::get_if<std::unique_ptr<Value>>(&value);
            return box != nullptr ? box->get() : nullptr;
        } else {
            return std::get_if<Value>(&value);
        }
    }
    template <class Value>
    Value& become() {
        if constexpr (is_boxed<Value>) {
            return *value.template emplace<std::unique_ptr<Value>>(std::make_unique<Value>());
        } else {
            return value.template emplace<Value>();
        }
    }

private:
    template <class Value>
    static constexpr bool is_boxed = std::is_same_v<Value, hash_table> || std::is_same_v<Value, sorted_set> ||
                                     std::is_same_v<Value, stream>;
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
    /// An empty list, hash or sorted set; the key must not exist.
    template <class Value>
    Value& make(std::string_view key) {
        return entries_[std::string(key)].template become<Value>();
    }
    text_ring& make_list(std::string_view key) { return make<text_ring>(key); }
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
    bool expired(const entry& which) { return which.expires_at != never && which.expires_at <= clock_.now(); }
    void touch_watched(std::string_view key);
    void sweep_a_little(nanos expires_at);
    void sweep_bucket(std::size_t bucket);

    frozen_clock& clock_;
    by_text<entry> entries_;
    by_text<std::vector<watcher*>> watchers_;
    std::size_t sweep_at_ = 0;  // the bucket that is looked at next
    nanos first_due_ = never;   // nothing expires before; the next sweep begins then
    nanos next_due_ = never;    // the same, for the sweep after this one
};

}  // namespace redislock::memory
