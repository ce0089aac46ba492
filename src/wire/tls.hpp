// TLS for a connection: certificates, host name check, and which way OpenSSL wants to go on.
// Built without OpenSSL it only says so.
#pragma once

#include <memory>
#include <string>

#include "types/result.hpp"
#include "wire/options.hpp"

struct redisContext;
struct ssl_st;
struct ssl_ctx_st;

namespace redislock::wire {

/// Whether this build can speak TLS.
bool tls_available() noexcept;

/// Certificates and settings, loaded once per client.
class tls_context {
public:
    static result<std::shared_ptr<tls_context>> make(const options& settings);

    tls_context() = default;
    tls_context(const tls_context&) = delete;
    tls_context& operator=(const tls_context&) = delete;
    ~tls_context();

    /// Starts TLS on a connected, non-blocking context. The handshake goes on by itself in the
    /// context's reads and writes. The context owns what is made.
    result<done> begin(redisContext& context, const options& settings);

private:
    ssl_ctx_st* context_ = nullptr;
};

/// What OpenSSL waits for on this connection.
enum class tls_want { nothing, read, write };
tls_want wanted_by(const redisContext& context) noexcept;

/// Bytes that are decrypted but not read yet.
bool has_decrypted(const redisContext& context) noexcept;

/// Why the handshake or the stream failed, in words ("certificate verify failed: ...").
std::string tls_failure(const redisContext& context);

/// Keeps SIGPIPE away from this thread while OpenSSL writes with write(2).
class sigpipe_guard {
public:
    explicit sigpipe_guard(bool active) noexcept;
    sigpipe_guard(const sigpipe_guard&) = delete;
    sigpipe_guard& operator=(const sigpipe_guard&) = delete;
    ~sigpipe_guard();

private:
    bool active_;
    bool was_pending_ = false;
    bool was_blocked_ = false;
};

}  // namespace redislock::wire
