#include "engine/timers.hpp"

#include <algorithm>

namespace redislock::engine {

timer::~timer() { cancel(); }

void timer::cancel() noexcept {
    if (queue_ != nullptr) queue_->remove(*this);
}

timer_queue::~timer_queue() {
    for (timer* each : heap_) each->queue_ = nullptr;
}

void timer_queue::arm(timer& which, nanos at) {
    which.cancel();
    which.queue_ = this;
    which.at_ = at;
    heap_.push_back(&which);
    which.position_ = heap_.size() - 1;
    sift_up(which.position_);
}

void timer_queue::run(nanos now) {
    while (!heap_.empty() && heap_.front()->at_ <= now) {
        timer& due = *heap_.front();
        remove(due);
        due.on_timer();
    }
}

void timer_queue::remove(timer& which) noexcept {
    const std::size_t hole = which.position_;
    timer* last = heap_.back();
    heap_.pop_back();
    which.queue_ = nullptr;
    if (last == &which) return;
    place(last, hole);
    sift_up(hole);
    sift_down(last->position_);
}

void timer_queue::place(timer* which, std::size_t position) noexcept {
    heap_[position] = which;
    which->position_ = position;
}

void timer_queue::sift_up(std::size_t position) noexcept {
    timer* moving = heap_[position];
    while (position > 0) {
        const std::size_t above = (position - 1) / 4;
        if (heap_[above]->at_ <= moving->at_) break;
        place(heap_[above], position);
        position = above;
    }
    place(moving, position);
}

void timer_queue::sift_down(std::size_t position) noexcept {
    timer* moving = heap_[position];
    for (;;) {
        const std::size_t first = position * 4 + 1;
        if (first >= heap_.size()) break;
        const std::size_t end = std::min(first + 4, heap_.size());
        std::size_t least = first;
        for (std::size_t child = first + 1; child < end; ++child) {
            if (heap_[child]->at_ < heap_[least]->at_) least = child;
        }
        if (heap_[least]->at_ >= moving->at_) break;
        place(heap_[least], position);
        position = least;
    }
    place(moving, position);
}

}  // namespace redislock::engine
