// The twins of src/accounts/*.lua. Read one beside its script: the steps are the same, in the same
// order.
#include <optional>
#include <string>

#include "memory/replies.hpp"
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
    if (!found->text()->starts_with(same)) return "mismatch";
    return "=" + found->text()->substr(same.size());
}

// The answer, recorded; a failure where the record's time to live makes no sense.
wire::reply keep(state& server, const request_record& which, std::string_view words) {
    if (which.key.empty()) return make_text(words);
    const auto ttl = parse_number(which.ttl);
    if (!ttl) return make_failure(not_an_integer);
    const auto when = server.clock.after(*ttl, millisecond);
    if (*ttl <= 0 || !when) return make_failure("ERR invalid expire time in 'set' command");
    server.keys.set(which.key, opening_of(which).append(words), *when);
    return make_text(words);
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

std::optional<figures> take_figures(texts arguments) {
    const auto amount = parse_number(arguments[0]);
    const auto limit = parse_number(arguments[1]);
    if (!amount || !limit || *amount < 0) return std::nullopt;
    return figures{*amount, *limit};
}

// Stores what is left, notes it in the history, and answers.
wire::reply settle(state& server, texts keys, holdings& held, amount left, const line& what,
                   std::int64_t limit, const request_record& record) {
    held.balance_text->assign(digits(left).view());
    server.keys.touch(keys[0]);
    if (limit > 0) note(server, keys[1], held, what, static_cast<std::size_t>(limit));
    return keep(server, record, outcome_words("ok", *held.balance_text).view());
}

// withdraw.lua behind its look at the lock.
wire::reply take_amount(state& server, texts keys, texts arguments, const figures& asked,
                        const request_record& record) {
    holdings held;
    if (const auto refusal = inspect(server, keys, asked.limit > 0, held)) return make_text(*refusal);
    if (held.balance < asked.amount) {
        return keep(server, record, outcome_words("insufficient", *held.balance_text).view());
    }
    return settle(server, keys, held, held.balance - asked.amount,
                  {"", arguments[0], arguments[2], arguments[3]}, asked.limit, record);
}

}  // namespace

wire::reply run_withdraw(state& server, texts keys, texts arguments) {
    const auto asked = take_figures(arguments);
    if (!asked) return make_failure(not_an_integer);
    const auto id = arguments[3];
    const auto token = arguments[5];
    const request_record record{id.empty() || keys.size() < 3 ? std::string_view{} : keys[2], "withdraw",
                                arguments[0], arguments[4]};
    const auto lock = token.empty() ? std::string_view{} : keys.back();
    const bool ours = !lock.empty() && holds(server, lock, token);
    const auto recorded = record.key.empty() ? std::nullopt : find_recorded(server, record);
    if (!recorded && !lock.empty() && !ours) return make_text("lock_lost");
    auto said = recorded ? make_text(*recorded) : take_amount(server, keys, arguments, *asked, record);
    if (ours && !said.is_failure()) server.keys.erase(lock);  // a failure ends the script before that
    return said;
}

wire::reply run_deposit(state& server, texts keys, texts arguments) {
    const auto asked = take_figures(arguments);
    const auto room = parse_number(arguments[2]);
    if (!asked || !room) return make_failure(not_an_integer);
    const auto id = arguments[3];
    const request_record record{id.empty() || keys.size() < 3 ? std::string_view{} : keys[2], "deposit",
                                arguments[0], arguments[4]};
    if (!record.key.empty()) {
        if (const auto recorded = find_recorded(server, record)) return make_text(*recorded);
    }
    holdings held;
    if (const auto refusal = inspect(server, keys, asked->limit > 0, held)) return make_text(*refusal);
    if (held.balance > *room) {
        return keep(server, record, outcome_words("overflow", *held.balance_text).view());
    }
    return settle(server, keys, held, held.balance + asked->amount, {"-", arguments[0], "deposit", id},
                  asked->limit, record);
}

wire::reply run_init(state& server, texts keys, texts arguments) {
    if (arguments[1] == "1") {
        if (entry* found = server.keys.find(keys[0])) {
            if (found->text() == nullptr || !parse_canonical(*found->text())) return make_text("corrupt");
            return make_text("ok " + *found->text());
        }
    }
    server.keys.set(keys[0], arguments[0]);
    server.keys.erase(keys[1]);
    return make_text("ok " + std::string(arguments[0]));
}

wire::reply run_remove(state& server, texts keys, texts /*arguments*/) {
    const bool existed = server.keys.erase(keys[0]);
    server.keys.erase(keys[1]);
    return make_text(existed ? "ok" : "missing");
}

wire::reply run_release(state& server, texts keys, texts arguments) {
    const bool ours = holds(server, keys[0], arguments[0]);
    if (ours) server.keys.erase(keys[0]);
    return make_integer(ours ? 1 : 0);
}

}  // namespace redislock::memory
