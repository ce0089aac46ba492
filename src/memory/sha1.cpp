#include "memory/sha1.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace redislock::memory {
namespace {

using words = std::array<std::uint32_t, 5>;
constexpr std::size_t block_size = 64;

std::uint32_t to_word(const char* bytes) noexcept {
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | static_cast<unsigned char>(bytes[i]);
    return word;
}

void digest_block(const char* block, words& sum) noexcept {
    std::array<std::uint32_t, 80> w{};
    for (std::size_t i = 0; i < 16; ++i) w[i] = to_word(block + 4 * i);
    for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    auto [a, b, c, d, e] = sum;
    for (std::size_t i = 0; i < 80; ++i) {
        std::uint32_t mixed = 0;
        if (i < 20) mixed = ((b & c) | (~b & d)) + 0x5A827999;
        else if (i < 40) mixed = (b ^ c ^ d) + 0x6ED9EBA1;
        else if (i < 60) mixed = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC;
        else mixed = (b ^ c ^ d) + 0xCA62C1D6;
        const std::uint32_t next = std::rotl(a, 5) + mixed + e + w[i];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    sum[0] += a;
    sum[1] += b;
    sum[2] += c;
    sum[3] += d;
    sum[4] += e;
}

}  // namespace

std::string sha1_of(std::string_view text) {
    words sum{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    const std::size_t whole = text.size() / block_size * block_size;
    for (std::size_t at = 0; at < whole; at += block_size) digest_block(text.data() + at, sum);
    std::string rest(text.substr(whole));
    rest.push_back('\x80');
    while (rest.size() % block_size != block_size - 8) rest.push_back('\0');
    const std::uint64_t bits = static_cast<std::uint64_t>(text.size()) * 8;
    for (int shift = 56; shift >= 0; shift -= 8) rest.push_back(static_cast<char>(bits >> shift & 0xFF));
    for (std::size_t at = 0; at < rest.size(); at += block_size) digest_block(rest.data() + at, sum);
    std::string hex;
    hex.reserve(40);
    for (const std::uint32_t each : sum) {
        for (int shift = 28; shift >= 0; shift -= 4) hex.push_back("0123456789abcdef"[each >> shift & 0xF]);
    }
    return hex;
}

}  // namespace redislock::memory
