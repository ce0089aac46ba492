// Time as the miniature server tells it: taken from two replaceable sources, and standing still
// while a turn lasts, as it does on a server while a script runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "types/clock.hpp"

namespace redislock::memory {

/// Nanoseconds since 1970, for TIME.
inline nanos wall_now() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// Where time comes from.
struct clocks {
    clock_source monotonic = monotonic_now;  ///< for expiry
    clock_source wall = wall_now;            ///< for TIME
};

/// Reads each source at most once between two calls of `thaw`.
class frozen_clock {
public:
    explicit frozen_clock(clocks from) noexcept : from_(from) {}

    void thaw() noexcept { now_ = wall_ = unread; }
    nanos now() noexcept {
        if (now_ == unread) now_ = from_.monotonic();
        return now_;
    }
    nanos wall() noexcept {
        if (wall_ == unread) wall_ = from_.wall();
        return wall_;
    }

    /// `count` units from now; nothing where servers refuse it, since their clock, counted in
    /// milliseconds, does not reach that far. Ours, in nanoseconds, ends after three centuries.
    std::optional<nanos> after(std::int64_t count, nanos unit) noexcept {
        constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
        constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
        const std::int64_t factor = unit / millisecond;
        if (count > most / factor || count < least / factor) return std::nullopt;
        if (count > 0 && count * factor > most - wall() / millisecond) return std::nullopt;
        if (count <= 0) return now();
        const nanos latest = never - 1;
        return count >= (latest - now()) / unit ? latest : now() + count * unit;
    }

private:
    static constexpr nanos unread = never;
    clocks from_;
    nanos now_ = unread;
    nanos wall_ = unread;
};

}  // namespace redislock::memory
