// Random numbers for jitter and load (fast, seedable) and for tokens (from the operating system).
#pragma once

#include <cstdint>
#include <string>

namespace redislock {

/// xoshiro256** by Blackman and Vigna (https://prng.di.unimi.it/), seeded by splitmix64.
/// Not for secrets.
class random_source {
public:
    explicit random_source(std::uint64_t seed) noexcept;

    std::uint64_t next() noexcept;
    /// Uniform in [0, bound); 0 where bound is 0. Lemire's multiply-shift, bias below 2^-32 here.
    std::uint64_t below(std::uint64_t bound) noexcept;
    /// Uniform in [0, 1).
    double unit() noexcept;

private:
    std::uint64_t state_[4]{};
};

/// 128 bits from the operating system as 32 hexadecimal digits: unguessable, never repeated.
std::string random_token();
/// The same, behind what is there.
void append_random_token(std::string& to);

/// A seed from the operating system.
std::uint64_t random_seed();

}  // namespace redislock
