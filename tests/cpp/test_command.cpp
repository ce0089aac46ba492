// Bytes of commands, on the letter.
#include "wire/command.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace redislock::wire {
namespace {

using namespace std::string_literals;

TEST(commands, are_arrays_of_bulk_strings) {
    commands out;
    out.add("GET", std::string("k"));
    EXPECT_EQ(out.bytes(), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    EXPECT_EQ(out.count(), 1U);
}

TEST(commands, take_integers_of_every_size) {
    commands out;
    out.add("X", 0, -7, std::uint32_t{4'294'967'295}, std::numeric_limits<std::int64_t>::min(), max_amount);
    EXPECT_EQ(out.bytes(),
              "*6\r\n$1\r\nX\r\n$1\r\n0\r\n$2\r\n-7\r\n$10\r\n4294967295\r\n"
              "$20\r\n-9223372036854775808\r\n$19\r\n9223372036854775807\r\n");
}

TEST(commands, leave_bytes_as_they_are) {
    commands out;
    out.add("SET", "a\r\nb\0c"s, "");
    EXPECT_EQ(out.bytes(), "*3\r\n$3\r\nSET\r\n$6\r\na\r\nb\0c\r\n$0\r\n\r\n"s);
}

TEST(commands, with_a_count_known_late_are_built_in_steps) {
    commands late;
    late.begin(2);
    late.argument(std::string_view("DEL"));
    late.argument(std::string_view("k"));
    commands early;
    early.add("DEL", "k");
    EXPECT_EQ(late.bytes(), early.bytes());
    EXPECT_EQ(late.count(), 1U);
}

TEST(commands, can_be_joined_and_cleared) {
    commands first;
    first.add("PING");
    commands second;
    second.add("TIME").add("PING");
    first.append(second);
    EXPECT_EQ(first.bytes(), "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nTIME\r\n*1\r\n$4\r\nPING\r\n");
    EXPECT_EQ(first.count(), 3U);
    first.clear();
    EXPECT_TRUE(first.bytes().empty());
    EXPECT_EQ(first.count(), 0U);
}

TEST(commands, write_large_headers) {
    commands out;
    out.add(std::string(1'234'567, 'x'));
    EXPECT_EQ(out.bytes().substr(0, 14), "*1\r\n$1234567\r\n");
    EXPECT_EQ(out.bytes().size(), 14U + 1'234'567U + 2U);
}

}  // namespace
}  // namespace redislock::wire
