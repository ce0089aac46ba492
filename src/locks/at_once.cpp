#include "locks/at_once.hpp"

#include <utility>
#include <vector>

namespace redislock::locks {

std::shared_ptr<hold> take_at_once(local_server& at, access& keepers,
                                   const std::shared_ptr<const target>& what, const terms& rules,
                                   std::string token) {
    const bool renewing = rules.renew && rules.lease != no_lease;
    auto* keeper = renewing ? keepers.opened() : nullptr;
    if (renewing && keeper == nullptr) return nullptr;  // `acquire` starts it
    const auto taken = at.take(what->locks.front(), token, rules.lease);
    if (!taken) return nullptr;
    auto held = std::make_shared<hold>(what, std::move(token), std::vector{taken->fence},
                                       deadline_of(taken->at, rules.lease), rules.lease);
    const nanos until = rules.max_hold == never ? never : taken->at + rules.max_hold;
    if (renewing) keeper->keep(held, true, until);
    return held;
}

bool give_back_at_once(local_server& at, access& keepers, hold& which) {
    if (which.what.how != kind::mutex || which.what.locks.size() != 1) return false;
    auto* keeper = keepers.opened();
    if (keeper != nullptr && keeper->drop(which, nullptr)) return false;
    if (!at.give_back(which.what.locks.front(), which.token)) return false;
    which.release();
    return true;
}

}  // namespace redislock::locks
