// What a run has seen: counts, latencies and, exactly, the money.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "load/histogram.hpp"
#include "types/amount.hpp"
#include "types/error.hpp"
#include "types/status.hpp"

namespace redislock::load {

/// A sum of amounts that cannot overflow: naive withdrawals may pay out more than exists.
struct exact_sum {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    void add(amount value) noexcept {
        low += static_cast<std::uint64_t>(value);
        if (low < static_cast<std::uint64_t>(value)) ++high;
    }
};

/// What was taken from one account over the whole run: warm-up and drain included, or the books
/// would not balance.
struct account_money {
    exact_sum taken;    ///< by operations that answered ok
    exact_sum unknown;  ///< by operations that may or may not have been applied
    std::uint64_t taken_count = 0;
    std::uint64_t unknown_count = 0;
};

/// Faults of one kind, and what the first one said.
struct fault_count {
    std::uint64_t count = 0;
    std::string first;
};

/// Operations that *began* within the measured window are counted here, also where they ended
/// after it: leaving those out would hide a server that stalls at the end. `ok_in_window`, from
/// which the rate follows, counts what *ended* within it.
struct tally {
    std::array<std::uint64_t, status_count> statuses{};
    std::uint64_t operations = 0;   ///< statuses and faults together
    std::uint64_t attempts = 0;     ///< of operations that ended in a status
    std::uint64_t round_trips = 0;  ///< likewise
    std::uint64_t statements = 0;   ///< likewise
    std::uint64_t ok_in_window = 0;
    histogram all;       ///< of operations, whatever their end
    histogram answered;  ///< of those that ended in a status
    histogram ok;
    histogram service;  ///< of an open loop: as `ok`, but from when they really began

    // Of the whole run.
    std::map<errc, fault_count> faults;
    std::vector<account_money> money;  ///< in the order of the accounts
};

}  // namespace redislock::load
