// Amounts and balances: signed 64-bit integers in the smallest unit, kept exact as text.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace redislock {

/// Cents, items, tokens: whatever the smallest unit is.
using amount = std::int64_t;

inline constexpr amount max_amount = std::numeric_limits<amount>::max();

/// A stored balance is canonical when it is "0" or a digit 1-9 followed by digits, and fits.
/// Anything else ("007", "-1", "12.5", "", " 5") was not written by this library.
std::optional<amount> parse_canonical(std::string_view text) noexcept;

/// An optionally signed decimal integer that fills the whole text.
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// Decimal digits of a number in a buffer of its own: no allocation on the hot path.
class digits {
public:
    explicit digits(std::int64_t value) noexcept
        : size_(static_cast<std::size_t>(std::to_chars(text_, text_ + sizeof text_, value).ptr - text_)) {}
    std::string_view view() const noexcept { return {text_, size_}; }

private:
    char text_[21]{};
    std::size_t size_;
};

}  // namespace redislock
