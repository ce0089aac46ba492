// What can go wrong, as values: one code per kind of failure and the words that
// a person reads. Knows nothing of sockets, servers or Python.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace redislock {

/// Kinds of failure below the bindings. One table there turns each into a Python exception.
enum class errc : std::uint8_t {
    invalid_argument,      ///< an argument is out of range; nothing was sent
    configuration,         ///< a URL or option cannot be used; nothing was sent
    connection_failed,     ///< no connection could be made; nothing was sent
    timed_out,             ///< the deadline passed before the request could have been applied
    outcome_unknown,       ///< written, but never answered: it may or may not have been applied
    protocol,              ///< the peer does not speak the protocol, or exceeds a limit
    authentication,        ///< user name or password refused
    no_permission,         ///< the ACL forbids a command that is needed
    server_refused,        ///< the server answered with an error and applied nothing
    redirected,            ///< a cluster node answered that the key lives elsewhere
    corrupt_balance,       ///< the stored balance is not a canonical integer
    wrong_type,            ///< a history or record key holds another type
    idempotency_mismatch,  ///< the idempotency key was used for another request
    lane_lost,             ///< an exclusive connection was lost before anything could be applied
    cancelled,             ///< the caller went away before the request was written
    closed,                ///< the client is closed
};

/// A failure: its kind, and one sentence that names the cause and the way out.
/// `code` always has a value; the analyzer loses it inside the variant of a result<T>.
struct error {  // NOLINT(clang-analyzer-core.uninitialized.Assign)
    errc code{};
    std::string message;
};

/// The code's name, for logs and tests ("outcome_unknown").
std::string_view to_string(errc code) noexcept;

}  // namespace redislock
