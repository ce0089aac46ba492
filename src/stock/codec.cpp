#include "stock/codec.hpp"

#include <algorithm>
#include <string>

#include "wire/server_error.hpp"

namespace redislock::stock {
namespace {

constexpr std::array<std::string_view, verdict_count> verdict_names{"ok",        "sold_out",    "limit",
                                                                    "duplicate", "retry_later", "missing"};
constexpr std::array<std::string_view, 2> retry_words{"backlog", "lock_lost"};

std::string_view take_word(std::string_view& text) noexcept {
    const auto space = text.find(' ');
    const auto word = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    return word;
}

error senseless(std::string_view text) {
    return {errc::protocol, "the server's answer makes no sense: '" + std::string(text.substr(0, 100)) + "'"};
}

error corrupt(const settings& rules) {
    return {errc::corrupt_balance, "key '" + rules.keys.level +
                                       "' does not hold a stock's level: a whole number from 0 to 10^15-1 in "
                                       "plain digits is needed; it was left as it is"};
}

// What a failed script says, in words.
error failed(std::string_view text, const settings& rules, std::string_view record) {
    if (text == "corrupt") return corrupt(rules);
    std::string_view rest = text;
    if (take_word(rest) == "wrongtype") return make_wrong_type(rest, rules, record);
    return senseless(text);
}

bool is_retry_word(std::string_view word) noexcept {
    return std::find(retry_words.begin(), retry_words.end(), word) != retry_words.end();
}

}  // namespace

std::string_view to_string(verdict value) noexcept { return verdict_names[static_cast<std::size_t>(value)]; }

std::optional<verdict> parse_verdict(std::string_view name) noexcept {
    for (std::size_t i = 0; i < verdict_count; ++i) {
        if (verdict_names[i] == name) return static_cast<verdict>(i);
    }
    return std::nullopt;
}

error make_wrong_type(std::string_view what, const settings& rules, std::string_view record) {
    std::string key(record);
    if (what == "reservations") key = rules.keys.holds;
    if (what == "buyers") key = rules.keys.buyers;
    if (what == "outbox") key = rules.keys.outbox;
    return {errc::wrong_type, "key '" + key + "' should hold the stock's " + std::string(what) +
                                  " and holds something else; nothing was changed"};
}

error to_error(const wire::reply& failure, std::string_view what, const settings& rules,
               std::string_view record) {
    return failure.failed_with("WRONGTYPE") ? make_wrong_type(what, rules, record) : wire::to_error(failure);
}

result<std::optional<amount>> decode_stored_level(const wire::reply& said, const settings& rules) {
    if (said.is_nil()) return std::optional<amount>{};
    if (said.failed_with("WRONGTYPE")) return corrupt(rules);
    if (said.is_failure()) return wire::to_error(said);
    const auto value = parse_canonical(said.text);
    if (!value || *value > max_level) return corrupt(rules);
    return value;
}

std::optional<std::int64_t> parse_score(std::string_view text) {
    const auto exponent_at = text.find('e');
    std::int64_t shift = 0;
    if (exponent_at != std::string_view::npos) {
        auto exponent = text.substr(exponent_at + 1);
        if (exponent.starts_with('+')) exponent.remove_prefix(1);
        const auto value = parse_integer(exponent);
        if (!value || *value < 0 || *value > 18) return std::nullopt;
        shift = *value;
    }
    std::string digits_of(text.substr(0, exponent_at));
    if (const auto point = digits_of.find('.'); point != std::string::npos) {
        shift -= static_cast<std::int64_t>(digits_of.size() - point - 1);
        digits_of.erase(point, 1);
    }
    if (shift < 0 || digits_of.empty()) return std::nullopt;
    return parse_integer(digits_of.append(static_cast<std::size_t>(shift), '0'));
}

result<receipt> decode_receipt(const wire::reply& said, const settings& rules, std::string_view record) {
    if (said.is_failure()) return wire::to_error(said);
    std::string_view rest = said.text;
    const auto word = take_word(rest);
    receipt read;
    if (is_retry_word(word)) {
        read.verdict = verdict::retry_later;
        read.reason = word;
    } else if (const auto known = parse_verdict(word)) {
        read.verdict = *known;
    } else {
        return failed(said.text, rules, record);
    }
    if (rest.empty()) return read;
    read.level = parse_canonical(take_word(rest));
    if (!read.level) return senseless(said.text);
    if (rest.empty()) return read;
    read.quantity = parse_canonical(take_word(rest));
    if (!read.quantity || rest.empty()) return senseless(said.text);
    read.state = rest;
    return read;
}

result<stock_level> decode_level(const wire::reply& said, const settings& rules) {
    if (said.is_failure()) return wire::to_error(said);
    if (said.text == "missing") return stock_level{};
    std::string_view rest = said.text;
    if (take_word(rest) != "ok") return failed(said.text, rules, {});
    const auto level = parse_canonical(take_word(rest));
    const auto settled = parse_canonical(rest);
    if (!level || !settled) return senseless(said.text);
    return stock_level{level, static_cast<std::uint64_t>(*settled)};
}

}  // namespace redislock::stock
