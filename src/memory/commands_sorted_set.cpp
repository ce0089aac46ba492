// Commands that change sorted sets, or tell of single members.
// https://redis.io/docs/latest/commands/zadd/
#include <cmath>
#include <iterator>
#include <optional>
#include <vector>

#include "memory/decimals.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "memory/score_range.hpp"

namespace redislock::memory {
namespace {

constexpr std::string_view not_a_float = "ERR value is not a valid float";

struct add_options {
    bool only_new = false;
    bool only_existing = false;
    bool only_greater = false;
    bool only_less = false;
    bool counts_changed = false;
    bool increments = false;
};

bool* option_named(add_options& options, std::string_view word) noexcept {
    if (is_word(word, "NX")) return &options.only_new;
    if (is_word(word, "XX")) return &options.only_existing;
    if (is_word(word, "GT")) return &options.only_greater;
    if (is_word(word, "LT")) return &options.only_less;
    if (is_word(word, "CH")) return &options.counts_changed;
    return is_word(word, "INCR") ? &options.increments : nullptr;
}

// What is wrong with them, if anything; `pairs` scores and members follow.
std::optional<std::string_view> refuse_options(const add_options& options, std::size_t words) noexcept {
    if (words == 0 || words % 2 != 0) return syntax_error;
    if (options.only_new && options.only_existing) {
        return "ERR XX and NX options at the same time are not compatible";
    }
    const int bounds =
        (options.only_greater ? 1 : 0) + (options.only_less ? 1 : 0) + (options.only_new ? 1 : 0);
    if (bounds > 1) return "ERR GT, LT, and/or NX options at the same time are not compatible";
    if (options.increments && words > 2) return "ERR INCR option supports a single increment-element pair";
    return std::nullopt;
}

// Whether the options let a member of this old score, or none, have the new one.
bool allowed(const add_options& options, const double* before, double score) noexcept {
    if (before == nullptr) return !options.only_existing;
    if (options.only_new) return false;
    if (options.only_greater) return score > *before;
    return !options.only_less || score < *before;
}

// Reads the scores in `words`, each followed by its member; nothing where one is no number.
std::optional<std::vector<double>> parse_scores(std::span<const std::string_view> words) {
    std::vector<double> scores;
    for (std::size_t i = 0; i < words.size(); i += 2) {
        const auto score = parse_decimal(words[i]);
        if (!score) return std::nullopt;
        scores.push_back(*score);
    }
    return scores;
}

wire::reply add(call& which, const add_options& options, std::span<const std::string_view> pairs) {
    const auto scores = parse_scores(pairs);
    if (!scores) return make_failure(not_a_float);
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    sorted_set* set = *held;
    if (set == nullptr && options.only_existing) return options.increments ? make_nil() : make_integer(0);
    std::int64_t added = 0;
    std::int64_t changed = 0;
    for (std::size_t i = 0; i < scores->size(); ++i) {
        const auto member = pairs[2 * i + 1];
        const double* before = set != nullptr ? set->score_of(member) : nullptr;
        double score = (*scores)[i];
        if (options.increments && before != nullptr) score += *before;
        if (std::isnan(score)) return make_failure("ERR resulting score is not a number (NaN)");
        const bool lets = allowed(options, before, score);
        if (options.increments && !lets) return make_nil();
        if (lets && before == nullptr) ++added;
        else if (lets && score != *before) ++changed;
        else if (!lets || !options.increments) continue;
        if (set == nullptr) set = &which.server.keys.make<sorted_set>(which.word(1));
        set->put(member, score);
        if (options.increments) {
            which.server.keys.touch(which.word(1));
            return make_text(to_decimal(score));
        }
    }
    if (added + changed > 0) which.server.keys.touch(which.word(1));
    return make_integer(options.counts_changed ? added + changed : added);
}

}  // namespace

wire::reply run_zadd(call& which) {
    add_options options;
    std::size_t first = 2;
    for (; first < which.words.size(); ++first) {
        bool* option = option_named(options, which.word(first));
        if (option == nullptr) break;
        *option = true;
    }
    if (const auto refusal = refuse_options(options, which.words.size() - first)) {
        return make_failure(*refusal);
    }
    return add(which, options, std::span(which.words).subspan(first));
}

wire::reply run_zincrby(call& which) {
    add_options options;
    options.increments = true;
    return add(which, options, std::span(which.words).subspan(2));
}

wire::reply run_zrem(call& which) { return remove_each<sorted_set>(which); }

wire::reply run_zscore(call& which) {
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    const double* score = *held != nullptr ? (*held)->score_of(which.word(2)) : nullptr;
    return score != nullptr ? make_text(to_decimal(*score)) : make_nil();
}

wire::reply run_zcard(call& which) {
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    return make_integer(*held != nullptr ? static_cast<std::int64_t>((*held)->size()) : 0);
}

wire::reply run_zrank(call& which) {
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr) return make_nil();
    const auto found = (*held)->find(which.word(2));
    if (found == (*held)->end()) return make_nil();
    return make_integer(std::distance((*held)->begin(), found));
}

wire::reply run_zpopmin(call& which) {
    if (which.words.size() > 3) return make_failure(syntax_error);
    std::int64_t count = 1;
    if (which.words.size() == 3) {
        const auto given = parse_number(which.word(2));
        if (!given || *given < 0) return make_failure("ERR value is out of range, must be positive");
        count = *given;
    }
    const auto held = value_at<sorted_set>(which);
    if (!held) return make_failure(wrong_type);
    auto said = make_array();
    if (*held == nullptr || count == 0) return said;
    const bool nested = which.words.size() == 3 && !which.in_script;
    for (; count > 0 && (*held)->size() > 0; --count) {
        const auto first = (*held)->begin();
        append_member(said, *first, true, nested);
        (*held)->erase(first);
    }
    settle(which, **held);
    return said;
}

}  // namespace redislock::memory
