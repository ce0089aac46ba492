#include "accounts/naive.hpp"

#include "accounts/codec.hpp"
#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

struct reading {
    std::optional<amount> balance;
    std::int64_t time_ms = 0;
};

engine::task<result<reading>> read(engine::context& with, const change& asked) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("GET", asked.keys.balance).add("TIME");
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    auto balance = decode_balance((*said)[0], asked.keys);
    if (!balance) co_return std::move(balance.error());
    if ((*said)[1].is_failure()) co_return wire::to_error((*said)[1]);
    reading seen;
    seen.balance = *balance;
    seen.time_ms = decode_time_ms((*said)[1]);
    co_return seen;
}

// Whatever happened since the reading is overwritten: that is the point.
outcome write(engine::context& with, const settings& rules, const change& asked, history_entry entry) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::once;
    auto& out = slot->request.commands;
    out.add("SET", asked.keys.balance, entry.balance);
    if (rules.history_limit > 0) {
        out.add("LPUSH", asked.keys.history, encode_entry(entry));
        out.add("LTRIM", asked.keys.history, 0, rules.history_limit - 1);
    }
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if ((*said)[0].is_failure()) co_return wire::to_error((*said)[0]);
    co_return receipt{status::ok, entry.balance, 1, 0, false};
}

receipt without_change(status why, std::optional<amount> balance) {
    return receipt{why, balance, 1, 0, false};
}

}  // namespace

outcome withdraw_naive(engine::context& with, const settings& rules, const change& asked) {
    auto seen = co_await read(with, asked);
    if (!seen) co_return std::move(seen.error());
    if (!seen->balance) co_return without_change(status::missing, {});
    const amount balance = *seen->balance;
    if (balance < asked.amount) co_return without_change(status::insufficient, balance);
    history_entry entry{asked.amount, balance - asked.amount, seen->time_ms, "naive", {}};
    co_return co_await write(with, rules, asked, std::move(entry));
}

outcome deposit_naive(engine::context& with, const settings& rules, const change& asked) {
    auto seen = co_await read(with, asked);
    if (!seen) co_return std::move(seen.error());
    if (!seen->balance) co_return without_change(status::missing, {});
    const amount balance = *seen->balance;
    if (balance > max_amount - asked.amount) co_return without_change(status::overflow, balance);
    history_entry entry{-asked.amount, balance + asked.amount, seen->time_ms, "deposit_naive", {}};
    co_return co_await write(with, rules, asked, std::move(entry));
}

}  // namespace redislock::accounts
