// Which texts are balances, which are integers, and that digits come back as they went in.
#include "types/amount.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace redislock {
namespace {

using namespace std::string_view_literals;

TEST(amount, canonical_text_is_read) {
    EXPECT_EQ(parse_canonical("0"), 0);
    EXPECT_EQ(parse_canonical("1"), 1);
    EXPECT_EQ(parse_canonical("9"), 9);
    EXPECT_EQ(parse_canonical("10"), 10);
    EXPECT_EQ(parse_canonical("9007199254740993"), 9'007'199'254'740'993);  // 2^53+1: no double holds it
    EXPECT_EQ(parse_canonical("9223372036854775807"), max_amount);
}

TEST(amount, anything_else_is_no_balance) {
    for (auto text : {""sv,
                      "-"sv,
                      "-0"sv,
                      "-1"sv,
                      "+1"sv,
                      "00"sv,
                      "007"sv,
                      "12.5"sv,
                      "1e3"sv,
                      "abc"sv,
                      " 5"sv,
                      "5 "sv,
                      "5\n"sv,
                      "0x10"sv,
                      "1\0"sv,
                      "\0"sv,
                      "9223372036854775808"sv,
                      "10000000000000000000"sv,
                      "99999999999999999999999"sv,
                      "\xd9\xa3"sv,
                      "inf"sv,
                      "nan"sv}) {
        EXPECT_FALSE(parse_canonical(text)) << "'" << text << "'";
    }
}

TEST(amount, integers_may_be_negative_and_must_fill_the_text) {
    EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(parse_integer("9223372036854775807"), max_amount);
    EXPECT_EQ(parse_integer("-3"), -3);
    for (auto text :
         {""sv, "-"sv, "+3"sv, "3x"sv, " 3"sv, "9223372036854775808"sv, "-9223372036854775809"sv}) {
        EXPECT_FALSE(parse_integer(text)) << "'" << text << "'";
    }
    EXPECT_FALSE(parse_integer(std::string_view{}));
}

TEST(amount, digits_come_back_as_they_went_in) {
    for (std::int64_t value : {std::int64_t{0}, std::int64_t{7}, std::int64_t{-1}, max_amount,
                               std::numeric_limits<std::int64_t>::min()}) {
        EXPECT_EQ(digits(value).view(), std::to_string(value));
        EXPECT_EQ(parse_integer(digits(value).view()), value);
    }
}

}  // namespace
}  // namespace redislock
