#include "types/amount.hpp"

namespace redislock {

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end || text.empty()) return std::nullopt;
    return value;
}

std::optional<amount> parse_canonical(std::string_view text) noexcept {
    if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
    if (text.front() == '0' && text.size() > 1) return std::nullopt;
    return parse_integer(text);
}

}  // namespace redislock
