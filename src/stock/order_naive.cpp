// The race on purpose: read, compute, write, as much code does. Two callers that read the same level both
// write their own, and both have sold: more are sold than there were. For comparison only.
#include "stock/decision.hpp"
#include "stock/order.hpp"
#include "wire/server_error.hpp"

namespace redislock::stock {

outcome order_naive(engine::context& with, const settings& rules, const order& asked) {
    decision decided(rules, asked);
    for (;;) {
        auto look = with.make_slot();
        look->request.policy = engine::resend::read;
        decided.look(look->request.commands);
        auto said = co_await with.send(std::move(look));
        if (!said) co_return std::move(said.error());
        auto seen = decided.looked(*said, 0);
        if (!seen) co_return std::move(seen.error());
        if (!*seen) break;
        auto ended = co_await follow_up(with, rules, asked, **seen);
        if (!ended) co_return std::move(ended.error());
        if (*ended) co_return std::move(**ended);
    }
    auto write = with.make_slot();
    write->request.policy = engine::resend::once;
    decided.commit(write->request.commands, true);
    auto said = co_await with.send(std::move(write));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return decided.committed();
}

}  // namespace redislock::stock
