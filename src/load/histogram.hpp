// Latencies in bounded memory, at least three significant digits at every scale: a log-linear
// histogram after Gil Tene's HdrHistogram (http://hdrhistogram.org). Values are nanoseconds; knows
// nothing of what took so long.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "types/clock.hpp"

namespace redislock::load {

/// Up to 2047 ns each value has a counter of its own; above, each power of two is divided into
/// 1024. So a quantile is off by at most 0.05 %, and by nothing below 2 µs. Values from 68.7 s on
/// share the last counter. Takes 216 KiB, whatever is recorded. Not thread-safe.
class histogram {
public:
    histogram() : counts_(counters) {}

    void record(nanos value) noexcept {
        value = std::max<nanos>(value, 0);
        ++counts_[index_of(value)];
        ++count_;
        min_ = std::min(min_, value);
        max_ = std::max(max_, value);
        sum_ += static_cast<double>(value);
    }
    /// Afterwards this holds what both held.
    void merge(const histogram& other) noexcept;
    void clear() noexcept;

    /// All that it holds, in a few bytes for each counter in use; empty where nothing was recorded.
    std::string encode() const;
    /// Merges what another one encoded, to the same counters as `merge` does. False, and nothing is
    /// merged, where this is no such text.
    bool merge_encoded(std::string_view text);

    /// Calls `visit(value, count)` for each counter in use, in ascending order of values.
    template <class Visitor>
    void for_each(Visitor&& visit) const {
        for (std::size_t i = 0; i < counters; ++i) {
            if (counts_[i] > 0) visit(std::clamp(middle_of(i), min_, max_), counts_[i]);
        }
    }

    std::uint64_t count() const noexcept { return count_; }
    nanos min() const noexcept { return count_ == 0 ? 0 : min_; }  ///< exact; 0 where nothing was recorded
    nanos max() const noexcept { return max_; }                    ///< exact
    double mean() const noexcept { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }

    /// The nearest-rank quantile: the smallest recorded value such that at least `share` (0 to 1) of
    /// all values are not above it. 0 where nothing was recorded.
    nanos quantile(double share) const noexcept;

private:
    static constexpr unsigned exact_bits = 11;  // 2^11 counters for the first values, 2^10 an octave
    static constexpr unsigned value_bits = 36;
    static constexpr nanos largest = (nanos{1} << value_bits) - 1;
    static constexpr std::size_t half = std::size_t{1} << (exact_bits - 1);
    static constexpr std::size_t counters = (value_bits - exact_bits + 2) * half;

    static std::size_t index_of(nanos value) noexcept {
        const auto bits = static_cast<std::uint64_t>(value < largest ? value : largest);
        const auto width = static_cast<unsigned>(std::bit_width(bits));
        const unsigned shift = width > exact_bits ? width - exact_bits : 0;
        return shift * half + static_cast<std::size_t>(bits >> shift);
    }
    static nanos middle_of(std::size_t index) noexcept;

    std::vector<std::uint64_t> counts_;
    std::uint64_t count_ = 0;
    nanos min_ = never;
    nanos max_ = 0;
    double sum_ = 0;
};

}  // namespace redislock::load
