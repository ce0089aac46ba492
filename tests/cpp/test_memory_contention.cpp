// Many users at once on memory://: which strategies keep every cent, which one loses, and how lanes
// and locks are handed on. One reactor, so all of it interleaves at the engine's own places.
#include <gtest/gtest.h>

#include <thread>

#include "memory_driver.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

constexpr amount start = 1'000'000;
constexpr int users = 64;
constexpr int rounds_each = 20;

struct tally {
    std::int64_t ok = 0;
    std::int64_t failed = 0;
    std::uint32_t attempts = 0;
};

// One user who withdraws again and again.
engine::task<result<tally>> keep_withdrawing(engine::context& with, strategy how,
                                             const accounts::settings& rules, const accounts::change& asked) {
    tally seen;
    for (int i = 0; i < rounds_each; ++i) {
        auto ended = co_await accounts::withdraw(how, with, rules, asked);
        if (!ended) co_return std::move(ended.error());
        if (ended->status == status::ok) ++seen.ok;
        else ++seen.failed;
        seen.attempts += ended->attempts;
    }
    co_return seen;
}

class memory_contention : public ::testing::Test {
public:
    memory_contention() {
        ann.rules.max_retries = 1000;
        ann.rules.lock_wait = 60 * second;
        ann.rules.history_limit = 100;
        ann.init(start);
    }
    tally crowd(strategy how) {
        const auto asked = ann.change(1);
        std::vector<std::shared_ptr<called_operation<tally>>> all;
        all.reserve(users);
        for (int i = 0; i < users; ++i) {
            all.push_back(on.submit<tally>(
                [&](auto& with) { return keep_withdrawing(with, how, ann.rules, asked); }, 120 * second));
        }
        on.finish_all();
        tally sum;
        for (auto& each : all) {
            EXPECT_TRUE(each->outcome()) << each->outcome().error().message;
            if (!each->outcome()) continue;
            sum.ok += each->outcome()->ok;
            sum.failed += each->outcome()->failed;
            sum.attempts += each->outcome()->attempts;
        }
        return sum;
    }
    amount balance() { return **ann.balance(); }

    driver on;
    test_account ann{on};
    test_client c{on.home()};
};

TEST_F(memory_contention, lua_keeps_the_sum) {
    const auto sum = crowd(strategy::lua);
    EXPECT_EQ(sum.ok, users * rounds_each);
    EXPECT_EQ(balance(), start - sum.ok);
}

TEST_F(memory_contention, lock_keeps_the_sum) {
    const auto sum = crowd(strategy::lock);
    EXPECT_EQ(sum.ok, users * rounds_each);
    EXPECT_EQ(balance(), start - sum.ok);
    EXPECT_GT(sum.attempts, sum.ok);  // they really waited for each other
    EXPECT_EQ(c("EXISTS", ann.keys().lock), "0");
}

TEST_F(memory_contention, watch_keeps_the_sum_and_conflicts) {
    const auto sum = crowd(strategy::watch);
    EXPECT_EQ(sum.ok, users * rounds_each);
    EXPECT_EQ(balance(), start - sum.ok);
    EXPECT_GT(sum.attempts, sum.ok);
}

TEST_F(memory_contention, watch_gives_up_after_its_retries) {
    ann.rules.max_retries = 0;
    const auto sum = crowd(strategy::watch);
    EXPECT_GT(sum.failed, 0);
    EXPECT_EQ(balance(), start - sum.ok);
}

TEST_F(memory_contention, watch_waits_in_line_for_few_lanes) {
    driver narrow(on.home(), 2);
    test_account same(narrow);
    const auto asked = same.change(1);
    std::vector<std::shared_ptr<called_operation<tally>>> all;
    all.reserve(users);
    for (int i = 0; i < users; ++i) {
        all.push_back(narrow.submit<tally>(
            [&](auto& with) { return keep_withdrawing(with, strategy::watch, ann.rules, asked); },
            120 * second));
    }
    narrow.finish_all();
    for (auto& each : all) EXPECT_TRUE(each->outcome());
    EXPECT_EQ(balance(), start - amount{users} * rounds_each);
    EXPECT_EQ(narrow.reactor().lanes().longest_line(), static_cast<std::size_t>(users - 2));
}

TEST_F(memory_contention, naive_loses_money) {
    const auto sum = crowd(strategy::naive);
    EXPECT_EQ(sum.ok, users * rounds_each);
    EXPECT_GT(balance(), start - sum.ok);
}

TEST_F(memory_contention, one_idempotency_key_charges_once) {
    for (strategy how : {strategy::lua, strategy::lock, strategy::watch}) {
        ann.init(start);
        const auto asked = ann.change(7, "same for " + std::string(to_string(how)));
        std::vector<std::shared_ptr<called_operation<accounts::receipt>>> all;
        all.reserve(users);
        for (int i = 0; i < users; ++i) {
            all.push_back(on.submit<accounts::receipt>(
                [&](auto& with) { return accounts::withdraw(how, with, ann.rules, asked); }, 120 * second));
        }
        on.finish_all();
        int fresh = 0;
        for (auto& each : all) {
            ASSERT_TRUE(each->outcome()) << each->outcome().error().message;
            EXPECT_EQ(each->outcome()->status, status::ok);
            EXPECT_EQ(each->outcome()->balance, start - 7);
            fresh += each->outcome()->replayed ? 0 : 1;
        }
        EXPECT_EQ(fresh, 1) << to_string(how);
        EXPECT_EQ(balance(), start - 7);
    }
}

TEST_F(memory_contention, reactors_of_several_threads_share_a_server) {
    const auto asked = ann.change(1);
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (strategy how : {strategy::lua, strategy::lock, strategy::watch}) {
        threads.emplace_back([&, how] {
            driver own(on.home());
            std::vector<std::shared_ptr<called_operation<tally>>> all;
            all.reserve(8);
            for (int i = 0; i < 8; ++i) {
                all.push_back(own.submit<tally>(
                    [&](auto& with) { return keep_withdrawing(with, how, ann.rules, asked); }, 120 * second));
            }
            own.finish_all();
            for (auto& each : all) EXPECT_EQ(each->outcome()->ok, rounds_each);
        });
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(balance(), start - amount{3} * 8 * rounds_each);
}

// A lane that is handed on under WATCH must be told so, or its old keys decide over the next owner.
TEST_F(memory_contention, a_lane_left_watching_does_not_disturb_its_next_owner) {
    driver single(on.home(), 1);
    test_account first(single);
    test_account second_one(single, "bob");
    second_one.init(100);
    EXPECT_EQ(first.withdraw(strategy::watch, start + 1), "insufficient 1000000");
    c("SET", ann.keys().balance, 5);  // what the lane still watches
    second_one.rules.max_retries = 0;
    EXPECT_EQ(second_one.withdraw(strategy::watch, 1), "ok 99");
}

TEST_F(memory_contention, a_held_lock_is_waited_for) {
    ann.rules.lock_wait = 30 * millisecond;
    c("SET", ann.keys().lock, "somebody", "PX", 60'000);
    const auto ended = ann.withdrawal(strategy::lock, 1);
    EXPECT_EQ(show(ended), "lock_busy");
    EXPECT_GE(ended->attempts, 2U);
    EXPECT_EQ(c("GET", ann.keys().lock), "'somebody'");
    c("PEXPIRE", ann.keys().lock, 20);
    ann.rules.lock_wait = 2 * second;
    EXPECT_EQ(ann.withdraw(strategy::lock, 1), "ok 999999");
}

// Stops a withdrawal by lock between its two round trips, where others may act.
TEST_F(memory_contention, a_lost_lock_changes_nothing) {
    for (const char* thief : {"", "somebody else"}) {
        const auto asked = ann.change(1);
        auto under_way = on.submit<accounts::receipt>(
            [&](auto& with) { return accounts::withdraw(strategy::lock, with, ann.rules, asked); });
        on.reactor().flush();
        ASSERT_NE(c("EXISTS", ann.keys().lock), "0");
        c("DEL", ann.keys().lock);
        if (*thief != '\0') c("SET", ann.keys().lock, thief);
        on.finish_all();
        EXPECT_EQ(show(under_way->outcome()), "lock_lost");
        EXPECT_EQ(balance(), start);
        EXPECT_EQ(c("GET", ann.keys().lock), *thief != '\0' ? "'" + std::string(thief) + "'" : "nil");
    }
}

TEST_F(memory_contention, a_cancelled_holder_releases_its_lock) {
    const auto asked = ann.change(1);
    auto under_way = on.submit<accounts::receipt>(
        [&](auto& with) { return accounts::withdraw(strategy::lock, with, ann.rules, asked); });
    on.reactor().flush();
    ASSERT_NE(c("EXISTS", ann.keys().lock), "0");
    on.reactor().cancel(*under_way);
    on.finish_all();
    on.rounds(2);
    EXPECT_EQ(show(under_way->outcome()), "-cancelled");
    EXPECT_EQ(c("EXISTS", ann.keys().lock), "0");
    EXPECT_EQ(balance(), start);
}

TEST_F(memory_contention, what_was_not_sent_is_dropped_with_its_caller) {
    const auto asked = ann.change(1);
    auto under_way = on.submit<accounts::receipt>(
        [&](auto& with) { return accounts::withdraw(strategy::lua, with, ann.rules, asked); });
    on.reactor().cancel(*under_way);
    on.finish_all();
    EXPECT_EQ(show(under_way->outcome()), "-cancelled");
    EXPECT_EQ(balance(), start);
}

TEST_F(memory_contention, a_deadline_ends_the_wait_for_a_lock) {
    c("SET", ann.keys().lock, "somebody");
    const auto asked = ann.change(1);
    const auto begun = monotonic_now();
    const auto ended = on.run<accounts::receipt>(
        [&](auto& with) { return accounts::withdraw(strategy::lock, with, ann.rules, asked); },
        50 * millisecond);
    EXPECT_EQ(show(ended), "-timed_out");
    EXPECT_LT(monotonic_now() - begun, 2 * second);
    EXPECT_EQ(c("GET", ann.keys().lock), "'somebody'");
}

TEST_F(memory_contention, a_reactor_may_go_with_operations_under_way) {
    const auto asked = ann.change(1);
    {
        driver brief(on.home());
        for (strategy how : all_strategies) {
            for (int i = 0; i < 8; ++i) {
                brief.submit<accounts::receipt>(
                    [&](auto& with) { return accounts::withdraw(how, with, ann.rules, asked); });
            }
        }
        brief.reactor().flush();
    }
    EXPECT_GE(start, balance());
}

}  // namespace
}  // namespace redislock::memory
