// The scripts that change a balance, called in one way by everyone who needs them.
#pragma once

#include <string_view>

#include "accounts/account.hpp"
#include "engine/slot.hpp"

namespace redislock::accounts {

/// Fills `target` with a call of withdraw.lua. `token` is empty except for the lock strategy.
void call_withdraw(engine::unit& target, strategy how, const settings& rules, const change& asked,
                   std::string_view token = {});

/// Fills `target` with a call of deposit.lua.
void call_deposit(engine::unit& target, const settings& rules, const change& asked);

/// A change that bears an idempotency key may be sent again; any other only once.
inline engine::resend policy_of(const change& asked) noexcept {
    return asked.idempotency_key.empty() ? engine::resend::once : engine::resend::recorded;
}

}  // namespace redislock::accounts
