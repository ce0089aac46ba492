// Everything that can be asked of an account besides the strategies.
//
// What is passed by reference must outlive the task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accounts/account.hpp"
#include "accounts/withdraw.hpp"

namespace redislock::accounts {

/// Sets the balance and clears the history; with `if_missing` an existing balance is left alone.
outcome init(engine::context& with, const change& asked, bool if_missing);

outcome deposit(engine::context& with, const settings& rules, const change& asked);

/// Removes balance and history.
outcome remove(engine::context& with, const account_keys& keys);

engine::task<result<std::optional<amount>>> balance(engine::context& with, const account_keys& keys);

/// At most `limit` entries, newest first.
engine::task<result<std::vector<history_entry>>> history(engine::context& with, const account_keys& keys,
                                                         std::uint32_t limit);

/// The recorded outcome of a request; never charges.
engine::task<result<std::optional<receipt>>> recorded(engine::context& with, const account_keys& keys,
                                                      const std::string& idempotency_key);

/// What the server is and whether its settings suit money. Never an error: a server that cannot be
/// reached is a report too.
engine::task<result<health_report>> health(engine::context& with);

/// Last word on a change: stamps the time, and turns what cannot be known into outcome_unknown.
/// After an attempt whose answer was lost, "busy" or "not reached" would be a guess.
result<receipt> settle(const engine::context& with, result<receipt> ended);

}  // namespace redislock::accounts
