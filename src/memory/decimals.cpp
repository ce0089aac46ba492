#include "memory/decimals.hpp"

#include <clocale>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#ifdef __APPLE__
#include <xlocale.h>
#else
#include <locale.h>  // NOLINT(modernize-deprecated-headers): newlocale is POSIX's
#endif

#include "types/amount.hpp"

namespace redislock::memory {
namespace {

locale_t plain() noexcept {
    static const locale_t only = newlocale(LC_ALL_MASK, "C", nullptr);
    return only;
}

// Digits without the point, and the power of ten that they are to be multiplied by.
struct scaled {
    std::string digits;
    int exponent = 0;
};

scaled shortest(double value) {
    char text[40];
    for (int precision = 14; precision < 17; ++precision) {
        std::snprintf(text, sizeof text, "%.*e", precision, value);
        if (std::strtod(text, nullptr) == value) break;
    }
    const std::string_view written(text);
    const auto mark = written.find('e');
    scaled found;
    found.digits = written.substr(0, 1);
    found.digits += written.substr(2, mark - 2);
    const auto last = found.digits.find_last_not_of('0');
    found.digits.erase(last == std::string::npos ? 1 : last + 1);
    found.exponent = static_cast<int>(std::strtol(text + mark + 1, nullptr, 10)) -
                     static_cast<int>(found.digits.size()) + 1;
    return found;
}

// As the library fpconv lays digits out, which servers use.
std::string lay_out(const scaled& which) {
    const int count = static_cast<int>(which.digits.size());
    const int magnitude = which.exponent + count - 1;  // of the first digit
    const int distance = std::abs(magnitude);
    if (which.exponent >= 0 && distance < count + 7) {
        return which.digits + std::string(static_cast<std::size_t>(which.exponent), '0');
    }
    if (which.exponent < 0 && (which.exponent > -7 || distance < 4)) {
        const int whole = count + which.exponent;
        if (whole <= 0) return "0." + std::string(static_cast<std::size_t>(-whole), '0') + which.digits;
        const auto point = static_cast<std::size_t>(whole);
        return which.digits.substr(0, point) + "." + which.digits.substr(point);
    }
    std::string text = which.digits.substr(0, 1);
    if (count > 1) text += "." + which.digits.substr(1);
    return text + "e" + (magnitude < 0 ? "-" : "+") + std::to_string(distance);
}

}  // namespace

plain_locale::plain_locale() noexcept : before_(uselocale(plain())) {}

plain_locale::~plain_locale() { uselocale(static_cast<locale_t>(before_)); }

std::string to_decimal(double value) {
    constexpr double exact = 4611686018427387904.0;  // 2^62
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    if (value > -exact && value < exact && value == std::trunc(value)) {
        return std::string(digits(static_cast<std::int64_t>(value)).view());
    }
    const plain_locale inside;
    return (value < 0 ? "-" : "") + lay_out(shortest(std::fabs(value)));
}

std::optional<double> parse_decimal(std::string_view text) {
    if (text.empty() || text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r')) {
        return std::nullopt;
    }
    const plain_locale inside;
    const std::string whole(text);
    char* end = nullptr;
    const double value = std::strtod(whole.c_str(), &end);
    if (end != whole.c_str() + whole.size() || std::isnan(value)) return std::nullopt;
    // Too large to be told from infinity is no number, as servers see it.
    if (std::isinf(value) && text.find_first_of("iI") == std::string_view::npos) return std::nullopt;
    return value;
}

}  // namespace redislock::memory
