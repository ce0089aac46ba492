// Entities: values with an etag, written only where nobody else wrote since they were read.
//
// An entity is a hash at exactly its key, with the fields `etag` and `value`. The etag is the random token
// of the write that made the value, so it never comes again: not after a delete, an expiry, a failover or a
// clock that was set back. The tokens of the last writes are remembered beside it for a while, so that a
// request whose answer was lost is recognized when it is sent again.
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

/// A value and its etag; neither where there is no entity.
struct versioned {
    std::optional<std::string> etag;
    std::optional<std::string> value;
};

/// What must be there for a write to be made.
struct condition {
    enum class kind : std::uint8_t { anything, nothing, this_etag };
    kind what = kind::anything;
    std::string etag;
};

/// A write to be made. `token` is 32 hexadecimal digits, and becomes the etag of what is put.
struct entity_write {
    std::string key;
    std::string token;
    condition only_if;
    bool deletes = false;
    std::string value;
    nanos ttl = 0;         ///< how long the value lives; 0: until it is deleted
    nanos remembered = 0;  ///< how long a repetition of this request is recognized
};

/// How a write ended.
struct written {
    bool applied = false;  ///< the condition was met
    bool existed = true;   ///< of a delete: there was something to delete
    bool certain = true;   ///< of a mismatch: this very request was not applied before
    versioned latest;      ///< of a mismatch: what is there; of a put: its etag
};

engine::task<result<versioned>> read_entity(engine::context& with, const std::string& key);

/// Repeated after a lost connection. Where it cannot be told whether the lost one was applied:
/// outcome_unknown.
engine::task<result<written>> write_entity(engine::context& with, const entity_write& asked);

}  // namespace redislock::coordination
