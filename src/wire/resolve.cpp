#include "wire/resolve.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <pthread.h>

#include <csignal>
#include <system_error>
#include <thread>

namespace redislock::wire {
namespace {

result<addresses> resolve(const std::string& host, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (code != 0) {
        return {errc::connection_failed, "host '" + host + "' cannot be found: " + gai_strerror(code)};
    }
    addresses out;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
            0) {
            out.emplace_back(text);
        }
    }
    freeaddrinfo(found);
    if (out.empty()) return {errc::connection_failed, "host '" + host + "' has no address"};
    return out;
}

// The thread must leave every signal to the threads of the application. Tells why there is none, if
// the system has no thread to give.
std::error_code start_without_signals(std::function<void()> body) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::error_code refused;
    try {
        std::thread(std::move(body)).detach();
    } catch (const std::system_error& failure) {
        refused = failure.code();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return refused;
}

}  // namespace

std::shared_ptr<lookup> lookup::start(const std::string& host, std::function<void()> notify) {
    auto self = std::make_shared<lookup>();
    auto numeric = resolve(host, AI_NUMERICHOST);
    if (numeric || host == "localhost") {
        self->answer_ = numeric ? std::move(numeric) : resolve(host, 0);
        self->ready_ = true;
        return self;
    }
    const auto refused = start_without_signals([self, host, notify = std::move(notify)] {
        auto answer = resolve(host, AI_ADDRCONFIG);
        {
            const std::scoped_lock guard(self->mutex_);
            self->answer_ = std::move(answer);
            self->ready_ = true;
        }
        notify();
    });
    if (refused) {
        self->answer_ =
            error{errc::connection_failed,
                  "host '" + host + "' cannot be looked up: no thread for it: " + refused.message()};
        self->ready_ = true;
    }
    return self;
}

bool lookup::ready() const {
    const std::scoped_lock guard(mutex_);
    return ready_;
}

result<addresses> lookup::take() {
    const std::scoped_lock guard(mutex_);
    return std::move(answer_);
}

}  // namespace redislock::wire
