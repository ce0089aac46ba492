// The optimistic strategy: what a withdrawal reads in the window of its WATCH, and what it commits.
#include "accounts/call_script.hpp"
#include "accounts/codec.hpp"
#include "accounts/optimistic.hpp"
#include "accounts/withdraw.hpp"
#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

class withdrawal {
public:
    withdrawal(const settings& rules, const change& asked) noexcept : rules_(rules), asked_(asked) {}

    void look(wire::commands& out) const {
        const std::string record = has_key() ? asked_.keys.record(asked_.idempotency_key) : std::string{};
        out.begin(record.empty() ? 3 : 4);
        out.argument(std::string_view("WATCH"));
        out.argument(std::string_view(asked_.keys.balance));
        out.argument(std::string_view(asked_.keys.history));
        if (!record.empty()) out.argument(std::string_view(record));
        out.add("GET", asked_.keys.balance);
        out.add("LLEN", asked_.keys.history);
        out.add("TIME");
        // Inside the window, or many callers with one key would each see no record, and each charge.
        if (!record.empty()) out.add("GET", record);
    }

    result<std::optional<receipt>> looked(const engine::answer& said, std::size_t first) {
        const auto& balance_reply = said[first + 1];
        const auto& length_reply = said[first + 2];
        for (std::size_t i = 0; i < said.size(); ++i) {
            const bool judged_below = &said[i] == &balance_reply || &said[i] == &length_reply;
            if (said[i].is_failure() && !judged_below) return wire::to_error(said[i]);
        }
        if (has_key() && !said[first + 4].is_nil()) {
            auto recorded = decode_record(said[first + 4].text, "withdraw", asked_);
            if (!recorded) return recorded.error();
            return std::optional(*recorded);
        }
        auto balance = decode_balance(balance_reply, asked_.keys);
        if (!balance) return balance.error();
        if (!*balance) return std::optional(receipt{status::missing, {}, 1, 0, false});
        if (length_reply.is_failure() && rules_.history_limit > 0) {
            if (!length_reply.failed_with("WRONGTYPE")) return wire::to_error(length_reply);
            return error{
                errc::wrong_type,
                "key '" + asked_.keys.history +
                    "' should hold the account's history and holds another type; nothing was changed"};
        }
        time_ms_ = decode_time_ms(said[first + 3]);
        history_full_ = length_reply.integer >= static_cast<std::int64_t>(rules_.history_limit);
        const bool enough = **balance >= asked_.amount;
        outcome_ = receipt{enough ? status::ok : status::insufficient,
                           enough ? **balance - asked_.amount : **balance, 1, 0, false};
        // An outcome without a deduction has to be recorded before it may be told.
        if (!enough && !has_key()) return std::optional(outcome_);
        return std::optional<receipt>{};
    }

    void commit(engine::unit& target) const {
        target.policy = policy_of(asked_);
        auto& out = target.commands;
        if (outcome_.status == status::ok) {
            out.add("DECRBY", asked_.keys.balance, asked_.amount);
            if (rules_.history_limit > 0) {
                const history_entry entry{asked_.amount, *outcome_.balance, time_ms_, "watch",
                                          asked_.idempotency_key};
                out.add("LPUSH", asked_.keys.history, encode_entry(entry));
                if (history_full_) out.add("LTRIM", asked_.keys.history, 0, rules_.history_limit - 1);
            }
        }
        if (has_key()) {
            out.add("SET", asked_.keys.record(asked_.idempotency_key),
                    encode_record("withdraw", asked_.amount, outcome_), "PX",
                    rules_.idempotency_ttl / millisecond);
        }
    }

    receipt committed() const { return outcome_; }
    static receipt conflict() { return receipt{status::conflict, {}, 1, 0, false}; }

private:
    bool has_key() const noexcept { return !asked_.idempotency_key.empty(); }

    const settings& rules_;
    const change& asked_;
    // What the last look showed, and will be so if the commit succeeds.
    receipt outcome_;
    std::int64_t time_ms_ = 0;
    bool history_full_ = false;
};

}  // namespace

outcome withdraw_watch(engine::context& with, const settings& rules, const change& asked) {
    optimistic<receipt, withdrawal> protocol(with, rules.max_retries, withdrawal(rules, asked));
    co_return co_await protocol.run();
}

}  // namespace redislock::accounts
