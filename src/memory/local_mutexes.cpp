#include "memory/local_mutexes.hpp"

#include <algorithm>

#include "memory/replies.hpp"

namespace redislock::memory {
namespace {

constexpr std::int64_t most_exact = std::int64_t{1} << 53;  // that Lua can count to
constexpr std::int64_t fence_kept = 86'400'000;             // milliseconds, as in acquire.lua

// Zero where there is none; nothing where only Lua knows what it is.
std::optional<std::int64_t> last_fence(entry* found) {
    if (found == nullptr) return 0;
    if (found->text() == nullptr) return std::nullopt;
    const auto number = parse_number(*found->text());
    if (!number || *number < 0 || *number >= most_exact) return std::nullopt;
    return number;
}

}  // namespace

std::optional<locks::local_server::taken> local_mutexes::take(const locks::lock_keys& which,
                                                              std::string_view token, nanos lease) {
    turn ours(*home_, std::try_to_lock);
    if (!ours.owned()) return std::nullopt;
    auto& keys = ours.keys();
    auto& clock = ours.clock();
    if (keys.find(which.name) != nullptr || keys.find(which.queue) != nullptr) return std::nullopt;
    entry* kept = keys.find(which.fence);
    const auto last = last_fence(kept);
    if (!last) return std::nullopt;
    std::optional<nanos> until = never;
    std::optional<nanos> fence_until = never;
    if (lease != locks::no_lease) {
        const std::int64_t milliseconds = lease / millisecond;
        until = clock.after(milliseconds, millisecond);
        fence_until = clock.after(std::max(milliseconds, fence_kept), millisecond);
        if (!until || !fence_until) return std::nullopt;
    }
    const std::int64_t fence = std::max(*last + 1, clock.wall() / microsecond);
    if (kept != nullptr) {
        kept->text()->assign(digits(fence).view());
        keys.expire_at(which.fence, *kept, *fence_until);
    } else {
        keys.set(which.fence, digits(fence).view(), *fence_until);
    }
    keys.set(which.name, token, *until);
    return taken{fence, clock.now()};
}

bool local_mutexes::give_back(const locks::lock_keys& which, std::string_view token) {
    turn ours(*home_, std::try_to_lock);
    if (!ours.owned()) return false;
    auto& keys = ours.keys();
    if (keys.find(which.queue) != nullptr) return false;
    entry* held = keys.find(which.name);
    if (held == nullptr || held->text() == nullptr || *held->text() != token) return false;
    return keys.erase(which.name);
}

}  // namespace redislock::memory
