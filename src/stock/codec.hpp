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

/// What is stored as a level, where a strategy reads it; nothing where there is no stock.
result<std::optional<amount>> decode_stored_level(const wire::reply& said, const settings& rules);

/// What a refused command means: a key of another type has words of its own. `what` is one of order (whose
/// key is `record`), reservations, buyers and outbox.
error to_error(const wire::reply& failure, std::string_view what, const settings& rules,
               std::string_view record = {});
error make_wrong_type(std::string_view what, const settings& rules, std::string_view record = {});

/// Reads a score that is a whole number, also as "1.7641e+12"; nothing for any other.
std::optional<std::int64_t> parse_score(std::string_view text);

/// Reads sweep.lua's answer.
result<stock_level> decode_level(const wire::reply& said, const settings& rules);

}  // namespace redislock::stock
