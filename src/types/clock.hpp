// Time as the core sees it: monotonic nanoseconds, from a source that a test can replace.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace redislock {

using nanos = std::int64_t;  ///< a duration, or a point on the monotonic clock

inline constexpr nanos microsecond = 1'000;
inline constexpr nanos millisecond = 1'000'000;
inline constexpr nanos second = 1'000'000'000;
inline constexpr nanos never = std::numeric_limits<nanos>::max();

inline nanos monotonic_now() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// A replaceable source of monotonic time.
using clock_source = nanos (*)() noexcept;

}  // namespace redislock
