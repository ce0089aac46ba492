// Floating-point numbers as servers write and read them, whatever the locale of the process.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace redislock::memory {

/// While it lives, this thread writes and reads numbers with a point.
class plain_locale {
public:
    plain_locale() noexcept;
    plain_locale(const plain_locale&) = delete;
    plain_locale& operator=(const plain_locale&) = delete;
    ~plain_locale();

private:
    void* before_;
};

/// The fewest digits that read back as the same number: "3", "0.1", "1e+21", "inf".
std::string to_decimal(double value);
/// "1.5", "-3", "1e3", "0x1p3", "inf", "-infinity"; nothing for NaN and for what is no number.
std::optional<double> parse_decimal(std::string_view text);

}  // namespace redislock::memory
