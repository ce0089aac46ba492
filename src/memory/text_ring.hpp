// A list of texts for LPUSH and LTRIM: a ring that grows, whose slots keep their memory, so that a
// bounded history in its steady state allocates nothing.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace redislock::memory {

class text_ring {
public:
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    /// The element at a position from the front.
    const std::string& operator[](std::size_t index) const noexcept { return slots_[place(index)]; }

    /// A new first element: cleared, to be filled by the caller.
    std::string& push_front();
    /// A new last element, likewise.
    std::string& push_back();

    /// Keeps `count` elements from the one at `first`; both lie within the list.
    void trim(std::size_t first, std::size_t count);

private:
    std::size_t place(std::size_t index) const noexcept { return (front_ + index) & (slots_.size() - 1); }
    void rehouse(std::size_t capacity);

    std::vector<std::string> slots_;  // a power of two of them
    std::size_t front_ = 0;
    std::size_t size_ = 0;
};

}  // namespace redislock::memory
