// Shapes of the distributions, and that a seed decides everything.
#include "load/draw.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace redislock::load {
namespace {

std::vector<double> shares_of(distribution how, std::size_t accounts, int draws) {
    const account_picker picker(how, accounts);
    random_source random(7);
    std::vector<double> shares(accounts);
    for (int i = 0; i < draws; ++i) shares[picker.pick(random)] += 1.0 / draws;
    return shares;
}

// Five standard deviations of a share seen in so many draws.
double tolerance(double share, int draws) { return 5 * std::sqrt(share * (1 - share) / draws) + 1e-9; }

TEST(load_draw, names_read_back) {
    for (auto each : {distribution::hot, distribution::uniform, distribution::zipf}) {
        EXPECT_EQ(parse_distribution(to_string(each)), each);
    }
    EXPECT_FALSE(parse_distribution("pareto"));
}

TEST(load_draw, hot_is_the_first_account_only) {
    const auto shares = shares_of(distribution::hot, 5, 1000);
    EXPECT_NEAR(shares[0], 1, 1e-9);
}

TEST(load_draw, uniform_is_the_same_for_all) {
    constexpr int draws = 200'000;
    for (double share : shares_of(distribution::uniform, 20, draws))
        EXPECT_NEAR(share, 0.05, tolerance(0.05, draws));
}

TEST(load_draw, zipf_has_the_shares_of_its_formula) {
    constexpr int draws = 500'000;
    for (std::size_t accounts :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{100}, std::size_t{1000}}) {
        double all = 0;
        for (std::size_t k = 1; k <= accounts; ++k) all += std::pow(static_cast<double>(k), -0.99);
        const auto shares = shares_of(distribution::zipf, accounts, draws);
        for (std::size_t k = 1; k <= accounts; ++k) {
            const double expected = std::pow(static_cast<double>(k), -0.99) / all;
            ASSERT_NEAR(shares[k - 1], expected, tolerance(expected, draws)) << k << " of " << accounts;
        }
    }
}

TEST(load_draw, the_same_seed_draws_the_same) {
    const account_picker accounts(distribution::zipf, 50);
    const amount_picker amounts(10, 9);
    const auto row = [&](std::uint64_t seed) {
        random_source random(seed);
        std::vector<std::pair<std::size_t, amount>> drawn;
        for (int i = 0; i < 200; ++i) {
            const auto account = accounts.pick(random);
            drawn.emplace_back(account, amounts.pick(random));
        }
        return drawn;
    };
    EXPECT_EQ(row(1), row(1));
    EXPECT_NE(row(1), row(2));
}

TEST(load_draw, amounts_are_uniform_within_the_jitter) {
    constexpr int draws = 100'000;
    const amount_picker amounts(10, 2);
    random_source random(3);
    std::vector<int> seen(20);
    for (int i = 0; i < draws; ++i) ++seen[static_cast<std::size_t>(amounts.pick(random))];
    for (std::size_t value = 0; value < seen.size(); ++value) {
        const double expected = value >= 8 && value <= 12 ? 0.2 : 0;
        EXPECT_NEAR(static_cast<double>(seen[value]) / draws, expected, tolerance(expected, draws)) << value;
    }
}

TEST(load_draw, amounts_are_at_least_one_and_never_overflow) {
    random_source random(4);
    for (const amount_picker& amounts :
         {amount_picker(1, 5), amount_picker(3, max_amount - 3), amount_picker(1, 0)}) {
        for (int i = 0; i < 1000; ++i) EXPECT_GE(amounts.pick(random), 1);
    }
    const amount_picker highest(max_amount - 1, 1);
    for (int i = 0; i < 1000; ++i) EXPECT_GE(highest.pick(random), max_amount - 2);
    EXPECT_EQ(amount_picker(max_amount, 0).pick(random), max_amount);
}

}  // namespace
}  // namespace redislock::load
