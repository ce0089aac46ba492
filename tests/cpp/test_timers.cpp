// Timers against a plain list, and what may be done to them from within a callback.
#include "engine/timers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "types/random.hpp"

namespace redislock::engine {
namespace {

class bell final : public timer {
public:
    explicit bell(std::function<void()> ring = {}) : ring_(std::move(ring)) {}
    int rung = 0;

private:
    void on_timer() override {
        ++rung;
        if (ring_) ring_();
    }
    std::function<void()> ring_;
};

TEST(timers, ring_in_order_and_not_before_their_time) {
    timer_queue queue;
    std::vector<int> order;
    bell first([&] { order.push_back(1); });
    bell second([&] { order.push_back(2); });
    bell third([&] { order.push_back(3); });
    queue.arm(third, 30);
    queue.arm(first, 10);
    queue.arm(second, 20);
    EXPECT_EQ(queue.earliest(), 10);
    queue.run(9);
    EXPECT_TRUE(order.empty());
    queue.run(20);
    EXPECT_EQ(order, (std::vector{1, 2}));
    EXPECT_EQ(queue.earliest(), 30);
    EXPECT_FALSE(first.armed());
    EXPECT_TRUE(third.armed());
}

TEST(timers, move_when_they_are_armed_again) {
    timer_queue queue;
    bell one;
    queue.arm(one, 10);
    queue.arm(one, 50);
    EXPECT_EQ(queue.earliest(), 50);
    queue.run(20);
    EXPECT_EQ(one.rung, 0);
    queue.run(50);
    queue.run(100);
    EXPECT_EQ(one.rung, 1);
    EXPECT_EQ(queue.earliest(), never);
}

TEST(timers, can_be_cancelled_also_by_dying) {
    timer_queue queue;
    bell kept;
    auto dying = std::make_unique<bell>();
    bell cancelled;
    queue.arm(*dying, 1);
    queue.arm(cancelled, 2);
    queue.arm(kept, 3);
    dying.reset();
    cancelled.cancel();
    cancelled.cancel();
    queue.run(10);
    EXPECT_EQ(cancelled.rung, 0);
    EXPECT_EQ(kept.rung, 1);
}

TEST(timers, survive_their_queue) {
    bell left;
    {
        timer_queue queue;
        queue.arm(left, 1);
    }
    EXPECT_FALSE(left.armed());
    left.cancel();
}

TEST(timers, may_cancel_and_arm_others_from_a_callback) {
    timer_queue queue;
    bell victim;
    bell late;
    bell due;
    bell again([&] {
        victim.cancel();
        queue.arm(late, 100);
        queue.arm(due, 5);
        if (again.rung == 1) queue.arm(again, 20);
    });
    queue.arm(again, 1);
    queue.arm(victim, 2);
    queue.run(10);
    EXPECT_EQ(victim.rung, 0);
    EXPECT_EQ(due.rung, 1) << "armed for a time that has passed: in the same run";
    EXPECT_EQ(late.rung, 0);
    queue.run(20);
    EXPECT_EQ(again.rung, 2);
}

TEST(timers, agree_with_a_plain_list) {
    timer_queue queue;
    random_source random(3);
    std::vector<std::unique_ptr<bell>> bells(60);
    std::vector<nanos> model(60, never);  // when each is due
    std::vector<int> expected(60, 0);
    for (auto& each : bells) each = std::make_unique<bell>();
    nanos now = 0;
    for (int step = 0; step < 20'000; ++step) {
        const auto which = static_cast<std::size_t>(random.below(60));
        switch (random.below(4)) {
            case 0:
            case 1:
                model[which] = now + static_cast<nanos>(random.below(100));
                queue.arm(*bells[which], model[which]);
                break;
            case 2:
                model[which] = never;
                bells[which]->cancel();
                break;
            default:
                now += static_cast<nanos>(random.below(20));
                for (std::size_t i = 0; i < 60; ++i) {
                    if (model[i] > now) continue;
                    model[i] = never;
                    ++expected[i];
                }
                queue.run(now);
        }
        ASSERT_EQ(queue.earliest(), *std::min_element(model.begin(), model.end()));
    }
    for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(bells[i]->rung, expected[i]);
}

}  // namespace
}  // namespace redislock::engine
