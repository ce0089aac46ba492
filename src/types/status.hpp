// The expected outcomes of an operation on an account, and the strategies that produce them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace redislock {

/// Expected outcomes are statuses; faults are errors.
enum class status : std::uint8_t {
    ok,            ///< applied
    insufficient,  ///< the balance is smaller than the amount; nothing changed
    missing,       ///< there is no such account; nothing changed
    lock_busy,     ///< the account's lock was held by others for the whole wait
    conflict,      ///< every attempt of the optimistic transaction met another writer
    lock_lost,     ///< the lease ended before the commit, which was therefore refused
    overflow,      ///< a deposit would exceed 2^63-1; nothing changed
};

inline constexpr std::size_t status_count = 7;

/// How a balance is changed.
enum class strategy : std::uint8_t { lua, lock, watch, naive };

inline constexpr std::size_t strategy_count = 4;
inline constexpr std::array<strategy, strategy_count> all_strategies{strategy::lua, strategy::lock,
                                                                     strategy::watch, strategy::naive};

std::string_view to_string(status value) noexcept;
std::string_view to_string(strategy value) noexcept;
std::optional<status> parse_status(std::string_view name) noexcept;
std::optional<strategy> parse_strategy(std::string_view name) noexcept;

}  // namespace redislock
