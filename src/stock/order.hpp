// The words of this layer: what is asked of a stock, how it is answered, the settings that both need, and
// the strategies: four ways to take a quantity for an order, each in a file of its own.
//
// What is passed by reference must outlive the task.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/context.hpp"
#include "engine/task.hpp"
#include "types/amount.hpp"
#include "types/clock.hpp"
#include "types/keys.hpp"
#include "types/result.hpp"
#include "types/status.hpp"

namespace redislock::stock {

/// Levels and quantities are exact in the doubles of a script.
inline constexpr amount max_level = 999'999'999'999'999;

/// Expected outcomes are verdicts; faults are errors.
enum class verdict : std::uint8_t {
    ok,           ///< applied
    sold_out,     ///< there are fewer than asked for; nothing changed
    limit,        ///< the user would have more than allowed; nothing changed
    duplicate,    ///< there is an order of this id, or it was confirmed or cancelled before; nothing changed
    retry_later,  ///< nothing changed, and later it may; the receipt's `reason` says why
    missing,      ///< there is no such stock, or no such open reservation; nothing changed
};

inline constexpr std::size_t verdict_count = 6;

std::string_view to_string(verdict value) noexcept;
std::optional<verdict> parse_verdict(std::string_view name) noexcept;

/// How a stock is kept; each `Stock` has one.
struct settings {
    std::string sku;
    stock_keys keys;
    nanos hold = 30 * second;            ///< how long a reservation waits to be confirmed
    bool outbox = true;                  ///< whether orders are appended to it
    std::uint64_t backlog = 0;           ///< how many orders may wait there; 0: any number
    nanos remembered = 86'400 * second;  ///< how long an order's id is known
    std::uint32_t max_retries = 10;      ///< of the watch strategy, after the first attempt
    nanos lock_wait = 1 * second;        ///< how long the lock strategy waits for a held lock
    nanos lock_lease = 5 * second;       ///< how long it may hold it
};

/// A quantity to be taken.
struct order {
    std::string id;
    std::string record;  ///< the key of its record
    amount quantity = 1;
    bool reserves = false;  ///< to be confirmed; else for good
    std::string user;       ///< empty: nobody's
    amount limit = 0;       ///< how many the user may have; 0: any number
    std::string token;      ///< of this request, hexadecimal digits: by it a repetition is recognized
};

/// How it ended.
struct receipt {
    stock::verdict verdict = verdict::ok;
    std::optional<amount> level;     ///< afterwards; unknown where nothing was read
    std::optional<amount> quantity;  ///< of the order
    std::string state;               ///< of the order: reserved, confirmed, cancelled or expired
    std::string reason;              ///< of retry_later: backlog, lock_busy, lock_lost or conflict
    std::uint32_t attempts = 1;
    nanos elapsed = 0;
};

using outcome = engine::task<result<receipt>>;

/// One script does it all. One round trip.
outcome order_lua(engine::context& with, const settings& rules, const order& asked);

/// Takes the stock's lock, then commits by the same script, which is refused when the lock was lost.
/// Two round trips, and the wait for a held lock.
outcome order_lock(engine::context& with, const settings& rules, const order& asked);

/// Reads under WATCH, then MULTI ... EXEC; again after a conflict. Two round trips an attempt.
outcome order_watch(engine::context& with, const settings& rules, const order& asked);

/// Reads, computes, writes: sells more than there is under contention. For comparison only.
outcome order_naive(engine::context& with, const settings& rules, const order& asked);

}  // namespace redislock::stock
