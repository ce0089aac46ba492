#include "load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

namespace redislock::load {
namespace {

// Seven bits a byte, the lowest first; the highest bit says that more follow. As in Protocol Buffers
// (https://protobuf.dev/programming-guides/encoding/#varints).
void put(std::string& out, std::uint64_t value) {
    for (; value > 0x7F; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
}

std::optional<std::uint64_t> take(std::string_view& text) noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (text.empty()) return std::nullopt;
        const auto byte = static_cast<unsigned char>(text.front());
        text.remove_prefix(1);
        value |= std::uint64_t{byte & 0x7FU} << shift;
        if (byte <= 0x7F) return value;
    }
    return std::nullopt;
}

}  // namespace

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

std::string histogram::encode() const {
    std::string out;
    if (count_ == 0) return out;
    put(out, static_cast<std::uint64_t>(min_));
    put(out, static_cast<std::uint64_t>(max_));
    put(out, std::bit_cast<std::uint64_t>(sum_));
    std::size_t next = 0;
    for (std::size_t i = 0; i < counters; ++i) {
        if (counts_[i] == 0) continue;
        put(out, i - next);  // counters in use lie close together: one byte
        put(out, counts_[i]);
        next = i + 1;
    }
    return out;
}

bool histogram::merge_encoded(std::string_view text) {
    if (text.empty()) return true;
    const auto least = take(text);
    const auto most = take(text);
    const auto sum = take(text);
    if (!least || !most || !sum || *least > *most || *most > static_cast<std::uint64_t>(never)) return false;
    histogram other;
    std::size_t index = 0;
    while (!text.empty()) {
        const auto skipped = take(text);
        const auto count = take(text);
        if (!skipped || !count || *skipped >= counters - index) return false;
        index += *skipped;
        other.counts_[index++] = *count;
        other.count_ += *count;
        if (index == counters && !text.empty()) return false;
    }
    other.min_ = static_cast<nanos>(*least);
    other.max_ = static_cast<nanos>(*most);
    other.sum_ = std::bit_cast<double>(*sum);
    merge(other);
    return true;
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
