#include "coordination/rate_limit.hpp"

#include <array>
#include <numeric>

#include "coordination/scripts.hpp"
#include "types/amount.hpp"
#include "types/keys.hpp"
#include "wire/server_error.hpp"

namespace redislock::coordination {
namespace {

constexpr auto largest_exact = static_cast<double>(std::int64_t{1} << 53U);  // numbers in Lua are doubles
constexpr double longest_us = 1e15;                                          // three decades

std::string state_of(const std::string& key) { return side_key(key, "rate"); }

}  // namespace

result<rate> rate::make(std::int64_t count, nanos per, std::int64_t burst) {
    const std::int64_t per_us = per / microsecond;
    const std::int64_t common = std::gcd(count, per_us);
    rate made;
    made.denominator_ = count / common;
    made.whole_us_ = per_us / common / made.denominator_;
    made.numerator_ = per_us / common % made.denominator_;
    made.burst_ = burst;
    const double capacity = static_cast<double>(burst) + 1;
    if (capacity * static_cast<double>(made.numerator_ + made.denominator_) > largest_exact ||
        capacity * static_cast<double>(made.whole_us_ + 1) > longest_us) {
        return {errc::invalid_argument,
                "rate, per and burst are too large together to be computed exactly; use rounder numbers"};
    }
    return made;
}

engine::task<result<verdict>> ask_rate(engine::context& with, const rate_question& asked) {
    auto slot = with.make_slot();
    const std::string state = state_of(asked.key);
    const digits whole(asked.limit.whole_us());
    const digits numerator(asked.limit.numerator());
    const digits denominator(asked.limit.denominator());
    const digits burst(asked.limit.burst());
    const digits cost(asked.cost);
    const digits patience(asked.patience_us);
    const std::array<std::string_view, 1> keys{state};
    const std::array<std::string_view, 7> arguments{
        whole.view(), numerator.view(), denominator.view(),     burst.view(),
        cost.view(),  patience.view(),  asked.looks ? "0" : "1"};
    slot->request.policy = asked.looks ? engine::resend::read : engine::resend::token;
    slot->request.evalsha(scripts::rate_limit, keys, arguments);
    auto answered = co_await with.send(std::move(slot));
    if (!answered) co_return std::move(answered.error());
    const wire::reply& said = (*answered)[0];
    if (said.is_failure()) co_return wire::to_error(said);
    if (said.text == "wrongtype") {
        co_return error{errc::wrong_type, "key '" + state +
                                              "' should hold the state of a rate limit and holds something "
                                              "else; nothing was changed"};
    }
    if (said.items.size() != 6) co_return error{errc::protocol, "the server's answer makes no sense"};
    const auto number = [&said](std::size_t at) { return said.items[at].integer; };
    co_return verdict{number(0) == 1, number(1), number(2), number(3), number(4), number(5)};
}

engine::task<result<done>> reset_rate(engine::context& with, const std::string& key) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::token;
    slot->request.commands.add("DEL", state_of(key));
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return done{};
}

}  // namespace redislock::coordination
