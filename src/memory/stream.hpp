// An append-only log of entries by ascending id: what a key of type stream holds.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace redislock::memory {

/// When an entry was added, in milliseconds since 1970, and which of that millisecond it is.
struct stream_id {
    std::uint64_t ms = 0;
    std::uint64_t seq = 0;
    auto operator<=>(const stream_id&) const = default;
};

std::string to_text(stream_id id);
/// "1732222222222-3"; without the second number that is `seq`.
std::optional<stream_id> parse_stream_id(std::string_view text, std::uint64_t seq = 0) noexcept;

struct stream {
    std::map<stream_id, std::vector<std::string>> entries;  ///< fields and values by turns
    stream_id last;  ///< the greatest ever given: none comes again, also after it was deleted

    std::size_t size() const noexcept { return entries.size(); }
    /// The id of an entry that is added now.
    stream_id next(std::uint64_t now_ms) const noexcept {
        return now_ms > last.ms ? stream_id{now_ms, 0} : stream_id{last.ms, last.seq + 1};
    }
    /// Removes the oldest until `most` are left; how many that were.
    std::size_t trim(std::size_t most);
};

}  // namespace redislock::memory
