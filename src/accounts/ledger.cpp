#include "accounts/ledger.hpp"

#include <array>

#include "accounts/call_script.hpp"
#include "accounts/codec.hpp"
#include "accounts/scripts.hpp"
#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

bool is_guess(status value) noexcept {
    return value == status::lock_busy || value == status::conflict || value == status::lock_lost;
}

bool is_definite(errc code) noexcept {
    return code == errc::idempotency_mismatch || code == errc::corrupt_balance || code == errc::wrong_type ||
           code == errc::outcome_unknown;
}

}  // namespace

result<receipt> settle(const engine::context& with, result<receipt> ended) {
    if (ended) {
        ended->elapsed = with.elapsed();
        if (!with.in_doubt || !is_guess(ended->status)) return ended;
        return {errc::outcome_unknown,
                "an earlier attempt was written and never answered, and repeating it ended in " +
                    std::string(to_string(ended->status)) +
                    ": it may or may not have been applied; ask again with the same idempotency_key"};
    }
    if (with.in_doubt && !is_definite(ended.error().code)) {
        return {errc::outcome_unknown,
                "an earlier attempt was written and never answered, and repeating it failed (" +
                    ended.error().message + "): it may or may not have been applied"};
    }
    return ended;
}

outcome init(engine::context& with, const change& asked, bool if_missing) {
    auto slot = with.make_slot();
    const digits balance(asked.amount);
    const std::array<std::string_view, 2> keys{asked.keys.balance, asked.keys.history};
    const std::array<std::string_view, 2> arguments{balance.view(), if_missing ? "1" : "0"};
    slot->request.policy = if_missing ? engine::resend::recorded : engine::resend::once;
    slot->request.evalsha(scripts::init, keys, arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_outcome((*said)[0], asked);
}

outcome deposit(engine::context& with, const settings& rules, const change& asked) {
    auto slot = with.make_slot();
    call_deposit(slot->request, rules, asked);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_outcome((*said)[0], asked);
}

outcome remove(engine::context& with, const account_keys& keys) {
    auto slot = with.make_slot();
    const std::array<std::string_view, 2> names{keys.balance, keys.history};
    slot->request.policy = engine::resend::once;
    slot->request.evalsha(scripts::remove, names, std::array<std::string_view, 0>{});
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    change nothing;
    nothing.keys = keys;
    co_return decode_outcome((*said)[0], nothing);
}

engine::task<result<std::optional<amount>>> balance(engine::context& with, const account_keys& keys) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("GET", keys.balance);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_balance((*said)[0], keys);
}

engine::task<result<std::vector<history_entry>>> history(engine::context& with, const account_keys& keys,
                                                         std::uint32_t limit) {
    std::vector<history_entry> entries;
    if (limit == 0) co_return entries;
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("LRANGE", keys.history, 0, limit - 1);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    for (const auto& each : (*said)[0].items) {
        auto entry = decode_entry(each.text);
        if (!entry) {
            co_return error{errc::wrong_type,
                            "key '" + keys.history + "' holds an entry that was not written here"};
        }
        entries.push_back(std::move(*entry));
    }
    co_return entries;
}

engine::task<result<std::optional<receipt>>> recorded(engine::context& with, const account_keys& keys,
                                                      const std::string& idempotency_key) {
    const std::string key = keys.record(idempotency_key);
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("GET", key);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    if ((*said)[0].is_nil()) co_return std::optional<receipt>{};
    auto found = decode_any_record((*said)[0].text);
    if (!found)
        co_return error{errc::wrong_type,
                        "key '" + key + "' should hold a request record and holds something else"};
    co_return found;
}

}  // namespace redislock::accounts
