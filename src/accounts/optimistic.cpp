#include "accounts/optimistic.hpp"

#include <algorithm>

#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

error applied_in_part(const wire::reply& failure) {
    return {errc::outcome_unknown, "the server did not carry out the transaction as one step (" +
                                       failure.text +
                                       "): it may have been applied in part; look at balance and history"};
}

}  // namespace

result<bool> read_exec(const engine::answer& said) {
    const auto& exec = said[said.size() - 1];
    // Permission for MULTI was proved when the connection was made. Taken away since then, the
    // commands behind it ran one by one: those that were not refused themselves.
    if (said[0].is_failure()) {
        for (std::size_t i = 1; i + 1 < said.size(); ++i) {
            if (!said[i].is_failure()) return applied_in_part(said[0]);
        }
    }
    if (const auto* failure = said.failure()) return wire::to_error(*failure);
    if (exec.is_nil()) return false;
    if (exec.type != wire::reply::kind::array) return applied_in_part(exec);
    const auto failed = std::find_if(exec.items.begin(), exec.items.end(),
                                     [](const auto& each) { return each.is_failure(); });
    if (failed != exec.items.end()) return applied_in_part(*failed);
    return true;
}

error with_cause(error ended, const std::string& last_loss) {
    const bool late = ended.code == errc::timed_out || ended.code == errc::outcome_unknown;
    if (late && !last_loss.empty()) ended.message += " (" + last_loss + ")";
    return ended;
}

}  // namespace redislock::accounts
