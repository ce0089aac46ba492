#include "stock/call_script.hpp"

#include <array>
#include <span>

#include "stock/scripts.hpp"

namespace redislock::stock {

void call_order(engine::unit& target, const settings& rules, const order& asked,
                std::string_view lock_token) {
    const std::array<std::string_view, 6> keys{rules.keys.level, rules.keys.holds,  rules.keys.buyers,
                                               asked.record,     rules.keys.outbox, rules.keys.lock};
    const digits quantity(asked.quantity);
    const digits hold(asked.reserves ? rules.hold / millisecond : 0);
    const digits lives(rules.remembered / millisecond);
    const digits limit(asked.limit);
    const digits most(static_cast<std::int64_t>(rules.backlog));
    const std::array<std::string_view, 11> arguments{quantity.view(), asked.id,     asked.token,
                                                     hold.view(),     lives.view(), asked.user,
                                                     limit.view(),    most.view(),  rules.outbox ? "1" : "0",
                                                     rules.sku,       lock_token};
    target.policy = engine::resend::recorded;  // by the order's id and the request's token
    target.evalsha(scripts::order, std::span(keys.data(), lock_token.empty() ? 5U : 6U), arguments);
}

}  // namespace redislock::stock
