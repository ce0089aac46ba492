// What is done once: the record that it was done, and its result. Whose turn it is decides a lock, which is
// somebody else's business; its fencing token guards the record.
//
// What is passed by reference must outlive the task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/context.hpp"
#include "engine/task.hpp"
#include "types/clock.hpp"
#include "types/result.hpp"

namespace redislock::coordination {

/// The name of the lock of whose turn it is.
std::string turn_of(const std::string& key);

/// What was done. There is no value where the result could not be put into words.
struct once_record {
    std::optional<std::string> value;
};

struct once_store {
    std::string key;
    std::string token;       ///< of the lock
    std::int64_t fence = 0;  ///< of the lock
    nanos ttl = 0;           ///< how long the record lives; 0: until it is forgotten
    once_record record;
};

/// Nothing where it was not done, or not within its time to live.
engine::task<result<std::optional<once_record>>> read_once(engine::context& with, const std::string& key);

/// False, and nothing is stored, where somebody newer took over. Repeated after a lost connection.
engine::task<result<bool>> store_once(engine::context& with, const once_store& asked);

/// It may be done again. True if it had been done.
engine::task<result<bool>> forget_once(engine::context& with, const std::string& key);

}  // namespace redislock::coordination
