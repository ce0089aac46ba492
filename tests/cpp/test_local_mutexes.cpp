// Mutexes taken and given back without a request, against the same done by the scripts' commands.
#include "memory/local_mutexes.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "locks/identity.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

class local_mutexes_of_a_server : public ::testing::Test {
public:
    local_mutexes_of_a_server() { reset_time(); }

    std::shared_ptr<server> home = std::make_shared<server>(fake_clocks);
    test_client c{home};
    local_mutexes at{home};
    const locks::lock_keys x{"x"};
};

constexpr std::int64_t new_year_us = new_year / microsecond;

TEST_F(local_mutexes_of_a_server, store_token_and_fence_as_the_script_does) {
    const auto taken = at.take(x, "token", 5 * second);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->fence, new_year_us);
    EXPECT_EQ(taken->at, fake_monotonic);
    EXPECT_EQ(c("GET", "x"), "'token'");
    EXPECT_EQ(c("PTTL", "x"), "5000");
    EXPECT_EQ(c("GET", x.fence), "'" + std::to_string(new_year_us) + "'");
    EXPECT_EQ(c("PTTL", x.fence), "86400000");
    EXPECT_EQ(c("DBSIZE"), "2");
}

TEST_F(local_mutexes_of_a_server, without_a_lease_never_end) {
    ASSERT_TRUE(at.take(x, "token", locks::no_lease));
    EXPECT_EQ(c("PTTL", "x"), "-1");
    EXPECT_EQ(c("PTTL", x.fence), "-1");
}

TEST_F(local_mutexes_of_a_server, are_not_taken_while_held_and_are_once_that_has_ended) {
    ASSERT_TRUE(at.take(x, "one", second));
    EXPECT_FALSE(at.take(x, "other", second));
    EXPECT_EQ(c("GET", "x"), "'one'");
    advance(second);
    EXPECT_FALSE(at.give_back(x, "one"));
    ASSERT_TRUE(at.take(x, "other", second));
    EXPECT_FALSE(at.give_back(x, "one"));
    EXPECT_TRUE(at.give_back(x, "other"));
    EXPECT_EQ(c("EXISTS", "x"), "0");
}

TEST_F(local_mutexes_of_a_server, are_left_to_scripts_where_somebody_waits) {
    ASSERT_TRUE(at.take(x, "one", second));
    c("ZADD", x.queue, 1, "waiter");
    EXPECT_FALSE(at.give_back(x, "one"));
    EXPECT_EQ(c("GET", "x"), "'one'");
    c("DEL", "x");
    EXPECT_FALSE(at.take(x, "one", second));
}

TEST_F(local_mutexes_of_a_server, are_left_to_scripts_where_values_are_strange) {
    for (const char* fence : {"nonsense", "0x10", "-1", "9007199254740992", "1e3"}) {
        c("SET", x.fence, fence);
        EXPECT_FALSE(at.take(x, "one", second)) << fence;
    }
    c("DEL", x.fence);
    c("LPUSH", x.fence, "1");
    EXPECT_FALSE(at.take(x, "one", second));
    c("DEL", x.fence);
    c("LPUSH", "x", "one");
    EXPECT_FALSE(at.take(x, "one", second));
    EXPECT_FALSE(at.give_back(x, "one"));
}

TEST_F(local_mutexes_of_a_server, have_fences_that_grow_though_the_clock_stands) {
    c("SET", x.fence, new_year_us + 7);
    for (int i = 1; i <= 3; ++i) {
        EXPECT_EQ(at.take(x, "one", second)->fence, new_year_us + 7 + i);
        EXPECT_TRUE(at.give_back(x, "one"));
    }
}

TEST_F(local_mutexes_of_a_server, touch_what_is_watched) {
    const auto conflicts = [&](auto change) {
        c("WATCH", "x");
        change();
        c("MULTI");
        c("PING");
        return c("EXEC") == "nil";
    };
    EXPECT_TRUE(conflicts([&] { at.take(x, "one", second); }));
    EXPECT_FALSE(conflicts([&] { at.take(x, "other", second); }));
    EXPECT_FALSE(conflicts([&] { at.give_back(x, "other"); }));
    EXPECT_TRUE(conflicts([&] { at.give_back(x, "one"); }));
}

TEST_F(local_mutexes_of_a_server, do_not_wait_for_who_has_the_server) {
    const turn elsewhere(*home);
    std::thread([&] {
        EXPECT_FALSE(at.take(x, "one", second));
        EXPECT_FALSE(at.give_back(x, "one"));
    }).join();
}

TEST(local_mutexes_of_threads, are_one_holders_at_a_time) {
    const auto home = std::make_shared<server>();
    local_mutexes at{home};
    const locks::lock_keys x{"x"};
    std::int64_t last = 0;  // of whoever holds it
    std::atomic<int> inside = 0;
    const auto work = [&](const std::string& token) {
        for (int taken = 0; taken < 2000;) {
            const auto got = at.take(x, token, 10 * second);
            if (!got) {
                std::this_thread::yield();
                continue;
            }
            EXPECT_EQ(++inside, 1);
            EXPECT_GT(got->fence, last);
            last = got->fence;
            --inside;
            while (!at.give_back(x, token)) std::this_thread::yield();
            ++taken;
        }
    };
    std::thread one(work, "one");
    std::thread other(work, "other");
    one.join();
    other.join();
}

}  // namespace
}  // namespace redislock::memory
