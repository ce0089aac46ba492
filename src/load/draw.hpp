// Which account and which amount come next. Reproducible: the same seed draws the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "types/amount.hpp"
#include "types/random.hpp"

namespace redislock::load {

/// How operations are spread over the accounts.
enum class distribution : std::uint8_t {
    hot,      ///< all on the first account
    uniform,  ///< on every account alike
    zipf,     ///< the k-th account with a share proportional to 1/k^0.99, as YCSB does
};

std::string_view to_string(distribution value) noexcept;
std::optional<distribution> parse_distribution(std::string_view name) noexcept;

/// Picks accounts by their index; the first is the hottest.
class account_picker {
public:
    account_picker(distribution how, std::size_t accounts);
    std::size_t pick(random_source& random) const noexcept;

private:
    // A. J. Walker's alias method in M. D. Vose's form (https://doi.org/10.1109/32.92917): each column
    // is shared by at most two accounts, so that a draw takes one column and one coin.
    struct column {
        double own_share = 1;
        std::uint32_t other = 0;
    };
    void fill_columns(const std::vector<double>& weights);

    std::size_t accounts_;
    std::vector<column> columns_;  // zipf only
};

/// Draws amounts: the base, plus a uniform integer within ±jitter, at least 1 in all.
class amount_picker {
public:
    amount_picker(amount base, amount jitter) noexcept : base_(base), jitter_(jitter) {}
    amount pick(random_source& random) const noexcept;

private:
    amount base_;
    amount jitter_;
};

}  // namespace redislock::load
