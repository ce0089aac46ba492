#include "accounts/call_script.hpp"

#include <array>
#include <span>

#include "accounts/scripts.hpp"

namespace redislock::accounts {

void call_withdraw(engine::unit& target, strategy how, const settings& rules, const change& asked,
                   std::string_view token) {
    std::array<std::string_view, 4> keys{asked.keys.balance, asked.keys.history};
    std::size_t count = 2;
    const std::string record =
        asked.idempotency_key.empty() ? std::string{} : asked.keys.record(asked.idempotency_key);
    if (!record.empty()) keys[count++] = record;
    if (!token.empty()) keys[count++] = asked.keys.lock;
    const digits amount(asked.amount);
    const digits limit(rules.history_limit);
    const digits ttl(rules.idempotency_ttl / millisecond);
    const std::array<std::string_view, 6> arguments{amount.view(),         limit.view(), to_string(how),
                                                    asked.idempotency_key, ttl.view(),   token};
    target.policy = policy_of(asked);
    target.evalsha(scripts::withdraw, std::span(keys.data(), count), arguments);
}

void call_deposit(engine::unit& target, const settings& rules, const change& asked) {
    std::array<std::string_view, 3> keys{asked.keys.balance, asked.keys.history};
    std::size_t count = 2;
    const std::string record =
        asked.idempotency_key.empty() ? std::string{} : asked.keys.record(asked.idempotency_key);
    if (!record.empty()) keys[count++] = record;
    const digits amount(asked.amount);
    const digits limit(rules.history_limit);
    const digits room(max_amount - asked.amount);
    const digits ttl(rules.idempotency_ttl / millisecond);
    const std::array<std::string_view, 5> arguments{amount.view(), limit.view(), room.view(),
                                                    asked.idempotency_key, ttl.view()};
    target.policy = policy_of(asked);
    target.evalsha(scripts::deposit, std::span(keys.data(), count), arguments);
}

}  // namespace redislock::accounts
