#include "stock/stock.hpp"

#include <array>
#include <span>

#include "stock/codec.hpp"
#include "stock/scripts.hpp"
#include "wire/server_error.hpp"

namespace redislock::stock {
namespace {

constexpr std::int64_t settled_at_once = 1000;  // so that no script runs for long

// Level, holds and buyers, which all scripts get, and the record and the outbox, where there is one.
std::array<std::string_view, 5> keys_of(const settings& rules, std::string_view record = {}) {
    return {rules.keys.level, rules.keys.holds, rules.keys.buyers, record, rules.keys.outbox};
}

bool is_definite(errc code) noexcept {
    return code == errc::corrupt_balance || code == errc::wrong_type || code == errc::outcome_unknown;
}

// A verdict that the server did not come to for this very request.
bool is_guess(const receipt& ended) noexcept {
    return ended.verdict == verdict::retry_later && ended.reason != "backlog";
}

}  // namespace

result<receipt> settle(const engine::context& with, result<receipt> ended) {
    if (ended) {
        ended->elapsed = with.elapsed();
        if (!with.in_doubt || !is_guess(*ended)) return ended;
        return {errc::outcome_unknown,
                "an earlier attempt was written and never answered, and repeating it "
                "ended in " +
                    ended->reason + ": it may or may not have been applied; ask what became of the order"};
    }
    if (with.in_doubt && !is_definite(ended.error().code)) {
        return {errc::outcome_unknown,
                "an earlier attempt was written and never answered, and repeating it failed (" +
                    ended.error().message + "): it may or may not have been applied"};
    }
    return ended;
}

outcome set(engine::context& with, const settings& rules, amount level, bool if_missing) {
    auto slot = with.make_slot();
    const digits wanted(level);
    const std::array<std::string_view, 2> arguments{wanted.view(), if_missing ? "1" : "0"};
    const auto keys = keys_of(rules);
    // Without it a repetition could overwrite what was sold in between.
    slot->request.policy = if_missing ? engine::resend::recorded : engine::resend::once;
    slot->request.evalsha(scripts::set, std::span(keys).first<3>(), arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_receipt((*said)[0], rules);
}

engine::task<result<stock_level>> sweep(engine::context& with, const settings& rules) {
    std::uint64_t settled = 0;
    for (;;) {
        auto slot = with.make_slot();
        const digits most(settled_at_once);
        const auto keys = keys_of(rules);
        slot->request.policy = engine::resend::token;
        slot->request.evalsha(scripts::sweep, std::span(keys).first<3>(),
                              std::array<std::string_view, 1>{most.view()});
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        auto found = decode_level((*said)[0], rules);
        if (!found) co_return std::move(found.error());
        settled += found->settled;
        if (found->settled < static_cast<std::uint64_t>(settled_at_once)) {
            found->settled = settled;
            co_return *found;
        }
    }
}

outcome confirm(engine::context& with, const settings& rules, const reservation& asked) {
    auto slot = with.make_slot();
    const digits lives(rules.remembered / millisecond);
    slot->request.policy = engine::resend::recorded;
    slot->request.evalsha(scripts::confirm, keys_of(rules, asked.record),
                          std::array<std::string_view, 5>{asked.id, asked.token, lives.view(),
                                                          rules.outbox ? "1" : "0", rules.sku});
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_receipt((*said)[0], rules, asked.record);
}

outcome cancel(engine::context& with, const settings& rules, const reservation& asked) {
    auto slot = with.make_slot();
    const digits lives(rules.remembered / millisecond);
    const auto keys = keys_of(rules, asked.record);
    slot->request.policy = engine::resend::recorded;
    slot->request.evalsha(scripts::cancel, std::span(keys).first<4>(),
                          std::array<std::string_view, 3>{asked.id, asked.token, lives.view()});
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_receipt((*said)[0], rules, asked.record);
}

outcome find(engine::context& with, const settings& rules, const reservation& asked) {
    auto slot = with.make_slot();
    const auto keys = keys_of(rules, asked.record);
    slot->request.policy = engine::resend::read;
    slot->request.evalsha(scripts::find, std::span(keys).first<4>(),
                          std::array<std::string_view, 1>{asked.id});
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_receipt((*said)[0], rules, asked.record);
}

engine::task<result<std::uint64_t>> backlog(engine::context& with, const settings& rules) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("XLEN", rules.keys.outbox);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return static_cast<std::uint64_t>((*said)[0].integer);
}

}  // namespace redislock::stock
