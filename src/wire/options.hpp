// Where the server is and how to talk to it: what a URL says, checked, with its secrets kept
// out of everything that is printed. Reads no environment and opens nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "types/clock.hpp"
#include "types/result.hpp"

namespace redislock::wire {

enum class scheme : std::uint8_t { tcp, tls, unix_socket, memory };

/// TLS settings; names follow redis-py's `ssl_*` arguments.
struct tls_options {
    std::string ca_certs;        ///< file of trusted certificates; empty: the system's
    std::string ca_path;         ///< folder of trusted certificates
    std::string certfile;        ///< client certificate
    std::string keyfile;         ///< its private key
    bool verify_peer = true;     ///< chain is checked
    bool check_hostname = true;  ///< name is checked against the certificate
};

struct options {
    wire::scheme scheme = wire::scheme::tcp;
    std::string host = "localhost";
    std::uint16_t port = 6379;
    std::string path;  ///< of the unix socket, or the name of the memory server
    std::int64_t db = 0;
    std::string username;
    std::string password;  ///< never printed
    std::string client_name;
    nanos timeout = 5 * second;          ///< total, per operation
    nanos connect_timeout = 0;           ///< of one connection attempt; 0: the same as timeout
    std::uint32_t max_connections = 64;  ///< exclusive connections, for WATCH
    tls_options tls;

    nanos effective_connect_timeout() const noexcept {
        return connect_timeout > 0 ? connect_timeout : timeout;
    }
    /// "redis://user:***@host:6379/0": fit for messages and logs.
    std::string redacted() const;
};

/// Understands `redis://[user[:password]@]host[:port][/db]`, `rediss://`, `unix:///path[?db=n]`,
/// `memory://[name]` and the bare `host[:port]`. Query parameters set the options of the same
/// names. Errors name the part that is wrong and never repeat a password.
result<options> parse_url(std::string_view url);

/// Sets one option by its public name ("timeout", "db", "ssl_ca_certs", ...) from text. Those of TLS are
/// refused for a server that is reached without it: who gives them believes the connection encrypted.
result<done> set_option(options& target, std::string_view name, std::string_view value);

}  // namespace redislock::wire
