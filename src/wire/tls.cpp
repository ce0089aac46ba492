#include "wire/tls.hpp"

#include <pthread.h>

#include <csignal>
#include <ctime>

#include "wire/hiredis.hpp"

#if REDISLOCK_TLS
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif

namespace redislock::wire {

sigpipe_guard::sigpipe_guard(bool active) noexcept : active_(active) {
    if (!active_) return;
    sigset_t pending;
    sigset_t only;
    sigset_t before;
    sigemptyset(&pending);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &only, &before);
    was_blocked_ = sigismember(&before, SIGPIPE) == 1;
}

sigpipe_guard::~sigpipe_guard() {
    if (!active_) return;
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    if (!was_pending_) {  // take back a signal of our own making before it can be delivered
        sigset_t pending;
        sigemptyset(&pending);
        sigpending(&pending);
        int taken = 0;
        if (sigismember(&pending, SIGPIPE) == 1) sigwait(&only, &taken);
    }
    if (!was_blocked_) pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
}

#if REDISLOCK_TLS

namespace {

// hiredis keeps its SSL* behind privctx; ours is kept beside it, as the context's user data.
SSL* ssl_of(const redisContext& context) noexcept { return static_cast<SSL*>(context.privdata); }

std::string openssl_words() {
    std::string words;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        if (reason == nullptr) continue;  // of the system, which the next one tells
        if (!words.empty()) words += "; ";
        words += reason;
    }
    return words.empty() ? "unknown TLS error" : words;
}

error bad_file(const char* option, const std::string& path) {
    return {errc::configuration, std::string(option) + " '" + path + "' cannot be used: " + openssl_words()};
}

result<done> load_trust(SSL_CTX* context, const tls_options& tls) {
    if (tls.ca_certs.empty() && tls.ca_path.empty()) {
        SSL_CTX_set_default_verify_paths(context);
        return done{};
    }
    const char* file = tls.ca_certs.empty() ? nullptr : tls.ca_certs.c_str();
    const char* path = tls.ca_path.empty() ? nullptr : tls.ca_path.c_str();
    if (SSL_CTX_load_verify_locations(context, file, path) != 1) {
        return file != nullptr ? bad_file("ssl_ca_certs", tls.ca_certs)
                               : bad_file("ssl_ca_path", tls.ca_path);
    }
    return done{};
}

result<done> load_identity(SSL_CTX* context, const tls_options& tls) {
    if (tls.certfile.empty() && tls.keyfile.empty()) return done{};
    const std::string& key = tls.keyfile.empty() ? tls.certfile : tls.keyfile;
    if (tls.certfile.empty()) return {errc::configuration, "ssl_keyfile needs ssl_certfile beside it"};
    if (SSL_CTX_use_certificate_chain_file(context, tls.certfile.c_str()) != 1) {
        return bad_file("ssl_certfile", tls.certfile);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        return bad_file("ssl_keyfile", key);
    }
    return done{};
}

// The name that the certificate must bear: an address is checked as one, RFC 6125 for names.
bool expect_name(SSL* ssl, const std::string& host) {
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1) return true;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host.c_str()) == 1;
}

bool is_address(const std::string& host) {
    ASN1_OCTET_STRING* parsed = a2i_IPADDRESS(host.c_str());
    ASN1_OCTET_STRING_free(parsed);
    return parsed != nullptr;
}

}  // namespace

bool tls_available() noexcept { return true; }

tls_context::~tls_context() { SSL_CTX_free(context_); }

result<std::shared_ptr<tls_context>> tls_context::make(const options& settings) {
    ERR_clear_error();
    auto self = std::make_shared<tls_context>();
    self->context_ = SSL_CTX_new(TLS_client_method());
    if (self->context_ == nullptr) return {errc::configuration, "TLS cannot be set up: " + openssl_words()};
    SSL_CTX_set_min_proto_version(self->context_, TLS1_2_VERSION);
    SSL_CTX_set_verify(self->context_, settings.tls.verify_peer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (auto loaded = load_trust(self->context_, settings.tls); !loaded) return loaded.error();
    if (auto loaded = load_identity(self->context_, settings.tls); !loaded) return loaded.error();
    return self;
}

result<done> tls_context::begin(redisContext& context, const options& settings) {
    const sigpipe_guard guard(true);
    ERR_clear_error();
    SSL* ssl = SSL_new(context_);
    if (ssl == nullptr) return {errc::connection_failed, "TLS cannot be set up: " + openssl_words()};
    const bool named = is_address(settings.host) || SSL_set_tlsext_host_name(ssl, settings.host.c_str()) == 1;
    const bool checked =
        !settings.tls.verify_peer || !settings.tls.check_hostname || expect_name(ssl, settings.host);
    if (!named || !checked) {
        SSL_free(ssl);
        return {errc::connection_failed, "TLS cannot check the host name '" + settings.host + "'"};
    }
    context.privdata = ssl;
    if (redisInitiateSSL(&context, ssl) != REDIS_OK) {
        // A quick server may have been refused within this very call.
        std::string words = tls_failure(context);
        if (words.empty()) words = context.errstr;
        context.privdata = nullptr;
        SSL_free(ssl);
        return {errc::connection_failed, words};
    }
    return done{};
}

tls_want wanted_by(const redisContext& context) noexcept {
    const SSL* ssl = ssl_of(context);
    if (ssl == nullptr) return tls_want::nothing;
    const int want = SSL_want(ssl);
    if (want == SSL_READING) return tls_want::read;
    if (want == SSL_WRITING) return tls_want::write;
    return tls_want::nothing;
}

bool has_decrypted(const redisContext& context) noexcept {
    const SSL* ssl = ssl_of(context);
    return ssl != nullptr && SSL_pending(ssl) > 0;
}

std::string tls_failure(const redisContext& context) {
    const SSL* ssl = ssl_of(context);
    if (ssl == nullptr) return {};
    const long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK) {
        return std::string("the server's certificate was refused: ") + X509_verify_cert_error_string(verdict);
    }
    if (SSL_is_init_finished(ssl) == 0) {
        return "the TLS handshake failed (does the server speak TLS on this port?): " + openssl_words();
    }
    return {};
}

#else

bool tls_available() noexcept { return false; }
tls_context::~tls_context() = default;
result<std::shared_ptr<tls_context>> tls_context::make(const options& /*settings*/) {
    return {errc::configuration,
            "rediss:// needs TLS, which this build lacks: install OpenSSL's headers (libssl-dev) and build "
            "again"};
}
result<done> tls_context::begin(redisContext& /*context*/, const options& /*settings*/) {
    return {errc::configuration, "this build lacks TLS"};
}
tls_want wanted_by(const redisContext& /*context*/) noexcept { return tls_want::nothing; }
bool has_decrypted(const redisContext& /*context*/) noexcept { return false; }
std::string tls_failure(const redisContext& /*context*/) { return {}; }

#endif

}  // namespace redislock::wire
