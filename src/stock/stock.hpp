// Everything that can be asked of a stock besides taking from it.
//
// What is passed by reference must outlive the task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "stock/order.hpp"

namespace redislock::stock {

/// What a confirmation or a cancellation is about.
struct reservation {
    std::string id;
    std::string record;  ///< the key of the order's record
    std::string token;   ///< of this request
};

/// What is to be had, after what has timed out came back.
struct stock_level {
    std::optional<amount> level;  ///< nothing where there is no such stock
    std::uint64_t settled = 0;    ///< how many reservations timed out by this call
};

/// Sets the level, and forgets reservations and what users have; with `if_missing` an existing stock is left
/// alone. Orders stay recorded and in the outbox.
outcome set(engine::context& with, const settings& rules, amount level, bool if_missing);

/// Repeated after a lost connection: then `settled` counts what the last attempt did.
engine::task<result<stock_level>> sweep(engine::context& with, const settings& rules);

/// Makes a reservation an order: ok, duplicate or missing.
outcome confirm(engine::context& with, const settings& rules, const reservation& asked);

/// Gives a reservation back: ok, duplicate or missing.
outcome cancel(engine::context& with, const settings& rules, const reservation& asked);

/// What became of an order: ok, or missing.
outcome find(engine::context& with, const settings& rules, const reservation& asked);

/// How many orders wait in the outbox.
engine::task<result<std::uint64_t>> backlog(engine::context& with, const settings& rules);

/// Last word on a change: stamps the time, and turns what cannot be known into outcome_unknown.
result<receipt> settle(const engine::context& with, result<receipt> ended);

}  // namespace redislock::stock
