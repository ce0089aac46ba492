// Who this process is to others: in tokens, in channels, in listings. Renewed after a fork.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace redislock::locks {

/// "host:pid:nonce", all without colons, slashes and blanks in them.
std::string process_name();

/// "redislock:wake:NONCE": where this process hears of locks that were handed to it.
std::string wake_channel();

/// "redislock:waits:host:pid:nonce": where its waits are kept as edges (deadlock.lua).
std::string waits_key();

/// "host:pid:nonce:who/32 hexadecimal digits", and "/client_name" where there is one. 128 random bits
/// from the operating system. What is not safe in a name is replaced by '_'.
std::string make_token(std::string_view who, std::string_view client_name);

/// How many forks lie between the first process and this one: what was made in another is not ours.
/// Counted from the first use of anything here.
std::uint32_t generation() noexcept;

}  // namespace redislock::locks
