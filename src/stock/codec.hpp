// The texts that the scripts of a stock answer with. Read in one place, for all of them.
#pragma once

#include <string_view>

#include "stock/order.hpp"
#include "stock/stock.hpp"
#include "wire/reply.hpp"

namespace redislock::stock {

/// Reads a script's answer: "ok 97 2 reserved", "sold_out 1", "missing", "backlog 97", "corrupt", ...
/// `record` is the key that a wrong type of the order's record is told with.
result<receipt> decode_receipt(const wire::reply& said, const settings& rules, std::string_view record = {});

/// Reads sweep.lua's answer.
result<stock_level> decode_level(const wire::reply& said, const settings& rules);

}  // namespace redislock::stock
