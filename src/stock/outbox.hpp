// The outbox of a stock as a relay sees it: a consumer group that reads orders, and takes them away once they
// are somewhere else. Every call may be repeated without harm, so each is sent again after a lost connection.
//
// What is passed by reference must outlive the task.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/context.hpp"
#include "engine/task.hpp"
#include "types/clock.hpp"
#include "types/result.hpp"

namespace redislock::stock {

/// Whose outbox, read as whom.
struct outbox_reader {
    std::string key;
    std::string group;
    std::string consumer;
};

/// One order, as order.lua has written it.
struct outbox_entry {
    std::string stream_id;
    std::string order_id;
    std::string sku;
    std::int64_t quantity = 0;
    std::string user;
    std::int64_t at = 0;  ///< milliseconds since 1970, by the server's clock
};

using outbox_entries = std::vector<outbox_entry>;

/// Makes the group where there is none; it begins with the oldest order.
engine::task<result<bool>> open_outbox(engine::context& with, const outbox_reader& reader);

/// At most `most` orders that no consumer was given yet.
engine::task<result<outbox_entries>> read_outbox(engine::context& with, const outbox_reader& reader,
                                                 std::uint64_t most);

/// At most `most` orders that were given to this consumer, or for longer than `idle` to another, and are not
/// done: what was under way when a relay died, or an answer that was lost.
engine::task<result<outbox_entries>> claim_outbox(engine::context& with, const outbox_reader& reader,
                                                  nanos idle, std::uint64_t most);

/// Acknowledges orders and deletes them: they are safe where they were moved to. How many were still there.
engine::task<result<std::uint64_t>> clear_outbox(engine::context& with, const outbox_reader& reader,
                                                 const std::vector<std::string>& stream_ids);

/// Takes entries that cannot become orders out, into a stream beside the outbox, with the reason.
engine::task<result<std::uint64_t>> set_aside(engine::context& with, const outbox_reader& reader,
                                              const std::vector<std::string>& stream_ids,
                                              const std::string& why);

/// How many orders wait, those that were read included.
engine::task<result<std::uint64_t>> count_outbox(engine::context& with, const outbox_reader& reader);

}  // namespace redislock::stock
