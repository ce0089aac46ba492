#include "memory/text_ring.hpp"

#include <utility>

namespace redislock::memory {
namespace {

constexpr std::size_t least_capacity = 4;

}  // namespace

std::string& text_ring::push_front() {
    if (size_ == slots_.size()) rehouse(size_ == 0 ? least_capacity : size_ * 2);
    front_ = place(slots_.size() - 1);
    ++size_;
    slots_[front_].clear();
    return slots_[front_];
}

std::string& text_ring::push_back() {
    if (size_ == slots_.size()) rehouse(size_ == 0 ? least_capacity : size_ * 2);
    std::string& made = slots_[place(size_++)];
    made.clear();
    return made;
}

void text_ring::trim(std::size_t first, std::size_t count) {
    front_ = place(first);
    size_ = count;
    std::size_t capacity = slots_.size();
    while (capacity > least_capacity && size_ < capacity / 4) capacity /= 2;
    if (capacity != slots_.size()) rehouse(capacity);
}

void text_ring::rehouse(std::size_t capacity) {
    std::vector<std::string> bigger(capacity);
    for (std::size_t i = 0; i < size_; ++i) bigger[i] = std::move(slots_[place(i)]);
    slots_ = std::move(bigger);
    front_ = 0;
}

}  // namespace redislock::memory
