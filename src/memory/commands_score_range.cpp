// Commands on ranges of sorted sets, by score or by place.
// https://redis.io/docs/latest/commands/zrange/
#include <algorithm>
#include <iterator>
#include <vector>

#include "memory/decimals.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "memory/score_range.hpp"

namespace redislock::memory {
namespace {

constexpr std::string_view no_bound = "ERR min or max is not a float";

struct range_options {
    bool by_score = false;
    bool reversed = false;
    bool with_scores = false;
    std::int64_t offset = 0;
    std::int64_t count = -1;
};

std::optional<std::string_view> take_options(const call& which, bool general, range_options& options) {
    for (std::size_t i = 4; i < which.words.size(); ++i) {
        const auto word = which.word(i);
        if (is_word(word, "WITHSCORES")) {
            options.with_scores = true;
        } else if (general && is_word(word, "BYSCORE")) {
            options.by_score = true;
        } else if (general && is_word(word, "REV")) {
            options.reversed = true;
        } else if (is_word(word, "LIMIT") && i + 2 < which.words.size()) {
            const auto offset = parse_number(which.word(i + 1));
            const auto count = parse_number(which.word(i + 2));
            if (!offset || !count) return not_an_integer;
            options.offset = *offset;
            options.count = *count;
            i += 2;
        } else {
            return syntax_error;
        }
    }
    // Servers take a LIMIT that limits nothing for none.
    if (!options.by_score) options.offset = 0;
    if (!options.by_score && options.count != -1) {
        return "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    }
    return std::nullopt;
}

struct members {
    sorted_set::iterator first;
    sorted_set::iterator last;  // behind the last
};

members between(const sorted_set& set, const score_bound& least, const score_bound& most) {
    auto first = set.lower(least.value);
    while (least.excluded && first != set.end() && first->first == least.value) ++first;
    auto last = first;
    const auto fits = [&](double score) { return most.excluded ? score < most.value : score <= most.value; };
    while (last != set.end() && fits(last->first)) ++last;
    return {first, last};
}

// "0 -1" is everything; places below zero count from the end.
members by_place(const sorted_set& set, std::int64_t first, std::int64_t last, bool reversed) {
    const auto size = static_cast<std::int64_t>(set.size());
    if (first < 0) first = std::max<std::int64_t>(first + size, 0);
    if (last < 0) last += size;
    last = std::min(last, size - 1);
    if (first > last) return {set.end(), set.end()};
    if (reversed) {
        const std::int64_t end = size - 1 - first;
        first = size - 1 - last;
        last = end;
    }
    const auto begin = std::next(set.begin(), first);
    return {begin, std::next(begin, last - first + 1)};
}

wire::reply tell(const call& which, const members& found, const range_options& options) {
    auto said = make_array();
    if (options.offset < 0) return said;
    std::int64_t skip = options.offset;
    std::int64_t left = options.count;
    const auto take = [&](const sorted_set::place& each) {
        if (skip-- > 0) return true;
        if (left == 0) return false;
        --left;
        append_member(said, each, options.with_scores, !which.in_script);
        return true;
    };
    if (options.reversed) {
        auto each = std::make_reverse_iterator(found.last);
        const auto end = std::make_reverse_iterator(found.first);
        while (each != end && take(*each)) ++each;
    } else {
        auto each = found.first;
        while (each != found.last && take(*each)) ++each;
    }
    return said;
}

wire::reply range_by_score(call& which, const range_options& options) {
    const auto least = parse_bound(which.word(options.reversed ? 3 : 2));
    const auto most = parse_bound(which.word(options.reversed ? 2 : 3));
    if (!least || !most) return make_failure(no_bound);
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    return *held != nullptr ? tell(which, between(**held, *least, *most), options) : make_array();
}

}  // namespace

std::optional<score_bound> parse_bound(std::string_view text) {
    const bool excluded = text.starts_with('(');
    if (excluded) text.remove_prefix(1);
    if (text.empty()) return score_bound{0, excluded};  // as servers read it
    const auto value = parse_decimal(text);
    if (!value) return std::nullopt;
    return score_bound{*value, excluded};
}

void append_member(wire::reply& said, const sorted_set::place& which, bool with_score, bool nested) {
    if (with_score && nested) {
        auto pair = make_array(2);
        pair.items.push_back(make_text(which.second));
        pair.items.push_back(make_text(to_decimal(which.first)));
        said.items.push_back(std::move(pair));
        return;
    }
    said.items.push_back(make_text(which.second));
    if (with_score) said.items.push_back(make_text(to_decimal(which.first)));
}

wire::reply run_zrange(call& which) {
    range_options options;
    if (const auto refusal = take_options(which, true, options)) return make_failure(*refusal);
    if (options.by_score) return range_by_score(which, options);
    const auto first = parse_number(which.word(2));
    const auto last = parse_number(which.word(3));
    if (!first || !last) return make_failure(not_an_integer);
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr) return make_array();
    return tell(which, by_place(**held, *first, *last, options.reversed), options);
}

wire::reply run_zrangebyscore(call& which) {
    range_options options;
    options.by_score = true;
    if (const auto refusal = take_options(which, false, options)) return make_failure(*refusal);
    return range_by_score(which, options);
}

wire::reply run_zcount(call& which) {
    const auto least = parse_bound(which.word(2));
    const auto most = parse_bound(which.word(3));
    if (!least || !most) return make_failure(no_bound);
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr) return make_integer(0);
    const auto found = between(**held, *least, *most);
    return make_integer(std::distance(found.first, found.last));
}

wire::reply run_zremrangebyscore(call& which) {
    const auto least = parse_bound(which.word(2));
    const auto most = parse_bound(which.word(3));
    if (!least || !most) return make_failure(no_bound);
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr) return make_integer(0);
    auto found = between(**held, *least, *most);
    std::int64_t removed = 0;
    while (found.first != found.last) {
        found.first = (*held)->erase(found.first);
        ++removed;
    }
    if (removed > 0) settle(which, **held);
    return make_integer(removed);
}

}  // namespace redislock::memory
