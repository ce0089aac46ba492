// The race on purpose: read, compute, write, as much code does. Two callers that read the same
// balance both write their own result, and one update is lost. For comparison only.
#pragma once

#include "accounts/withdraw.hpp"

namespace redislock::accounts {

outcome deposit_naive(engine::context& with, const settings& rules, const change& asked);

}  // namespace redislock::accounts
