#include "engine/poller.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#else
#include <sys/event.h>
#include <sys/time.h>
#endif

namespace redislock::engine {
namespace {

constexpr poller::token wake_token = ~std::uint64_t{0};
constexpr poller::token timer_token = ~std::uint64_t{1};
constexpr int batch = 128;

[[noreturn]] void fail(const char* doing) { throw std::system_error(errno, std::generic_category(), doing); }

}  // namespace

#if defined(__linux__)

namespace {

class eventfd_waker final : public waker {
public:
    eventfd_waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (fd_ < 0) fail("eventfd");
    }
    ~eventfd_waker() override { close(fd_); }
    void wake() noexcept override {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);  // full means: woken already
    }
    void drain() const noexcept {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
    }
    int fd() const noexcept { return fd_; }

private:
    int fd_;
};

// epoll_pwait2 of Linux 5.11, by its number: the C library that a wheel is built for is older.
// A kernel, or a container's filter, that knows nothing of it answers with an error.
int exact_epoll_wait(int epoll, epoll_event* events, nanos timeout) noexcept {
#if defined(SYS_epoll_pwait2)
    struct {
        std::int64_t seconds;
        long long nanoseconds;
    } const limit{timeout / second, timeout % second};
    return static_cast<int>(syscall(SYS_epoll_pwait2, epoll, events, batch,
                                    timeout == never ? nullptr : &limit, nullptr, std::size_t{0}));
#else
    errno = ENOSYS;
    return -1;
#endif
}

}  // namespace

struct poller::native {
    int epoll = -1;
    int timer = -1;
    bool exact = false;
    std::shared_ptr<eventfd_waker> wake = std::make_shared<eventfd_waker>();
    std::array<epoll_event, batch> events{};
    int collected = 0;

    void control(int operation, int fd, token which, bool write) const noexcept {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLRDHUP | (write ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
        event.data.u64 = which;
        epoll_ctl(epoll, operation, fd, &event);
    }
};

poller::poller() : native_(std::make_unique<native>()) {
    native_->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (native_->epoll < 0) fail("epoll_create1");
    native_->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (native_->timer < 0) fail("timerfd_create");
    native_->control(EPOLL_CTL_ADD, native_->wake->fd(), wake_token, false);
    native_->control(EPOLL_CTL_ADD, native_->timer, timer_token, false);
    native_->exact = exact_epoll_wait(native_->epoll, native_->events.data(), 0) == 0;
}

poller::~poller() {
    close(native_->epoll);
    close(native_->timer);
}

void poller::abandon_after_fork() noexcept {
    close_entries();
    close(native_->epoll);
    close(native_->timer);
    close(native_->wake->fd());
}

int poller::fileno() const noexcept { return native_->epoll; }

void poller::arm(nanos at) noexcept {
    itimerspec spec{};
    if (at != never) {
        const nanos when = at > 0 ? at : 1;  // all zeros would disarm
        spec.it_value.tv_sec = when / second;
        spec.it_value.tv_nsec = when % second;
    }
    timerfd_settime(native_->timer, TFD_TIMER_ABSTIME, &spec, nullptr);
}

void poller::wait(nanos timeout) noexcept {
    // Rounded up: a wait that ends early would spin through the last millisecond.
    int milliseconds = -1;
    if (timeout != never) {
        const nanos rounded = (timeout + millisecond - 1) / millisecond;
        milliseconds = rounded > 86'400'000 ? 86'400'000 : static_cast<int>(rounded);
    }
    const int got = epoll_wait(native_->epoll, native_->events.data(), batch, milliseconds);
    native_->collected = got > 0 ? got : 0;
}

void poller::wait_exactly(nanos timeout) noexcept {
    if (!native_->exact) {
        wait(timeout);
        return;
    }
    const int got = exact_epoll_wait(native_->epoll, native_->events.data(), timeout);
    native_->collected = got > 0 ? got : 0;
}

bool poller::is_exact() const noexcept { return native_->exact; }

bool poller::found() const noexcept { return native_->collected > 0; }

bool poller::dispatch() {
    bool woken = false;
    const int count = std::exchange(native_->collected, 0);
    for (int i = 0; i < count; ++i) {
        const epoll_event event = native_->events[static_cast<std::size_t>(i)];
        if (event.data.u64 == wake_token) {
            native_->wake->drain();
            woken = true;
        } else if (event.data.u64 == timer_token) {
            std::uint64_t expirations = 0;
            [[maybe_unused]] const auto got = read(native_->timer, &expirations, sizeof expirations);
        } else if (pollable* target = target_of(event.data.u64)) {
            const bool broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
            target->on_event(broken || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0,
                             broken || (event.events & EPOLLOUT) != 0);
        }
    }
    return woken;
}

#else

namespace {

// A pipe rather than EVFILT_USER, so that waking needs no share of the kqueue's lifetime.
class pipe_waker final : public waker {
public:
    pipe_waker() {
        if (pipe(ends_) != 0) fail("pipe");
        for (int end : ends_) {
            fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK);
            fcntl(end, F_SETFD, FD_CLOEXEC);
        }
    }
    ~pipe_waker() override {
        close(ends_[0]);
        close(ends_[1]);
    }
    void wake() noexcept override { [[maybe_unused]] const auto written = write(ends_[1], "", 1); }
    void drain() const noexcept {
        char bytes[64];
        while (read(ends_[0], bytes, sizeof bytes) > 0) {
        }
    }
    int fd() const noexcept { return ends_[0]; }

private:
    int ends_[2] = {-1, -1};
};

void* to_udata(poller::token which) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(which)); }

}  // namespace

struct poller::native {
    int queue = -1;
    std::shared_ptr<pipe_waker> wake = std::make_shared<pipe_waker>();
    std::array<struct kevent, batch> events{};
    int collected = 0;

    void change(int fd, std::int16_t filter, std::uint16_t flags, token which) const noexcept {
        struct kevent event;
        EV_SET(&event, static_cast<std::uintptr_t>(fd), filter, flags, 0, 0, to_udata(which));
        kevent(queue, &event, 1, nullptr, 0, nullptr);
    }
    void control(int fd, token which, bool write) const noexcept {
        change(fd, EVFILT_READ, EV_ADD, which);
        change(fd, EVFILT_WRITE, write ? EV_ADD : EV_DELETE, which);
    }
};

poller::poller() : native_(std::make_unique<native>()) {
    native_->queue = kqueue();
    if (native_->queue < 0) fail("kqueue");
    fcntl(native_->queue, F_SETFD, FD_CLOEXEC);
    native_->control(native_->wake->fd(), wake_token, false);
}

poller::~poller() { close(native_->queue); }

// A kqueue is not inherited: its number may belong to somebody else by now.
void poller::abandon_after_fork() noexcept {
    close_entries();
    close(native_->wake->fd());
}

int poller::fileno() const noexcept { return native_->queue; }

void poller::arm(nanos at) noexcept {
    struct kevent event;
    if (at == never) {
        EV_SET(&event, 1, EVFILT_TIMER, EV_DELETE, 0, 0, to_udata(timer_token));
    } else {
        const nanos left = at - monotonic_now();
        const std::intptr_t milliseconds =
            left > 0 ? static_cast<std::intptr_t>((left + millisecond - 1) / millisecond) : 0;
        EV_SET(&event, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, milliseconds, to_udata(timer_token));
    }
    kevent(native_->queue, &event, 1, nullptr, 0, nullptr);
}

void poller::wait(nanos timeout) noexcept {
    timespec limit{};
    if (timeout != never) {
        limit.tv_sec = timeout / second;
        limit.tv_nsec = timeout % second;
    }
    const int got = kevent(native_->queue, nullptr, 0, native_->events.data(), batch,
                           timeout == never ? nullptr : &limit);
    native_->collected = got > 0 ? got : 0;
}

void poller::wait_exactly(nanos timeout) noexcept { wait(timeout); }

bool poller::is_exact() const noexcept { return true; }

bool poller::found() const noexcept { return native_->collected > 0; }

bool poller::dispatch() {
    bool woken = false;
    const int count = std::exchange(native_->collected, 0);
    for (int i = 0; i < count; ++i) {
        const struct kevent event = native_->events[static_cast<std::size_t>(i)];
        const auto which = static_cast<token>(reinterpret_cast<std::uintptr_t>(event.udata));
        if (which == wake_token) {
            native_->wake->drain();
            woken = true;
        } else if (which == timer_token) {
            continue;
        } else if (pollable* target = target_of(which)) {
            const bool broken = (event.flags & (EV_EOF | EV_ERROR)) != 0;
            target->on_event(broken || event.filter == EVFILT_READ, broken || event.filter == EVFILT_WRITE);
        }
    }
    return woken;
}

#endif

std::shared_ptr<waker> poller::wake_handle() const noexcept { return native_->wake; }

poller::token poller::add(int fd, pollable& target, bool write) {
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(entries_.size()));
        entries_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    entries_[index].target = &target;
    entries_[index].fd = fd;
    const token which = (static_cast<token>(entries_[index].generation) << 32U) | index;
#if defined(__linux__)
    native_->control(EPOLL_CTL_ADD, fd, which, write);
#else
    native_->control(fd, which, write);
#endif
    return which;
}

// Its number is the inner poller's to close after a fork, or means something else by then.
poller::token poller::add(const poller& inner, pollable& target) {
    const token which = add(inner.fileno(), target, false);
    entries_[static_cast<std::uint32_t>(which)].fd = -1;
    return which;
}

void poller::close_entries() const noexcept {
    for (const entry& each : entries_) {
        if (each.target != nullptr && each.fd >= 0) close(each.fd);
    }
}

void poller::change(token which, int fd, bool write) {
#if defined(__linux__)
    native_->control(EPOLL_CTL_MOD, fd, which, write);
#else
    native_->control(fd, which, write);
#endif
}

void poller::remove(token which, int fd) noexcept {
    const auto index = static_cast<std::uint32_t>(which);
    entries_[index].target = nullptr;
    entries_[index].generation = (entries_[index].generation + 1) & 0x7FFFFFFFU;
    free_.push_back(index);
#if defined(__linux__)
    epoll_ctl(native_->epoll, EPOLL_CTL_DEL, fd, nullptr);
#else
    native_->change(fd, EVFILT_READ, EV_DELETE, which);
    native_->change(fd, EVFILT_WRITE, EV_DELETE, which);
#endif
}

pollable* poller::target_of(token which) const noexcept {
    const auto index = static_cast<std::uint32_t>(which);
    if (index >= entries_.size()) return nullptr;
    const entry& found = entries_[index];
    return found.generation == static_cast<std::uint32_t>(which >> 32U) ? found.target : nullptr;
}

}  // namespace redislock::engine
