#include "load/draw.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace redislock::load {
namespace {

constexpr double zipf_exponent = 0.99;  // YCSB's ZIPFIAN_CONSTANT
constexpr std::array<std::string_view, 3> names{"hot", "uniform", "zipf"};

}  // namespace

std::string_view to_string(distribution value) noexcept { return names[static_cast<std::size_t>(value)]; }

std::optional<distribution> parse_distribution(std::string_view name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) return static_cast<distribution>(i);
    }
    return std::nullopt;
}

account_picker::account_picker(distribution how, std::size_t accounts)
    : accounts_(how == distribution::hot ? 1 : accounts) {
    if (how != distribution::zipf) return;
    std::vector<double> weights(accounts);
    for (std::size_t i = 0; i < accounts; ++i) {
        weights[i] = std::pow(static_cast<double>(i + 1), -zipf_exponent);
    }
    fill_columns(weights);
}

void account_picker::fill_columns(const std::vector<double>& weights) {
    const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(accounts_);
    columns_.resize(accounts_);
    std::vector<std::uint32_t> poor;
    std::vector<std::uint32_t> rich;
    for (std::uint32_t i = 0; i < accounts_; ++i) {
        columns_[i] = {weights[i] / mean, i};
        (columns_[i].own_share < 1 ? poor : rich).push_back(i);
    }
    while (!poor.empty() && !rich.empty()) {
        const std::uint32_t taker = poor.back();
        const std::uint32_t giver = rich.back();
        poor.pop_back();
        columns_[taker].other = giver;
        columns_[giver].own_share -= 1 - columns_[taker].own_share;
        if (columns_[giver].own_share < 1) {
            rich.pop_back();
            poor.push_back(giver);
        }
    }
    // What is left is full but for rounding: its `other` is itself, so the share does not matter.
}

std::size_t account_picker::pick(random_source& random) const noexcept {
    if (accounts_ == 1) return 0;
    const auto drawn = static_cast<std::size_t>(random.below(accounts_));
    if (columns_.empty()) return drawn;
    const column& chosen = columns_[drawn];
    return random.unit() < chosen.own_share ? drawn : chosen.other;
}

amount amount_picker::pick(random_source& random) const noexcept {
    if (jitter_ == 0) return base_;
    const auto width = 2 * static_cast<std::uint64_t>(jitter_) + 1;
    const auto above = random.below(width);  // of base - jitter; the sum fits, as base + jitter does
    const auto drawn = static_cast<std::uint64_t>(base_) - static_cast<std::uint64_t>(jitter_) + above;
    return std::max<amount>(1, static_cast<amount>(drawn));
}

}  // namespace redislock::load
