// The histogram against exact order statistics.
#include "load/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "types/random.hpp"

namespace redislock::load {
namespace {

constexpr std::array<double, 9> shares{0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999};

nanos exact_quantile(const std::vector<nanos>& sorted, double share) {
    const double rank = std::ceil(share * static_cast<double>(sorted.size()) - 1e-6);
    return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

void expect_close(std::vector<nanos> values) {
    histogram counted;
    for (nanos each : values) counted.record(each);
    std::sort(values.begin(), values.end());
    for (double share : shares) {
        const auto exact = static_cast<double>(exact_quantile(values, share));
        EXPECT_NEAR(static_cast<double>(counted.quantile(share)), exact, exact * 0.001) << share;
    }
    EXPECT_EQ(counted.count(), values.size());
    EXPECT_EQ(counted.min(), values.front());
    EXPECT_EQ(counted.max(), values.back());
    EXPECT_EQ(counted.quantile(0), values.front());
    EXPECT_EQ(counted.quantile(1), values.back());
}

TEST(histogram, is_empty_at_first) {
    const histogram counted;
    EXPECT_EQ(counted.count(), 0U);
    EXPECT_EQ(counted.min(), 0);
    EXPECT_EQ(counted.max(), 0);
    EXPECT_EQ(counted.mean(), 0);
    EXPECT_EQ(counted.quantile(0.5), 0);
}

TEST(histogram, keeps_three_digits_from_a_microsecond_to_a_minute) {
    for (nanos value = microsecond; value <= 60 * second; value += 1 + value / 997) {
        histogram counted;
        counted.record(value - 1);
        counted.record(value);
        counted.record(2 * value);
        const auto seen = static_cast<double>(counted.quantile(0.5));
        ASSERT_NEAR(seen, static_cast<double>(value), static_cast<double>(value) * 0.0005 + 0.5);
        if (value > second) value += value / 10;  // enough of these
    }
}

TEST(histogram, agrees_with_exact_quantiles_of_uniform_values) {
    random_source random(1);
    std::vector<nanos> values(100'000);
    for (nanos& each : values) each = microsecond + static_cast<nanos>(random.below(10 * millisecond));
    expect_close(std::move(values));
}

TEST(histogram, agrees_with_exact_quantiles_over_every_scale) {
    random_source random(2);
    std::vector<nanos> values(100'000);
    for (nanos& each : values) each = static_cast<nanos>(std::pow(10.0, 3 + random.unit() * 7.778));
    expect_close(std::move(values));
}

TEST(histogram, agrees_with_exact_quantiles_of_a_long_tail) {
    random_source random(3);
    std::vector<nanos> values(50'000);
    for (nanos& each : values) {
        each = static_cast<nanos>(100e3 * -std::log(1 - random.unit())) + 40 * microsecond;
        if (random.below(500) == 0) each *= 300;
    }
    expect_close(std::move(values));
}

TEST(histogram, takes_the_nearest_rank_where_the_product_is_a_whole_number) {
    histogram counted;
    for (nanos value = 1; value <= 1000; ++value) counted.record(value);
    EXPECT_EQ(counted.quantile(0.999), 999);
    EXPECT_EQ(counted.quantile(0.5), 500);
    EXPECT_EQ(counted.quantile(0.0001), 1);
    EXPECT_DOUBLE_EQ(counted.mean(), 500.5);
}

TEST(histogram, answers_a_recorded_value_for_a_single_one) {
    for (nanos value : {nanos{0}, nanos{1}, nanos{2047}, nanos{2048}, nanos{2049}, 123'456'789 * nanos{10}}) {
        histogram counted;
        counted.record(value);
        for (double share : shares) EXPECT_EQ(counted.quantile(share), value);
    }
}

TEST(histogram, merging_is_recording_both) {
    random_source random(4);
    histogram one;
    histogram other;
    histogram both;
    for (int i = 0; i < 10'000; ++i) {
        const auto value = static_cast<nanos>(random.below(1 + (std::uint64_t{1} << random.below(36))));
        (i % 3 == 0 ? one : other).record(value);
        both.record(value);
    }
    one.merge(other);
    one.merge(histogram{});
    EXPECT_EQ(one.count(), both.count());
    EXPECT_EQ(one.min(), both.min());
    EXPECT_EQ(one.max(), both.max());
    EXPECT_NEAR(one.mean(), both.mean(), 1e-6 * both.mean());
    for (double share : shares) EXPECT_EQ(one.quantile(share), both.quantile(share));
    histogram empty;
    empty.merge(both);
    EXPECT_EQ(empty.min(), both.min());
}

TEST(histogram, survives_what_is_out_of_range) {
    histogram counted;
    counted.record(-5);
    counted.record(never);
    counted.record(3600 * second);
    EXPECT_EQ(counted.count(), 3U);
    EXPECT_EQ(counted.min(), 0);
    EXPECT_EQ(counted.max(), never);
    EXPECT_EQ(counted.quantile(0.1), 0);
    EXPECT_EQ(counted.quantile(0.9), never);
    counted.clear();
    EXPECT_EQ(counted.count(), 0U);
    EXPECT_EQ(counted.max(), 0);
    EXPECT_EQ(counted.quantile(0.5), 0);
}

TEST(histogram, travels_as_text_and_merges_to_the_same_counters) {
    random_source random(7);
    histogram one;
    histogram other;
    histogram both;
    for (int i = 0; i < 10'000; ++i) {
        const auto value = static_cast<nanos>(random.below(std::uint64_t{1} << (i % 40)));
        (i % 3 == 0 ? one : other).record(value);
        both.record(value);
    }
    histogram merged;
    EXPECT_TRUE(merged.merge_encoded(histogram().encode()));  // empty: nothing
    EXPECT_EQ(merged.count(), 0U);
    EXPECT_TRUE(merged.merge_encoded(one.encode()));
    EXPECT_TRUE(merged.merge_encoded(other.encode()));
    EXPECT_EQ(merged.count(), both.count());
    EXPECT_EQ(merged.min(), both.min());
    EXPECT_EQ(merged.max(), both.max());
    EXPECT_NEAR(merged.mean(), both.mean(), both.mean() * 1e-9);
    for (double share : shares) EXPECT_EQ(merged.quantile(share), both.quantile(share)) << share;

    std::uint64_t visited = 0;
    nanos before = -1;
    merged.for_each([&](nanos value, std::uint64_t count) {
        EXPECT_GT(value, before);
        before = value;
        visited += count;
    });
    EXPECT_EQ(visited, both.count());
}

TEST(histogram, takes_nothing_of_a_text_that_is_none) {
    histogram source;
    source.record(5);
    source.record(70'000);
    const std::string text = source.encode();
    histogram untouched;
    for (std::size_t length = 1; length < text.size(); ++length) {
        if (untouched.merge_encoded(std::string_view(text).substr(0, length))) {
            EXPECT_LT(untouched.count(), source.count());  // cut between two counters: it is one
            untouched.clear();
        }
    }
    EXPECT_FALSE(untouched.merge_encoded(text + std::string(20, '\xFF')));
    EXPECT_FALSE(untouched.merge_encoded(text + "\xFF\xFF\xFF\x01\x01"));  // a counter that is none
    EXPECT_EQ(untouched.count(), 0U);
}

}  // namespace
}  // namespace redislock::load
