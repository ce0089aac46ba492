// Deadlines, in a heap that knows where each timer sits, so that cancelling one is cheap and
// nothing stale piles up.
#pragma once

#include <cstddef>
#include <vector>

#include "types/clock.hpp"

namespace redislock::engine {

class timer_queue;

/// Something that happens at a time. Cancels itself when destroyed.
class timer {
public:
    timer() = default;
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    virtual ~timer();

    bool armed() const noexcept { return queue_ != nullptr; }
    nanos at() const noexcept { return at_; }
    void cancel() noexcept;

private:
    friend class timer_queue;
    virtual void on_timer() = 0;

    timer_queue* queue_ = nullptr;
    std::size_t position_ = 0;
    nanos at_ = 0;
};

class timer_queue {
public:
    timer_queue() = default;
    timer_queue(const timer_queue&) = delete;
    timer_queue& operator=(const timer_queue&) = delete;
    ~timer_queue();

    /// Arms the timer, or moves it where it is armed already.
    void arm(timer& which, nanos at);
    /// When the earliest timer is due; `never` where there is none.
    nanos earliest() const noexcept { return heap_.empty() ? never : heap_.front()->at_; }
    /// Calls every timer that is due at `now`, earliest first.
    void run(nanos now);

private:
    friend class timer;
    void remove(timer& which) noexcept;
    void sift_up(std::size_t position) noexcept;
    void sift_down(std::size_t position) noexcept;
    void place(timer* which, std::size_t position) noexcept;

    std::vector<timer*> heap_;
};

}  // namespace redislock::engine
