// The lock strategy: what an order does under the stock's lock. All is decided by the script that commits.
#include "accounts/under_lock.hpp"
#include "stock/call_script.hpp"
#include "stock/codec.hpp"
#include "stock/order.hpp"

namespace redislock::stock {
namespace {

class taking {
public:
    taking(const settings& rules, const order& asked) noexcept : rules_(rules), asked_(asked) {}

    void look(wire::commands& out) const { out.add("GET", rules_.keys.level); }
    static std::optional<result<receipt>> looked(const engine::answer& /*said*/, std::size_t /*first*/) {
        return std::nullopt;  // what the level is, and whether it is one, is judged by the commit
    }
    void commit(engine::unit& out, std::string_view token) const { call_order(out, rules_, asked_, token); }
    result<receipt> committed(const wire::reply& said) const {
        return decode_receipt(said, rules_, asked_.record);
    }
    static receipt busy() {
        receipt ended;
        ended.verdict = verdict::retry_later;
        ended.reason = "lock_busy";
        return ended;
    }

private:
    const settings& rules_;
    const order& asked_;
};

}  // namespace

outcome order_lock(engine::context& with, const settings& rules, const order& asked) {
    return accounts::under_lock<receipt>(with, {rules.keys.lock, rules.lock_wait, rules.lock_lease},
                                         taking(rules, asked));
}

}  // namespace redislock::stock
