// Members by score, and by name among equals: what a key of type zset holds.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "memory/text_hash.hpp"

namespace redislock::memory {

class sorted_set {
public:
    using place = std::pair<double, std::string_view>;
    using iterator = std::set<place>::const_iterator;

    sorted_set() = default;
    sorted_set(sorted_set&&) = default;  // moved maps keep their nodes, to which places point
    sorted_set& operator=(sorted_set&&) = default;

    std::size_t size() const noexcept { return order_.size(); }
    iterator begin() const noexcept { return order_.begin(); }
    iterator end() const noexcept { return order_.end(); }
    /// The first member whose score is at least, or greater than, this one.
    iterator lower(double score) const { return order_.lower_bound({score, {}}); }

    /// Null where it is no member.
    const double* score_of(std::string_view member) const {
        const auto found = scores_.find(member);
        return found != scores_.end() ? &found->second : nullptr;
    }
    iterator find(std::string_view member) const {
        const double* score = score_of(member);
        return score != nullptr ? order_.find({*score, member}) : order_.end();
    }
    void put(std::string_view member, double score) {
        auto [at, added] = scores_.try_emplace(std::string(member), score);
        if (!added) {
            order_.erase({at->second, at->first});
            at->second = score;
        }
        order_.emplace(score, at->first);
    }
    /// The one behind it.
    iterator erase(iterator which) {
        const auto member = scores_.find(which->second);
        const auto next = order_.erase(which);
        scores_.erase(member);
        return next;
    }

private:
    by_text<double> scores_;
    std::set<place> order_;  // its texts are the keys above
};

}  // namespace redislock::memory
