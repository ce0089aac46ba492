// The optimistic strategy: what an order reads in the window of its WATCH, and what it commits.
#include "accounts/optimistic.hpp"
#include "stock/decision.hpp"
#include "stock/order.hpp"

namespace redislock::stock {
namespace {

class taking {
public:
    taking(const settings& rules, const order& asked) noexcept
        : rules_(rules), asked_(asked), decided_(rules, asked) {}

    // Whatever changes the holds, the buyers or the number of orders that wait or will, changes the level
    // too.
    void look(wire::commands& out) const {
        out.add("WATCH", rules_.keys.level, asked_.record);
        decided_.look(out);
    }
    result<std::optional<draft>> looked(const engine::answer& said, std::size_t first) {
        return decided_.looked(said, first + 1);
    }
    void commit(engine::unit& out) const {
        out.policy = engine::resend::recorded;  // by the order's id and the request's token
        decided_.commit(out.commands, false);
    }
    draft committed() const { return {decided_.committed(), draft::need::nothing}; }
    static draft conflict() {
        draft ended;
        ended.verdict = verdict::retry_later;
        ended.reason = "conflict";
        return ended;
    }

private:
    const settings& rules_;
    const order& asked_;
    decision decided_;
};

}  // namespace

outcome order_watch(engine::context& with, const settings& rules, const order& asked) {
    for (;;) {
        accounts::optimistic<draft, taking> protocol(with, rules.max_retries, taking(rules, asked));
        auto tried = co_await protocol.run();
        if (!tried) co_return std::move(tried.error());
        auto ended = co_await follow_up(with, rules, asked, *tried);
        if (!ended) co_return std::move(ended.error());
        if (*ended) co_return std::move(**ended);
    }
}

}  // namespace redislock::stock
