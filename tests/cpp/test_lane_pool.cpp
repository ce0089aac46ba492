// Exclusive channels: bounded, lent in the order of asking, closed when broken.
#include "engine/lane_pool.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "fake_engine.hpp"

namespace redislock::engine {
namespace {

class customer final : public lane_waiter {
public:
    explicit customer(lane_pool& pool) : pool_(pool) {}
    customer(const customer&) = delete;
    customer& operator=(const customer&) = delete;
    ~customer() { pool_.leave(*this); }
    void on_lane(std::unique_ptr<channel> granted, bool watching) override {
        own = lane(pool_, std::move(granted));
        own.watching = watching;
        ++served;
    }
    channel* which() const { return own ? &own.channel() : nullptr; }

    lane own;
    int served = 0;

private:
    lane_pool& pool_;
};

struct lanes : testing::Test {
    fake_backend server;
    lane_pool pool{server};
};

TEST_F(lanes, are_opened_when_needed_and_used_again) {
    customer first(pool);
    pool.request(first);
    ASSERT_TRUE(first.own);
    channel* const used = first.which();
    first.own.give_up();
    EXPECT_FALSE(first.own);
    customer second(pool);
    pool.request(second);
    EXPECT_EQ(second.which(), used);
    EXPECT_EQ(server.made, 1);
}

TEST_F(lanes, are_no_more_than_the_backend_allows) {
    customer a(pool);
    customer b(pool);
    customer c(pool);
    for (auto* each : {&a, &b, &c}) pool.request(*each);
    EXPECT_TRUE(a.own && b.own);
    EXPECT_EQ(c.served, 0);
    EXPECT_EQ(server.made, 2);
    EXPECT_EQ(pool.longest_line(), 1U);
}

TEST_F(lanes, go_to_those_who_wait_in_the_order_of_asking) {
    server.limit = 1;
    customer holder(pool);
    customer first(pool);
    customer second(pool);
    customer third(pool);
    for (auto* each : {&holder, &first, &second, &third}) pool.request(*each);
    EXPECT_EQ(pool.longest_line(), 3U);
    holder.own.give_up();
    EXPECT_TRUE(first.own);
    EXPECT_EQ(second.served + third.served, 0);
    pool.request(holder);  // a latecomer, behind the others
    first.own.give_up();
    EXPECT_TRUE(second.own);
    second.own.give_up();
    EXPECT_TRUE(third.own);
    third.own.give_up();
    EXPECT_TRUE(holder.own);
    EXPECT_EQ(server.made, 1);
}

TEST_F(lanes, skip_whoever_left_the_line) {
    server.limit = 1;
    customer holder(pool);
    customer gone(pool);
    customer waiting(pool);
    for (auto* each : {&holder, &gone, &waiting}) pool.request(*each);
    pool.leave(gone);
    pool.leave(gone);
    holder.own.give_up();
    EXPECT_EQ(gone.served, 0);
    EXPECT_TRUE(waiting.own);
}

TEST_F(lanes, that_broke_are_closed_and_do_not_count) {
    server.limit = 1;
    customer first(pool);
    pool.request(first);
    server.exclusive[0]->good = false;
    first.own.give_up();
    EXPECT_TRUE(server.exclusive.empty());
    pool.request(first);
    EXPECT_TRUE(first.own);
    EXPECT_EQ(server.made, 2);
    customer waiting(pool);
    pool.request(waiting);
    server.exclusive[0]->good = false;
    first.own.give_up();
    EXPECT_TRUE(waiting.own) << "gets a new one in its place";
    EXPECT_EQ(server.made, 3);
    EXPECT_EQ(server.exclusive.size(), 1U);
}

TEST_F(lanes, that_broke_while_idle_are_not_lent) {
    customer first(pool);
    pool.request(first);
    first.own.give_up();
    server.exclusive[0]->good = false;
    pool.request(first);
    EXPECT_TRUE(first.own);
    EXPECT_EQ(server.made, 2);
}

TEST_F(lanes, pass_on_whether_they_are_left_under_watch) {
    customer first(pool);
    pool.request(first);
    EXPECT_FALSE(first.own.watching);
    first.own.watching = true;
    first.own.give_up();
    customer second(pool);
    pool.request(second);
    EXPECT_TRUE(second.own.watching);
    server.limit = 1;
    customer third(pool);
    pool.request(third);
    second.own.give_up();
    EXPECT_TRUE(third.own.watching) << "also straight from hand to hand";
    third.own.watching = false;
    third.own.give_up();
    pool.request(first);
    EXPECT_FALSE(first.own.watching);
}

TEST_F(lanes, move_and_are_given_back_once) {
    server.limit = 1;
    customer first(pool);
    pool.request(first);
    first.own.watching = true;
    {
        lane moved = std::move(first.own);
        EXPECT_FALSE(first.own);  // NOLINT(bugprone-use-after-move): a moved-from lane is empty
        EXPECT_TRUE(moved.watching);
        lane again;
        again = std::move(moved);
        EXPECT_TRUE(again && again.watching);
    }
    customer second(pool);
    pool.request(second);
    EXPECT_TRUE(second.own);
    EXPECT_EQ(server.made, 1);
}

}  // namespace
}  // namespace redislock::engine
