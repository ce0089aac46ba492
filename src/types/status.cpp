#include "types/status.hpp"

namespace redislock {
namespace {

constexpr std::array<std::string_view, status_count> status_names{
    "ok", "insufficient", "missing", "lock_busy", "conflict", "lock_lost", "overflow"};
constexpr std::array<std::string_view, strategy_count> strategy_names{"lua", "lock", "watch", "naive"};

template <class Enum, std::size_t N>
std::optional<Enum> parse(const std::array<std::string_view, N>& names, std::string_view name) noexcept {
    for (std::size_t i = 0; i < N; ++i) {
        if (names[i] == name) return static_cast<Enum>(i);
    }
    return std::nullopt;
}

}  // namespace

std::string_view to_string(status value) noexcept { return status_names[static_cast<std::size_t>(value)]; }

std::string_view to_string(strategy value) noexcept {
    return strategy_names[static_cast<std::size_t>(value)];
}

std::optional<status> parse_status(std::string_view name) noexcept {
    return parse<status>(status_names, name);
}

std::optional<strategy> parse_strategy(std::string_view name) noexcept {
    return parse<strategy>(strategy_names, name);
}

}  // namespace redislock
