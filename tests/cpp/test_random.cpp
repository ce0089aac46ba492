// The generator against reference values, its ranges, and that tokens do not repeat.
#include "types/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

namespace redislock {
namespace {

// From an independent implementation of xoshiro256** seeded by splitmix64.
TEST(random, follows_its_reference) {
    random_source zero(0);
    EXPECT_EQ(zero.next(), 0x99ec5f36cb75f2b4U);
    EXPECT_EQ(zero.next(), 0xbf6e1f784956452aU);
    EXPECT_EQ(zero.next(), 0x1a5f849d4933e6e0U);
    random_source other(42);
    EXPECT_EQ(other.next(), 0x15780b2e0c2ec716U);
    EXPECT_EQ(other.next(), 0x6104d9866d113a7eU);
}

TEST(random, stays_below_its_bound) {
    random_source random(1);
    for (std::uint64_t bound : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{7},
                                std::uint64_t{0xFFFFFFFF}, std::uint64_t{0x100000000}, ~std::uint64_t{0}}) {
        for (int i = 0; i < 1000; ++i) ASSERT_LT(random.below(bound), bound);
    }
    EXPECT_EQ(random.below(0), 0U);
}

TEST(random, reaches_every_value_about_equally) {
    random_source random(2);
    constexpr int draws = 70'000;
    std::array<int, 7> seen{};
    for (int i = 0; i < draws; ++i) ++seen.at(random.below(seen.size()));
    for (int each : seen) EXPECT_NEAR(each, 10'000, 500);  // five standard deviations
    double sum = 0;
    for (int i = 0; i < draws; ++i) {
        const double unit = random.unit();
        ASSERT_GE(unit, 0);
        ASSERT_LT(unit, 1);
        sum += unit;
    }
    EXPECT_NEAR(sum / draws, 0.5, 0.006);
}

TEST(random, tokens_are_32_hexadecimal_digits_and_never_the_same) {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const auto token = random_token();
        EXPECT_EQ(token.size(), 32U);
        EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), std::string::npos) << token;
        seen.insert(token);
    }
    EXPECT_EQ(seen.size(), 1000U);
    EXPECT_NE(random_seed(), random_seed());
}

}  // namespace
}  // namespace redislock
