#include "locks/calls.hpp"

#include <array>
#include <charconv>

#include "locks/scripts.hpp"

namespace redislock::locks {

std::vector<std::string_view> all_keys(std::span<const lock_keys> locks) {
    std::vector<std::string_view> keys;
    keys.reserve(locks.size() * 6);
    for (const auto& each : locks) {
        keys.insert(keys.end(), {each.name, each.queue, each.waiters, each.alive, each.fence, each.holders});
    }
    return keys;
}

void call_release(engine::unit& to, const target& what, std::string_view token) {
    to.policy = engine::resend::token;
    to.evalsha(scripts::release, all_keys(what.locks),
               std::array<std::string_view, 2>{token, letter_of(what.how)});
}

void call_claim(engine::unit& to, const target& what, std::string_view token, std::string_view lease_ms,
                std::string_view channel, std::string_view stored_as) {
    to.policy = engine::resend::token;
    to.evalsha(scripts::claim, all_keys(what.locks),
               std::array<std::string_view, 5>{token, lease_ms, letter_of(what.how), channel, stored_as});
}

std::int64_t to_number(std::string_view text) noexcept {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace redislock::locks
