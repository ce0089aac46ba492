// One pollable descriptor that stands for many: sockets, a timer and a wake-up. epoll on Linux,
// kqueue on macOS and the BSDs. Any event loop can wait on `fileno()`.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "types/clock.hpp"

namespace redislock::engine {

/// What happened on a descriptor.
class pollable {
public:
    virtual ~pollable() = default;
    virtual void on_event(bool readable, bool writable) = 0;
};

/// Wakes a poller from any thread. Outlives the poller: then it does nothing.
class waker {
public:
    virtual ~waker() = default;
    virtual void wake() noexcept = 0;
};

class poller {
public:
    /// Names a registration. An event of a registration that was removed meanwhile is dropped,
    /// although another thread may have collected it already.
    using token = std::uint64_t;

    poller();
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    ~poller();

    int fileno() const noexcept;
    std::shared_ptr<waker> wake_handle() const noexcept;

    token add(int fd, pollable& target, bool write);
    /// The descriptor of another poller, which goes on to own it: one thread can wait for several.
    token add(const poller& inner, pollable& target);
    void change(token which, int fd, bool write);
    void remove(token which, int fd) noexcept;

    /// Makes `fileno()` readable at a point on the monotonic clock; `never` disarms.
    void arm(nanos at) noexcept;

    /// Waits and collects; touches nothing else, so that it may run while another thread registers.
    /// Returns early on a signal.
    void wait(nanos timeout) noexcept;
    /// The same to the nanosecond, where `is_exact()`; elsewhere rounded up to a millisecond.
    void wait_exactly(nanos timeout) noexcept;
    bool is_exact() const noexcept;
    /// Whether the last wait found something.
    bool found() const noexcept;
    /// Calls the targets of what was collected. True if a wake-up was among it.
    bool dispatch();

    /// For a forked child: closes every descriptor here without touching what the parent registered
    /// (removing one from an inherited epoll set would remove it for the parent). The rest is leaked.
    void abandon_after_fork() noexcept;

private:
    struct native;
    struct entry {
        pollable* target = nullptr;
        int fd = -1;  // ours to close after a fork, if any
        std::uint32_t generation = 0;
    };

    pollable* target_of(token which) const noexcept;
    void close_entries() const noexcept;

    std::unique_ptr<native> native_;
    std::vector<entry> entries_;
    std::vector<std::uint32_t> free_;
};

}  // namespace redislock::engine
