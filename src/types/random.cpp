#include "types/random.hpp"

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>

namespace redislock {
namespace {

std::uint64_t splitmix(std::uint64_t& state) noexcept {
    state += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
}

std::uint64_t rotate_left(std::uint64_t x, unsigned k) noexcept { return (x << k) | (x >> (64U - k)); }

using token_bytes = std::array<unsigned char, 16>;

std::atomic<std::uint32_t> forks = 0;

// What the operating system gave to this thread and was not used yet: asking costs more than a lock of
// memory:// may. A forked child asks anew, or it would draw what its parent draws.
class entropy {
public:
    token_bytes draw() {
        const auto now = forks.load(std::memory_order_relaxed);
        if (used_ == bytes_.size() || drawn_in_ != now) refill(now);
        token_bytes drawn;
        std::memcpy(drawn.data(), &bytes_[used_], drawn.size());
        std::memset(&bytes_[used_], 0, drawn.size());  // nobody finds in memory what was given out
        used_ += drawn.size();
        return drawn;
    }

private:
    void refill(std::uint32_t now) {
        [[maybe_unused]] static const int registered =
            pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
        // Never fails for so few bytes; std::random_device asks the processor, at many times the price.
        if (getentropy(bytes_.data(), bytes_.size()) != 0)
            throw std::system_error(errno, std::generic_category());
        used_ = 0;
        drawn_in_ = now;
    }

    std::array<unsigned char, 256> bytes_{};  // the most that is given at once
    std::size_t used_ = sizeof bytes_;
    std::uint32_t drawn_in_ = 0;
};

}  // namespace

random_source::random_source(std::uint64_t seed) noexcept {
    for (auto& word : state_) word = splitmix(seed);
}

std::uint64_t random_source::next() noexcept {
    const std::uint64_t answer = rotate_left(state_[1] * 5U, 7U) * 9U;
    const std::uint64_t t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate_left(state_[3], 45U);
    return answer;
}

std::uint64_t random_source::below(std::uint64_t bound) noexcept {
    if (bound <= 0xFFFFFFFFU) return ((next() >> 32U) * bound) >> 32U;
    return next() % bound;
}

double random_source::unit() noexcept { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

std::uint64_t random_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

void append_random_token(std::string& to) {
    static constexpr char hex[] = "0123456789abcdef";
    thread_local entropy own;
    std::array<char, 2 * sizeof(token_bytes)> digits{};
    auto* at = digits.data();
    for (const unsigned char byte : own.draw()) {
        *at++ = hex[byte >> 4U];
        *at++ = hex[byte & 15U];
    }
    to.append(digits.data(), digits.size());
}

std::string random_token() {
    std::string token;
    append_random_token(token);
    return token;
}

}  // namespace redislock
