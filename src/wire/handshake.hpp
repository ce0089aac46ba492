// The first words on a new connection: HELLO, AUTH, SELECT, CLIENT SETNAME. Pure functions: what to
// send, and what the answers mean. Knows no socket.
// https://redis.io/docs/latest/commands/hello/
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "types/result.hpp"
#include "wire/command.hpp"
#include "wire/options.hpp"
#include "wire/reply.hpp"

namespace redislock::wire {

/// A connection that was lost with requests unanswered. Killing it at the server makes sure that
/// nothing of it can still run. The address, where known, keeps a recycled id safe.
struct lost_client {
    std::int64_t id = 0;
    std::string address;  ///< "ip:port" as the server saw it; empty where nobody knows
};

/// What the handshake is to achieve.
struct greeting {
    bool resp3 = true;              ///< false after a server refused HELLO
    bool exclusive = false;         ///< proves that MULTI and EXEC are allowed
    std::vector<lost_client> lost;  ///< to be killed first
};

/// What the answers said.
struct welcome {
    bool downgrade = false;      ///< repeat with resp3 = false
    std::int64_t client_id = 0;  ///< 0: unknown
    std::string address;         ///< this connection's, as the server sees it; empty: it does not tell
    bool kill_refused = false;   ///< the ACL forbids CLIENT KILL
};

commands make_handshake(const options& settings, const greeting& wanted);

/// Kills one of them, from a connection that was greeted before it was lost.
void add_kill(commands& out, const lost_client& lost);

/// Takes the replies to `make_handshake` of the same arguments, all of them.
result<welcome> read_handshake(const options& settings, const greeting& wanted,
                               std::span<const reply> replies);

}  // namespace redislock::wire
