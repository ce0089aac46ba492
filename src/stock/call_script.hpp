// The script that takes from a stock, called in one way by every strategy that needs it.
#pragma once

#include <string_view>

#include "engine/slot.hpp"
#include "stock/order.hpp"

namespace redislock::stock {

/// Fills `target` with a call of order.lua. `lock_token` is empty except for the lock strategy.
void call_order(engine::unit& target, const settings& rules, const order& asked,
                std::string_view lock_token = {});

}  // namespace redislock::stock
