// The optimistic strategy: WATCH and read, decide here, MULTI ... EXEC. A null reply says that
// somebody else wrote in between: again, after a jittered pause.
// https://redis.io/docs/latest/develop/using-commands/transactions/#optimistic-locking-using-check-and-set
#include <algorithm>

#include "accounts/call_script.hpp"
#include "accounts/codec.hpp"
#include "accounts/withdraw.hpp"
#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

constexpr nanos least_backoff = 250 * microsecond;
constexpr nanos most_backoff = 16 * millisecond;
constexpr nanos least_reconnect = 20 * millisecond;
constexpr nanos most_reconnect = 1 * second;

// What the window between WATCH and EXEC showed.
struct view {
    std::optional<receipt> decided;  ///< nothing is to be deducted; `recorded` says whether it is new
    amount balance = 0;
    std::int64_t time_ms = 0;
    bool history_full = false;
};

void fill_watch(engine::unit& target, const change& asked, bool watching) {
    target.policy = engine::resend::read;
    auto& out = target.commands;
    if (watching) out.add("UNWATCH");
    const std::string record =
        asked.idempotency_key.empty() ? std::string{} : asked.keys.record(asked.idempotency_key);
    out.begin(record.empty() ? 3 : 4);
    out.argument(std::string_view("WATCH"));
    out.argument(std::string_view(asked.keys.balance));
    out.argument(std::string_view(asked.keys.history));
    if (!record.empty()) out.argument(std::string_view(record));
    out.add("GET", asked.keys.balance);
    out.add("LLEN", asked.keys.history);
    out.add("TIME");
    // Inside the window, or many callers with one key would each see no record, and each charge.
    if (!record.empty()) out.add("GET", record);
}

result<view> read_view(const engine::answer& said, const settings& rules, const change& asked,
                       bool watching) {
    const std::size_t first = watching ? 2 : 1;
    const auto& balance_reply = said[first];
    const auto& length_reply = said[first + 1];
    for (std::size_t i = 0; i < said.size(); ++i) {
        const bool judged_below = &said[i] == &balance_reply || &said[i] == &length_reply;
        if (said[i].is_failure() && !judged_below) return wire::to_error(said[i]);
    }
    view seen;
    if (!asked.idempotency_key.empty() && !said[first + 3].is_nil()) {
        auto recorded = decode_record(said[first + 3].text, "withdraw", asked);
        if (!recorded) return recorded.error();
        seen.decided = *recorded;
        return seen;
    }
    auto balance = decode_balance(balance_reply, asked.keys);
    if (!balance) return balance.error();
    if (!*balance) {
        seen.decided = receipt{status::missing, {}, 1, 0, false};
        return seen;
    }
    if (length_reply.is_failure() && rules.history_limit > 0) {
        if (!length_reply.failed_with("WRONGTYPE")) return wire::to_error(length_reply);
        return error{errc::wrong_type,
                     "key '" + asked.keys.history +
                         "' should hold the account's history and holds another type; nothing was changed"};
    }
    seen.balance = **balance;
    seen.time_ms = decode_time_ms(said[first + 2]);
    seen.history_full = length_reply.integer >= static_cast<std::int64_t>(rules.history_limit);
    if (seen.balance < asked.amount) seen.decided = receipt{status::insufficient, seen.balance, 1, 0, false};
    return seen;
}

// Whether an outcome without a deduction has to be recorded before it may be told.
bool must_record(const view& seen, const change& asked) {
    return !asked.idempotency_key.empty() && seen.decided && !seen.decided->replayed &&
           seen.decided->status == status::insufficient;
}

void fill_exec(engine::unit& target, const settings& rules, const change& asked, const view& seen) {
    target.policy = policy_of(asked);
    auto& out = target.commands;
    out.add("MULTI");
    receipt outcome;
    if (seen.decided) {
        outcome = *seen.decided;
    } else {
        outcome.balance = seen.balance - asked.amount;
        out.add("DECRBY", asked.keys.balance, asked.amount);
        if (rules.history_limit > 0) {
            const history_entry entry{asked.amount, *outcome.balance, seen.time_ms, "watch",
                                      asked.idempotency_key};
            out.add("LPUSH", asked.keys.history, encode_entry(entry));
            if (seen.history_full) out.add("LTRIM", asked.keys.history, 0, rules.history_limit - 1);
        }
    }
    if (!asked.idempotency_key.empty()) {
        out.add("SET", asked.keys.record(asked.idempotency_key),
                encode_record("withdraw", asked.amount, outcome), "PX", rules.idempotency_ttl / millisecond);
    }
    out.add("EXEC");
}

error applied_in_part(const wire::reply& failure) {
    return {errc::outcome_unknown, "the server did not carry out the transaction as one step (" +
                                       failure.text +
                                       "): it may have been applied in part; look at balance and history"};
}

// True: done. False: somebody else wrote in between. An error: nothing was applied.
result<bool> read_exec(const engine::answer& said) {
    const auto& exec = said[said.size() - 1];
    // Permission for MULTI was proved when the connection was made. Taken away since then, the
    // commands behind it ran one by one: those that were not refused themselves.
    if (said[0].is_failure()) {
        for (std::size_t i = 1; i + 1 < said.size(); ++i) {
            if (!said[i].is_failure()) return applied_in_part(said[0]);
        }
    }
    if (const auto* failure = said.failure()) return wire::to_error(*failure);
    if (exec.is_nil()) return false;
    if (exec.type != wire::reply::kind::array) return applied_in_part(exec);
    const auto failed = std::find_if(exec.items.begin(), exec.items.end(),
                                     [](const auto& each) { return each.is_failure(); });
    if (failed != exec.items.end()) return applied_in_part(*failed);
    return true;
}

// One look and, if there is something to commit, one EXEC. Nullopt: a conflict. errc::lane_lost:
// nothing was applied, or the record will tell.
engine::task<result<std::optional<receipt>>> attempt(engine::context& with, engine::lane& lane,
                                                     const settings& rules, const change& asked) {
    const bool watching = lane.watching;
    auto look = with.make_slot();
    fill_watch(look->request, asked, watching);
    lane.watching = true;
    auto said = co_await with.send(lane, std::move(look));
    if (!said) co_return std::move(said.error());
    auto seen = read_view(*said, rules, asked, watching);
    if (!seen) co_return std::move(seen.error());
    if (seen->decided && !must_record(*seen, asked)) co_return seen->decided;

    auto commit = with.make_slot();
    fill_exec(commit->request, rules, asked, *seen);
    auto committed = co_await with.send(lane, std::move(commit));
    if (!committed) co_return std::move(committed.error());  // perhaps never sent: then the watch is in force
    lane.watching = (*committed)[0].is_failure();            // EXEC without MULTI ends no watch
    auto applied = read_exec(*committed);
    if (!applied) co_return std::move(applied.error());
    if (!*applied) co_return std::optional<receipt>{};
    if (!seen->decided) {
        seen->decided.emplace();
        seen->decided->balance = seen->balance - asked.amount;
    }
    co_return seen->decided;
}

// A deadline that passes in one attempt has its cause in the one before.
error with_cause(error ended, const std::string& last_loss) {
    const bool late = ended.code == errc::timed_out || ended.code == errc::outcome_unknown;
    if (late && !last_loss.empty()) ended.message += " (" + last_loss + ")";
    return ended;
}

}  // namespace

outcome withdraw_watch(engine::context& with, const settings& rules, const change& asked) {
    std::uint32_t conflicts = 0;
    std::uint32_t losses = 0;
    std::string last_loss;
    engine::lane lane;
    for (;;) {
        if (!lane) {
            auto granted = co_await with.exclusive();
            if (!granted) co_return with_cause(std::move(granted.error()), last_loss);
            lane = std::move(*granted);
        }
        auto tried = co_await attempt(with, lane, rules, asked);
        if (tried && *tried) {
            (*tried)->attempts = conflicts + 1;
            co_return **tried;
        }
        nanos pause = 0;
        if (tried) {
            if (++conflicts > rules.max_retries) co_return receipt{status::conflict, {}, conflicts, 0, false};
            pause = with.loop().backoff(conflicts - 1, least_backoff, most_backoff);
        } else if (tried.error().code == errc::lane_lost) {
            lane.give_up();  // the connection is gone: start again at WATCH on another, first at once
            last_loss = tried.error().message;
            if (losses++ > 0) pause = with.loop().backoff(losses - 2, least_reconnect, most_reconnect);
        } else {
            co_return with_cause(std::move(tried.error()), last_loss);
        }
        if (pause > 0) {
            auto slept = co_await with.sleep(pause);
            if (!slept) co_return with_cause(std::move(slept.error()), last_loss);
        }
    }
}

}  // namespace redislock::accounts
