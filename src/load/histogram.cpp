#include "load/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace redislock::load {

void histogram::merge(const histogram& other) noexcept {
    for (std::size_t i = 0; i < counters; ++i) counts_[i] += other.counts_[i];
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    count_ += other.count_;
    sum_ += other.sum_;
}

void histogram::clear() noexcept {
    std::fill(counts_.begin(), counts_.end(), 0);
    count_ = 0;
    min_ = never;
    max_ = 0;
    sum_ = 0;
}

nanos histogram::quantile(double share) const noexcept {
    if (count_ == 0 || share <= 0) return min();
    if (share >= 1) return max_;
    // 0.999 of 1000 is a little more than 999 in binary; it must not become rank 1000.
    const double exact = share * static_cast<double>(count_);
    const double rank = std::ceil(exact * (1 - 4 * std::numeric_limits<double>::epsilon()));
    const auto wanted = static_cast<std::uint64_t>(std::max(rank, 1.0));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i + 1 < counters; ++i) {
        seen += counts_[i];
        if (seen >= wanted) return std::clamp(middle_of(i), min_, max_);
    }
    return max_;
}

nanos histogram::middle_of(std::size_t index) noexcept {
    const std::size_t shift = index < 2 * half ? 0 : index / half - 1;
    const auto low = static_cast<nanos>(index - shift * half) << shift;
    return low + ((nanos{1} << shift) - 1) / 2;
}

}  // namespace redislock::load
