// Rate limits by the generic cell rate algorithm, in one script, on the server's clock.
//
// What is passed by reference must outlive the task.
#pragma once

#include <cstdint>
#include <string>

#include "engine/context.hpp"
#include "engine/task.hpp"
#include "types/clock.hpp"
#include "types/result.hpp"

namespace redislock::coordination {

/// So many in so much time, evenly spaced, and `burst` more at once. Exact: the time between two is whole
/// microseconds and a fraction.
class rate {
public:
    /// `count` in `per`, which is taken in whole microseconds. Refuses what cannot be computed exactly.
    static result<rate> make(std::int64_t count, nanos per, std::int64_t burst);

    std::int64_t whole_us() const noexcept { return whole_us_; }
    std::int64_t numerator() const noexcept { return numerator_; }
    std::int64_t denominator() const noexcept { return denominator_; }
    std::int64_t burst() const noexcept { return burst_; }

private:
    std::int64_t whole_us_ = 0;
    std::int64_t numerator_ = 0;
    std::int64_t denominator_ = 1;
    std::int64_t burst_ = 0;
};

inline constexpr std::int64_t any_wait_us = (std::int64_t{1} << 53U) - 1;

/// Times are microseconds.
struct verdict {
    bool allowed = false;
    std::int64_t remaining = 0;       ///< how many more would be allowed now
    std::int64_t retry_after_us = 0;  ///< where it was not allowed: when it would be
    std::int64_t reset_after_us = 0;  ///< until the whole burst is there again
    std::int64_t wait_us = 0;         ///< where it was allowed: not before this
    std::int64_t time_us = 0;         ///< of the server
};

struct rate_question {
    std::string key;
    rate limit;
    std::int64_t cost = 1;
    std::int64_t patience_us = 0;
    bool looks = false;  ///< nothing is taken
};

/// Where it is allowed after a wait of at most `patience_us`, it is allowed now and the caller must wait.
/// Repeated after a lost connection: then it may count twice, which never allows more.
engine::task<result<verdict>> ask_rate(engine::context& with, const rate_question& asked);

/// As if nothing had been asked yet.
engine::task<result<done>> reset_rate(engine::context& with, const std::string& key);

}  // namespace redislock::coordination
