// The texts that scripts answer with and that are stored: outcomes, request records, history
// entries. Written and read in one place, for every strategy.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "accounts/account.hpp"
#include "types/result.hpp"
#include "wire/reply.hpp"

namespace redislock::accounts {

/// Reads a script's answer: "ok 97", "=ok 97", "missing", "corrupt", ...
result<receipt> decode_outcome(const wire::reply& said, const change& asked);

/// Reads a record such as "withdraw 3 ok 97" as the answer to `operation` with the amount asked;
/// another operation or amount is errc::idempotency_mismatch.
result<receipt> decode_record(std::string_view record, std::string_view operation, const change& asked);

/// Reads a record of whatever operation.
std::optional<receipt> decode_any_record(std::string_view record);

std::string encode_record(std::string_view operation, amount value, const receipt& outcome);

/// "3 97 1732222222222 lua key". The amount is negative for a deposit.
std::string encode_entry(const history_entry& entry);
std::optional<history_entry> decode_entry(std::string_view text);

/// A balance as a strategy that reads it meets it: nullopt where there is none.
result<std::optional<amount>> decode_balance(const wire::reply& said, const account_keys& keys);

/// Milliseconds of the server's clock in a reply to TIME.
std::int64_t decode_time_ms(const wire::reply& said);

}  // namespace redislock::accounts
