// The twins of src/accounts/*.lua. Read one beside its script: the steps are the same, in the same
// order.
#include <optional>
#include <string>

#include "memory/answers.hpp"
#include "memory/twins.hpp"
#include "types/amount.hpp"

namespace redislock::memory {
namespace {

// Where the outcome of a request is remembered, if it is to be.
struct request_record {
    std::string_view key;  ///< empty: no idempotency key was given
    std::string_view operation;
    std::string_view amount;
    std::string_view ttl;
};

std::string opening_of(const request_record& which) {
    std::string text;
    text.reserve(64);
    return text.append(which.operation).append(" ").append(which.amount).append(" ");
}

// The answer that a record gives, if there is one: '=' and the outcome, or why not.
std::optional<std::string> find_recorded(state& server, const request_record& which) {
    entry* found = server.keys.find(which.key);
    if (found == nullptr) return std::nullopt;
    if (found->text() == nullptr) return "wrongtype record";
    const std::string same = opening_of(which);
    if (found->text()->compare(0, same.size(), same) != 0) return "mismatch";
    return "=" + found->text()->substr(same.size());
}

// Answers, and records the answer; false where the record's time to live makes no sense.
bool keep(state& server, const request_record& which, std::string_view words, wire::reply& out) {
    answer_text(out, words);
    if (which.key.empty()) return true;
    const auto ttl = parse_number(which.ttl);
    const auto when = ttl && *ttl > 0 ? server.clock.after(*ttl, millisecond) : std::nullopt;
    if (!when) {
        answer_failure(out, ttl ? "ERR invalid expire time in 'set' command" : not_an_integer);
        return false;
    }
    server.keys.set(which.key, opening_of(which).append(words), *when);
    return true;
}

struct holdings {
    std::string* balance_text = nullptr;
    redislock::amount balance = 0;
    text_ring* history = nullptr;  ///< null: none yet, or none is kept
};

// What stands in the way of a change, or nothing.
std::optional<std::string_view> inspect(state& server, texts keys, bool keeps_history, holdings& into) {
    entry* found = server.keys.find(keys[0]);
    if (found == nullptr) return "missing";
    into.balance_text = found->text();
    const auto balance = into.balance_text != nullptr ? parse_canonical(*into.balance_text) : std::nullopt;
    if (!balance) return "corrupt";
    into.balance = *balance;
    if (!keeps_history) return std::nullopt;
    entry* history = server.keys.find(keys[1]);
    if (history != nullptr && history->list() == nullptr) return "wrongtype history";
    into.history = history != nullptr ? history->list() : nullptr;
    return std::nullopt;
}

struct line {
    std::string_view sign;
    std::string_view amount;
    std::string_view strategy;
    std::string_view id;
};

// LPUSH of "3 97 1732222222222 lua key", then LTRIM.
void note(state& server, std::string_view key, const holdings& held, const line& what, std::size_t limit) {
    text_ring& history = held.history != nullptr ? *held.history : server.keys.make_list(key);
    std::string& text = history.push_front();
    text.append(what.sign).append(what.amount).append(" ").append(*held.balance_text).append(" ");
    text.append(digits(server.clock.wall() / millisecond).view()).append(" ").append(what.strategy);
    if (!what.id.empty()) text.append(" ").append(what.id);
    if (history.size() > limit) history.trim(0, limit);
    server.keys.touch(key);
}

// A word and a number in a buffer of their own: "ok 97".
class outcome_words {
public:
    outcome_words(std::string_view word, std::string_view number) noexcept {
        word.copy(text_, sizeof text_);
        text_[word.size()] = ' ';
        number.copy(text_ + word.size() + 1, sizeof text_ - word.size() - 1);
        size_ = word.size() + 1 + number.size();
    }
    std::string_view view() const noexcept { return {text_, size_}; }

private:
    char text_[40]{};
    std::size_t size_ = 0;
};

bool holds(state& server, std::string_view key, std::string_view text) {
    entry* found = server.keys.find(key);
    return found != nullptr && found->text() != nullptr && *found->text() == text;
}

// Both arguments come from the core, which writes them as plain numbers.
struct figures {
    redislock::amount amount;
    std::int64_t limit;
};

std::optional<figures> take_figures(texts arguments, wire::reply& out) {
    const auto amount = parse_number(arguments[0]);
    const auto limit = parse_number(arguments[1]);
    if (amount && limit && *amount >= 0) return figures{*amount, *limit};
    answer_failure(out, not_an_integer);
    return std::nullopt;
}

}  // namespace

void run_withdraw(state& server, texts keys, texts arguments, wire::reply& out) {
    const auto asked = take_figures(arguments, out);
    if (!asked) return;
    const auto id = arguments[3];
    const auto token = arguments[5];
    const request_record record{id.empty() || keys.size() < 3 ? std::string_view{} : keys[2], "withdraw",
                                arguments[0], arguments[4]};
    const auto lock = token.empty() ? std::string_view{} : keys.back();
    const bool ours = !lock.empty() && holds(server, lock, token);
    const auto release = [&] {
        if (ours) server.keys.erase(lock);
    };

    if (!record.key.empty()) {
        if (const auto recorded = find_recorded(server, record)) {
            release();
            return answer_text(out, *recorded);
        }
    }
    if (!lock.empty() && !ours) return answer_text(out, "lock_lost");
    holdings held;
    if (const auto refusal = inspect(server, keys, asked->limit > 0, held)) {
        release();
        return answer_text(out, *refusal);
    }
    if (held.balance < asked->amount) {
        if (keep(server, record, outcome_words("insufficient", *held.balance_text).view(), out)) release();
        return;
    }
    held.balance_text->assign(digits(held.balance - asked->amount).view());
    server.keys.touch(keys[0]);
    const outcome_words words("ok", *held.balance_text);
    if (asked->limit > 0) {
        note(server, keys[1], held, {"", arguments[0], arguments[2], id},
             static_cast<std::size_t>(asked->limit));
    }
    if (keep(server, record, words.view(), out)) release();
}

void run_deposit(state& server, texts keys, texts arguments, wire::reply& out) {
    const auto asked = take_figures(arguments, out);
    if (!asked) return;
    const auto room = parse_number(arguments[2]);
    if (!room) return answer_failure(out, not_an_integer);
    const auto id = arguments[3];
    const request_record record{id.empty() || keys.size() < 3 ? std::string_view{} : keys[2], "deposit",
                                arguments[0], arguments[4]};
    if (!record.key.empty()) {
        if (const auto recorded = find_recorded(server, record)) return answer_text(out, *recorded);
    }
    holdings held;
    if (const auto refusal = inspect(server, keys, asked->limit > 0, held)) return answer_text(out, *refusal);
    if (held.balance > *room) {
        keep(server, record, outcome_words("overflow", *held.balance_text).view(), out);
        return;
    }
    held.balance_text->assign(digits(held.balance + asked->amount).view());
    server.keys.touch(keys[0]);
    const outcome_words words("ok", *held.balance_text);
    if (asked->limit > 0) {
        note(server, keys[1], held, {"-", arguments[0], "deposit", id},
             static_cast<std::size_t>(asked->limit));
    }
    keep(server, record, words.view(), out);
}

void run_init(state& server, texts keys, texts arguments, wire::reply& out) {
    if (arguments[1] == "1") {
        if (entry* found = server.keys.find(keys[0])) {
            if (found->text() == nullptr || !parse_canonical(*found->text()))
                return answer_text(out, "corrupt");
            return answer_text(out, "ok " + *found->text());
        }
    }
    server.keys.set(keys[0], arguments[0]);
    server.keys.erase(keys[1]);
    answer_text(out, "ok " + std::string(arguments[0]));
}

void run_remove(state& server, texts keys, texts /*arguments*/, wire::reply& out) {
    const bool existed = server.keys.erase(keys[0]);
    server.keys.erase(keys[1]);
    answer_text(out, existed ? "ok" : "missing");
}

void run_release(state& server, texts keys, texts arguments, wire::reply& out) {
    const bool ours = holds(server, keys[0], arguments[0]);
    if (ours) server.keys.erase(keys[0]);
    answer_integer(out, ours ? 1 : 0);
}

}  // namespace redislock::memory
