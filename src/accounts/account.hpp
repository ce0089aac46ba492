// The words of this layer: what is asked of an account, how it is answered, and the settings that
// both need.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "types/amount.hpp"
#include "types/clock.hpp"
#include "types/keys.hpp"
#include "types/status.hpp"

namespace redislock::accounts {

/// How operations behave; each client has one.
struct settings {
    std::uint32_t history_limit = 1000;       ///< entries kept for an account; 0: none
    nanos idempotency_ttl = 86'400 * second;  ///< how long the outcome of a request is remembered
    std::uint32_t max_retries = 10;           ///< of the watch strategy, after the first attempt
    nanos lock_wait = 1 * second;             ///< how long the lock strategy waits for a held lock
    nanos lock_lease = 5 * second;            ///< how long it may hold it
};

/// A deposit or withdrawal to be made.
struct change {
    account_keys keys;
    redislock::amount amount = 0;
    std::string idempotency_key;  ///< empty: none
};

/// How a change ended.
struct receipt {
    redislock::status status = status::ok;
    std::optional<redislock::amount> balance;  ///< afterwards; unknown where nothing was read
    std::uint32_t attempts = 1;
    nanos elapsed = 0;
    bool replayed = false;  ///< this is the recorded outcome of an earlier request
};

struct history_entry {
    redislock::amount amount = 0;  ///< positive: taken; negative: paid in
    redislock::amount balance = 0;
    std::int64_t time_ms = 0;  ///< of the server
    std::string strategy;
    std::string idempotency_key;
};

/// What a server says of itself.
struct health_report {
    bool reachable = false;
    nanos latency = 0;  ///< of one PING
    std::string server;
    std::string version;
    std::string role;
    std::vector<std::string> warnings;
    std::string error;                           ///< why it is not reachable
    std::map<std::string, std::string> details;  ///< settings that matter to a comparison
};

}  // namespace redislock::accounts
