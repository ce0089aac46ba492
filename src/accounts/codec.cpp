#include "accounts/codec.hpp"

#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

std::string_view take_word(std::string_view& text) noexcept {
    const auto space = text.find(' ');
    const auto word = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
    return word;
}

error corrupt(const account_keys& keys) {
    return {errc::corrupt_balance, "key '" + keys.balance +
                                       "' does not hold a balance: a whole number from 0 to 2^63-1 in plain "
                                       "digits is needed; it was left as it is"};
}

error mismatch(const change& asked) {
    return {
        errc::idempotency_mismatch,
        "idempotency_key '" + asked.idempotency_key +
            "' was used for another operation or amount on this account; nothing was changed; use a new key"};
}

error wrong_type(std::string_view which, const change& asked) {
    const std::string key =
        which == "history" ? asked.keys.history : asked.keys.record(asked.idempotency_key);
    return {errc::wrong_type, "key '" + key + "' should hold the account's " + std::string(which) +
                                  " and holds another type; nothing was changed"};
}

// "ok 97" or "missing"
std::optional<receipt> decode_words(std::string_view text) {
    const auto status = parse_status(take_word(text));
    if (!status) return std::nullopt;
    receipt outcome;
    outcome.status = *status;
    if (!text.empty()) {
        outcome.balance = parse_canonical(text);
        if (!outcome.balance) return std::nullopt;
    }
    return outcome;
}

error senseless(std::string_view text) {
    return {errc::protocol, "the server's answer makes no sense: '" + std::string(text.substr(0, 100)) + "'"};
}

}  // namespace

result<receipt> decode_outcome(const wire::reply& said, const change& asked) {
    if (said.is_failure()) return wire::to_error(said);
    std::string_view text = said.text;
    const bool replayed = !text.empty() && text.front() == '=';
    if (replayed) text.remove_prefix(1);
    if (auto outcome = decode_words(text)) {
        outcome->replayed = replayed;
        return *outcome;
    }
    if (text == "corrupt") return corrupt(asked.keys);
    if (text == "mismatch") return mismatch(asked);
    std::string_view rest = text;
    const auto word = take_word(rest);
    if (word == "wrongtype") return wrong_type(rest, asked);
    return senseless(text);
}

result<receipt> decode_record(std::string_view record, std::string_view operation, const change& asked) {
    std::string_view rest = record;
    const auto recorded_operation = take_word(rest);
    const auto recorded_amount = take_word(rest);
    if (recorded_operation != operation || recorded_amount != digits(asked.amount).view())
        return mismatch(asked);
    auto outcome = decode_words(rest);
    if (!outcome) return senseless(record);
    outcome->replayed = true;
    return *outcome;
}

std::optional<receipt> decode_any_record(std::string_view record) {
    take_word(record);
    take_word(record);
    auto outcome = decode_words(record);
    if (outcome) outcome->replayed = true;
    return outcome;
}

std::string encode_record(std::string_view operation, amount value, const receipt& outcome) {
    std::string text(operation);
    text.append(" ").append(digits(value).view()).append(" ").append(to_string(outcome.status));
    if (outcome.balance) text.append(" ").append(digits(*outcome.balance).view());
    return text;
}

std::string encode_entry(const history_entry& entry) {
    std::string text(digits(entry.amount).view());
    text.append(" ").append(digits(entry.balance).view());
    text.append(" ").append(digits(entry.time_ms).view());
    text.append(" ").append(entry.strategy);
    if (!entry.idempotency_key.empty()) text.append(" ").append(entry.idempotency_key);
    return text;
}

std::optional<history_entry> decode_entry(std::string_view text) {
    const auto value = parse_integer(take_word(text));
    const auto balance = parse_integer(take_word(text));
    const auto time = parse_integer(take_word(text));
    if (!value || !balance || !time) return std::nullopt;
    history_entry entry{*value, *balance, *time, std::string(take_word(text)), {}};
    entry.idempotency_key = text;
    return entry;
}

result<std::optional<amount>> decode_balance(const wire::reply& said, const account_keys& keys) {
    if (said.is_nil()) return std::optional<amount>{};
    if (said.failed_with("WRONGTYPE")) return corrupt(keys);
    if (said.is_failure()) return wire::to_error(said);
    const auto value = parse_canonical(said.text);
    if (!value) return corrupt(keys);
    return value;
}

std::int64_t decode_time_ms(const wire::reply& said) {
    if (said.items.size() != 2) return 0;
    return parse_integer(said.items[0].text).value_or(0) * 1000 +
           parse_integer(said.items[1].text).value_or(0) / 1000;
}

}  // namespace redislock::accounts
