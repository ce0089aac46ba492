// The lock strategy: what a withdrawal does under the account's lock.
#include "accounts/call_script.hpp"
#include "accounts/codec.hpp"
#include "accounts/under_lock.hpp"
#include "accounts/withdraw.hpp"

namespace redislock::accounts {
namespace {

class withdrawal {
public:
    withdrawal(const settings& rules, const change& asked) noexcept : rules_(rules), asked_(asked) {}

    void look(wire::commands& out) const {
        out.add("GET", asked_.keys.balance);
        if (has_key()) out.add("GET", asked_.keys.record(asked_.idempotency_key));
    }
    // What the balance is, and whether it is one, is judged by the commit.
    std::optional<result<receipt>> looked(const engine::answer& said, std::size_t first) const {
        if (!has_key()) return std::nullopt;
        const auto& record = said[first + 1];
        if (record.is_failure()) return wire::to_error(record);
        if (record.is_nil()) return std::nullopt;
        return decode_record(record.text, "withdraw", asked_);
    }
    void commit(engine::unit& out, std::string_view token) const {
        call_withdraw(out, strategy::lock, rules_, asked_, token);
    }
    result<receipt> committed(const wire::reply& said) const { return decode_outcome(said, asked_); }
    static receipt busy() {
        receipt ended;
        ended.status = status::lock_busy;
        return ended;
    }

private:
    bool has_key() const noexcept { return !asked_.idempotency_key.empty(); }

    const settings& rules_;
    const change& asked_;
};

}  // namespace

outcome withdraw_lock(engine::context& with, const settings& rules, const change& asked) {
    return under_lock<receipt>(with, {asked.keys.lock, rules.lock_wait, rules.lock_lease},
                               withdrawal(rules, asked));
}

}  // namespace redislock::accounts
