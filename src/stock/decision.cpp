#include "stock/decision.hpp"

#include "accounts/codec.hpp"
#include "stock/codec.hpp"
#include "stock/stock.hpp"
#include "wire/server_error.hpp"

namespace redislock::stock {
namespace {

// The places of the replies, behind the first.
enum place : std::size_t { level, record, earliest, holds, outbox, time, buyer };

// Of the one hold that was asked for: as a list, or in protocol 3 as a list of lists.
std::optional<std::int64_t> earliest_end(const wire::reply& said) {
    if (said.items.empty()) return std::nullopt;
    const auto& pair = said.items.front().items.empty() ? said : said.items.front();
    return pair.items.size() == 2 ? parse_score(pair.items[1].text) : std::nullopt;
}

// The same words as in shelf.lua.
std::string hold_of(const order& asked) {
    std::string text(digits(asked.quantity).view());
    text.append(" ").append(digits(static_cast<std::int64_t>(asked.user.size())).view());
    return text.append(" ").append(asked.user).append(asked.id);
}

std::string record_of(const order& asked, std::string_view state, amount left) {
    std::string text(state);
    text.append(" ").append(digits(asked.quantity).view()).append(" ").append(digits(left).view());
    return text.append(" ").append(asked.token).append(" - ").append(asked.user);
}

}  // namespace

engine::task<result<std::optional<receipt>>> follow_up(engine::context& with, const settings& rules,
                                                       const order& asked, const draft& seen) {
    if (seen.needs == draft::need::nothing) co_return std::optional<receipt>(seen);
    if (seen.needs == draft::need::record) {
        auto told = co_await order_lua(with, rules, asked);
        if (!told) co_return std::move(told.error());
        told->attempts = seen.attempts;
        co_return std::optional<receipt>(std::move(*told));
    }
    auto swept = co_await sweep(with, rules);
    if (!swept) co_return std::move(swept.error());
    co_return std::optional<receipt>{};
}

void decision::look(wire::commands& out) const {
    out.add("GET", rules_.keys.level);
    out.add("GET", asked_.record);
    out.add("ZRANGE", rules_.keys.holds, 0, 0, "WITHSCORES");
    out.add("ZCARD", rules_.keys.holds);
    out.add("XLEN", rules_.keys.outbox);
    out.add("TIME");
    if (!asked_.user.empty()) out.add("HGET", rules_.keys.buyers, asked_.user);
}

draft decision::ended(verdict how) const {
    draft made;
    made.verdict = how;
    if (how != verdict::missing) made.level = level_;
    return made;
}

// Nothing where there is no stock. In the order in which order.lua looks.
result<std::optional<decision::stored>> decision::read(const engine::answer& said, std::size_t first) const {
    if (said[first + place::time].is_failure()) return wire::to_error(said[first + place::time]);
    auto found = decode_stored_level(said[first + place::level], rules_);
    if (!found) return found.error();
    if (!*found) return std::optional<stored>{};
    stored values{**found, 0};
    for (const auto at : {place::earliest, place::holds}) {
        if (said[first + at].is_failure()) return to_error(said[first + at], "reservations", rules_);
    }
    if (asked_.user.empty()) return std::optional(values);
    const auto& has = said[first + place::buyer];
    if (has.is_failure()) return to_error(has, "buyers", rules_);
    if (has.is_nil()) return std::optional(values);
    const auto number = parse_integer(has.text);
    if (!number) return make_wrong_type("buyers", rules_);
    values.has = *number;
    return std::optional(values);
}

result<std::optional<draft>> decision::looked(const engine::answer& said, std::size_t first) {
    const auto& known = said[first + place::record];
    if (known.is_failure()) return to_error(known, "order", rules_, asked_.record);
    if (!known.is_nil()) {
        auto made = ended(verdict::duplicate);
        made.needs = draft::need::record;
        return std::optional(made);
    }
    const auto found = read(said, first);
    if (!found) return found.error();
    if (!*found) return std::optional(ended(verdict::missing));
    level_ = (*found)->level;
    now_ms_ = accounts::decode_time_ms(said[first + place::time]);
    const auto due = earliest_end(said[first + place::earliest]);
    if (due && *due <= now_ms_) {
        auto made = ended(verdict::retry_later);
        made.needs = draft::need::sweep;
        return std::optional(made);
    }
    // No sum: what is stored may be near the largest number.
    if (asked_.limit > 0 && (*found)->has > asked_.limit - asked_.quantity) {
        return std::optional(ended(verdict::limit));
    }
    if (level_ < asked_.quantity) return std::optional(ended(verdict::sold_out));
    const auto& waiting = said[first + place::outbox];
    const bool matters = rules_.backlog > 0 || (rules_.outbox && !asked_.reserves);
    if (matters && waiting.is_failure()) return to_error(waiting, "outbox", rules_);
    const auto orders = static_cast<std::uint64_t>(waiting.integer + said[first + place::holds].integer);
    if (rules_.backlog > 0 && orders >= rules_.backlog) {
        auto made = ended(verdict::retry_later);
        made.reason = "backlog";
        return std::optional(made);
    }
    return std::optional<draft>{};
}

void decision::commit(wire::commands& out, bool overwrites) const {
    const amount left = level_ - asked_.quantity;
    if (asked_.reserves) {
        out.add("ZADD", rules_.keys.holds, now_ms_ + rules_.hold / millisecond, hold_of(asked_));
    } else if (rules_.outbox) {
        out.add("XADD", rules_.keys.outbox, "*", "order_id", asked_.id, "sku", rules_.sku, "qty",
                asked_.quantity, "user", asked_.user, "at", now_ms_);
    }
    if (overwrites) out.add("SET", rules_.keys.level, left);
    else out.add("DECRBY", rules_.keys.level, asked_.quantity);
    if (!asked_.user.empty()) out.add("HINCRBY", rules_.keys.buyers, asked_.user, asked_.quantity);
    out.add("SET", asked_.record, record_of(asked_, state(), left), "PX", rules_.remembered / millisecond);
}

receipt decision::committed() const {
    receipt made;
    made.level = level_ - asked_.quantity;
    made.quantity = asked_.quantity;
    made.state = state();
    return made;
}

}  // namespace redislock::stock
