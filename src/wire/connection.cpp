#include "wire/connection.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "wire/hiredis.hpp"

namespace redislock::wire {
namespace {

constexpr std::size_t read_size = std::size_t{16} * 1024;  // what one redisBufferRead takes at most

// As hiredis's own plain write, but a peer that has gone is an error here and never SIGPIPE.
ssize_t write_without_signal(redisContext* context) {
#ifdef MSG_NOSIGNAL
    constexpr int flags = MSG_NOSIGNAL;
#else
    constexpr int flags = 0;  // SO_NOSIGPIPE is set on the socket instead
#endif
    const ssize_t written = send(context->fd, context->obuf, sdslen(context->obuf), flags);
    if (written >= 0) return written;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
    context->err = REDIS_ERR_IO;
    std::strncpy(context->errstr, std::strerror(errno), sizeof context->errstr - 1);
    return -1;
}

void use_quiet_writes(redisContext& context) {
    static const redisContextFuncs quiet = [&context] {
        redisContextFuncs table = *context.funcs;
        table.write = write_without_signal;
        return table;
    }();
    context.funcs = &quiet;
}

void prepare_socket(int fd) {
    fcntl(fd, F_SETFD,
          FD_CLOEXEC);  // hiredis opens without it: a program started meanwhile would hold it open
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails harmlessly on a unix socket
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

std::string where(const options& settings) {
    return settings.scheme == scheme::unix_socket ? "unix socket " + settings.path
                                                  : settings.host + ":" + std::to_string(settings.port);
}

error cannot_connect(const options& settings, std::string_view why) {
    return {errc::connection_failed, "cannot connect to " + where(settings) + ": " + std::string(why)};
}

}  // namespace

connection::connection(redisContext* context)
    : context_(context), builder_(std::make_unique<reply_builder>()) {
    builder_->attach(*context_->reader);
    use_quiet_writes(*context_);
}

connection::~connection() {
    const sigpipe_guard guard(tls_);
    redisFree(context_);
}

result<std::unique_ptr<connection>> connection::open(const options& settings, const std::string& address) {
    redisContext* context = settings.scheme == scheme::unix_socket
                                ? redisConnectUnixNonBlock(settings.path.c_str())
                                : redisConnectNonBlock(address.c_str(), settings.port);
    if (context == nullptr) return cannot_connect(settings, "out of memory");
    if (context->err != 0) {
        auto failure = cannot_connect(settings, context->errstr);
        redisFree(context);
        return failure;
    }
    prepare_socket(context->fd);
    return std::unique_ptr<connection>(new connection(context));
}

int connection::fd() const noexcept { return context_->fd; }

result<done> connection::established(const options& settings, tls_context* tls) {
    int pending = 0;
    socklen_t size = sizeof pending;
    getsockopt(context_->fd, SOL_SOCKET, SO_ERROR, &pending, &size);
    if (pending != 0) return cannot_connect(settings, std::strerror(pending));
    context_->flags |= REDIS_CONNECTED;
    if (tls == nullptr) return done{};
    tls_ = true;
    auto begun = tls->begin(*context_, settings);
    if (!begun) return cannot_connect(settings, begun.error().message);
    return done{};
}

void connection::append(std::string_view bytes) {
    redisAppendFormattedCommand(context_, bytes.data(), bytes.size());
}

bool connection::has_unwritten() const noexcept { return sdslen(context_->obuf) > 0; }

result<done> connection::flush() {
    const sigpipe_guard guard(tls_);
    while (has_unwritten()) {
        const std::size_t before = sdslen(context_->obuf);
        if (redisBufferWrite(context_, nullptr) != REDIS_OK) {
            auto why = failure("writing to");
            context_->err = 0;  // what the peer said before it hung up can still be read
            return why;
        }
        if (sdslen(context_->obuf) == before) break;  // the socket is full
    }
    return done{};
}

result<done> connection::fill() {
    const sigpipe_guard guard(tls_);
    for (;;) {
        const std::size_t before = context_->reader->len;
        if (redisBufferRead(context_) != REDIS_OK) return failure("reading from");
        const std::size_t got = context_->reader->len - before;
        if (got < read_size && !has_decrypted(*context_)) return done{};
        if (got == 0) return done{};
        if (context_->reader->len > std::size_t{1} << 20U) return done{};  // let the parser catch up
    }
}

result<std::optional<reply>> connection::next() { return builder_->next(*context_->reader); }

bool connection::wants_write() const noexcept {
    const tls_want want = wanted_by(*context_);
    if (want == tls_want::read) return false;
    return want == tls_want::write || has_unwritten();
}

std::string connection::local_address() const {
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (getsockname(context_->fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return {};
    if (own.ss_family != AF_INET && own.ss_family != AF_INET6) return {};
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo(reinterpret_cast<sockaddr*>(&own), size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return {};
    }
    const std::string text = host;
    return (text.find(':') == std::string::npos ? text : "[" + text + "]") + ":" + port;
}

error connection::failure(std::string_view doing) const {
    std::string why = tls_ ? tls_failure(*context_) : std::string{};
    if (why.empty()) why = context_->errstr;
    if (context_->err == REDIS_ERR_PROTOCOL || context_->err == REDIS_ERR_OOM) return {errc::protocol, why};
    return {errc::connection_failed, std::string(doing) + " the server failed: " + why};
}

}  // namespace redislock::wire
