// What is to be locked: the names, how, and the keys that stand for them on a server.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "types/result.hpp"

namespace redislock::locks {

/// The six keys of one lock, all in one slot: what queue.lua says of them.
struct lock_keys {
    explicit lock_keys(std::string_view own);

    std::string name;
    std::string queue;
    std::string waiters;
    std::string alive;
    std::string fence;
    std::string holders;
};

enum class kind : char { mutex = 'm', permit = 'p', reader = 'r', writer = 'w' };

/// As the scripts know it.
std::string_view letter_of(kind which) noexcept;

struct target {
    /// One name, or several mutexes that are taken all or none.
    static result<target> make(const std::vector<std::string>& names, kind how, std::uint32_t limit = 1);

    std::vector<lock_keys> locks;
    kind how = kind::mutex;
    std::uint32_t limit = 1;   ///< of a semaphore
    std::string packed_names;  ///< each behind its length; empty for one lock

    /// For messages: the name, or "a, b and c".
    std::string words() const;
};

}  // namespace redislock::locks
