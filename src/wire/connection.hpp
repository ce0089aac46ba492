// One non-blocking stream to a server: bytes out, replies in. Knows nothing of requests, deadlines
// or retries. The only user of a hiredis context.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "types/result.hpp"
#include "wire/options.hpp"
#include "wire/reader.hpp"
#include "wire/reply.hpp"
#include "wire/tls.hpp"

struct redisContext;

namespace redislock::wire {

class connection {
public:
    /// Starts connecting to a numeric address (ignored for a unix socket). Nothing blocks.
    static result<std::unique_ptr<connection>> open(const options& settings, const std::string& address);

    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    int fd() const noexcept;

    /// To be called when the descriptor is first writable: did it connect? Starts TLS where asked.
    result<done> established(const options& settings, tls_context* tls);

    /// Queues bytes; `flush` writes as much as the socket takes.
    void append(std::string_view bytes);
    result<done> flush();
    bool has_unwritten() const noexcept;

    /// Reads what is there. An end of stream is an error, after the replies before it were fed.
    result<done> fill();
    /// The next whole reply among what was read.
    result<std::optional<reply>> next();

    /// What to wait for on the descriptor.
    bool wants_write() const noexcept;

    /// "ip:port" of our end as the server sees it where no translation lies between; empty otherwise.
    std::string local_address() const;

private:
    explicit connection(redisContext* context);
    error failure(std::string_view doing) const;

    redisContext* context_;
    std::unique_ptr<reply_builder> builder_;
    bool tls_ = false;
};

}  // namespace redislock::wire
