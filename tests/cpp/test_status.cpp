// Names of statuses, strategies and error codes, and the value-or-error type.
#include "types/status.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "types/result.hpp"

namespace redislock {
namespace {

TEST(status, names_read_back) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < status_count; ++i) {
        const auto each = static_cast<status>(i);
        EXPECT_EQ(parse_status(to_string(each)), each);
        names.insert(to_string(each));
    }
    EXPECT_EQ(names, (std::set<std::string_view>{"ok", "insufficient", "missing", "lock_busy", "conflict",
                                                 "lock_lost", "overflow"}));
    for (auto each : all_strategies) EXPECT_EQ(parse_strategy(to_string(each)), each);
}

TEST(status, unknown_names_are_none) {
    for (const auto* name : {"", "OK", "ok ", "okay", "lua"}) EXPECT_FALSE(parse_status(name)) << name;
    for (const auto* name : {"", "Lua", "ok", "redlock"}) EXPECT_FALSE(parse_strategy(name)) << name;
}

TEST(error, every_code_has_a_name_of_its_own) {
    std::set<std::string_view> names;
    const int last = static_cast<int>(errc::closed);
    for (int i = 0; i <= last; ++i) names.insert(to_string(static_cast<errc>(i)));
    EXPECT_EQ(names.size(), static_cast<std::size_t>(last) + 1);
    EXPECT_EQ(names.count("unknown"), 0U);
}

TEST(result, holds_a_value_or_an_error) {
    result<std::string> good = std::string("yes");
    EXPECT_TRUE(good);
    EXPECT_EQ(*good, "yes");
    EXPECT_EQ(good->size(), 3U);
    const result<std::string> bad{errc::timed_out, "too late"};
    EXPECT_FALSE(bad);
    EXPECT_FALSE(bad.has_value());
    EXPECT_EQ(bad.error().code, errc::timed_out);
    EXPECT_EQ(bad.error().message, "too late");
}

TEST(result, moves_what_cannot_be_copied) {
    result<std::unique_ptr<int>> made = std::make_unique<int>(7);
    const auto taken = *std::move(made);
    EXPECT_EQ(*taken, 7);
}

}  // namespace
}  // namespace redislock
