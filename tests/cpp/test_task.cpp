// Coroutines: who goes on when, that stacks stay flat, and that nothing is lost or resumed twice.
#include "engine/task.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace redislock::engine {
namespace {

// Hands over to the queue once, as every wait of the engine does.
struct yield_to {
    ready_queue& queue;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { queue.push(handle); }
    void await_resume() const noexcept {}
};

// Waits until the test resumes it.
struct stand_still {
    std::coroutine_handle<>& kept;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const noexcept { kept = handle; }
    void await_resume() const noexcept {}
};

void run_all(ready_queue& queue) {
    while (!queue.empty()) queue.run_batch();
}

task<int> at_once(int value) { co_return value; }

task<int> sum_of(ready_queue& queue, int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        auto child = at_once(1);
        sum += co_await std::move(child);
        if (i % 7 == 0) co_await yield_to{queue};
    }
    co_return sum;
}

task<int> nested(int depth) {
    if (depth == 0) co_return 0;
    auto child = nested(depth - 1);
    co_return 1 + co_await std::move(child);
}

task<int> throwing() {
    throw std::runtime_error("no");
    co_return 0;
}

task<std::string> catching() {
    try {
        auto child = throwing();
        co_await std::move(child);
    } catch (const std::runtime_error& failure) {
        co_return failure.what();
    }
    co_return "not thrown";
}

void count_up(void* counter) { ++*static_cast<int*>(counter); }

template <class T>
T finish(task<T> which) {
    ready_queue queue;
    int finished = 0;
    which.start(queue, {count_up, &finished});
    run_all(queue);
    EXPECT_TRUE(which.done());
    EXPECT_EQ(finished, 1);
    return which.take();
}

TEST(task, runs_to_its_end) { EXPECT_EQ(finish(at_once(7)), 7); }

TEST(task, does_nothing_before_it_is_started) {
    bool ran = false;
    auto own = [](bool& flag) -> task<int> {
        flag = true;
        co_return 0;
    }(ran);
    EXPECT_FALSE(ran);
    EXPECT_EQ(finish(std::move(own)), 0);
    EXPECT_TRUE(ran);
}

TEST(task, awaits_children_also_many_ready_ones_without_growing_the_stack) {
    ready_queue queue;
    auto own = sum_of(queue, 200'000);
    own.start(queue, {});
    run_all(queue);
    EXPECT_EQ(own.take(), 200'000);
}

TEST(task, may_be_nested) { EXPECT_EQ(finish(nested(1000)), 1000); }

TEST(task, carries_exceptions_to_whoever_awaits) {
    EXPECT_EQ(finish(catching()), "no");
    ready_queue queue;
    auto own = throwing();
    own.start(queue, {});
    EXPECT_TRUE(own.done());
    EXPECT_THROW(own.take(), std::runtime_error);
}

TEST(task, a_finished_child_lets_its_parent_go_on_in_a_later_batch) {
    ready_queue queue;
    std::vector<std::string> story;
    auto parent = [](std::vector<std::string>& told) -> task<int> {
        auto child = at_once(1);
        told.emplace_back("before");
        const int got = co_await std::move(child);
        told.emplace_back("after");
        co_return got;
    }(story);
    parent.start(queue, {});
    EXPECT_EQ(story, std::vector<std::string>{"before"});
    queue.run_batch();
    EXPECT_EQ(story.back(), "after");
}

TEST(task, destroyed_in_mid_wait_frees_what_it_holds_and_is_not_resumed) {
    auto held = std::make_shared<int>(1);
    ready_queue queue;
    std::coroutine_handle<> kept;
    bool went_on = false;
    {
        auto own = [](std::shared_ptr<int> own_share, std::coroutine_handle<>& handle,
                      bool& flag) -> task<int> {
            co_await stand_still{handle};
            flag = true;
            co_return *own_share;
        }(held, kept, went_on);
        own.start(queue, {});
        EXPECT_EQ(held.use_count(), 2);
    }
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_FALSE(went_on);
}

TEST(ready_queue, runs_batches_what_is_pushed_meanwhile_comes_next) {
    ready_queue queue;
    std::vector<int> order;
    auto body = [](ready_queue& ready, std::vector<int>& seen, int name) -> task<int> {
        seen.push_back(name);
        co_await yield_to{ready};
        seen.push_back(name + 10);
        co_return 0;
    };
    auto first = body(queue, order, 1);
    auto second = body(queue, order, 2);
    first.start(queue, {});
    second.start(queue, {});
    EXPECT_EQ(order, (std::vector{1, 2}));
    EXPECT_FALSE(queue.empty());
    queue.run_batch();
    EXPECT_EQ(order, (std::vector{1, 2, 11, 12}));
    EXPECT_TRUE(queue.empty());
    queue.run_batch();
}

TEST(ready_queue, forgets_everything_when_cleared) {
    ready_queue queue;
    std::vector<int> order;
    auto own = [](ready_queue& ready, std::vector<int>& seen) -> task<int> {
        co_await yield_to{ready};
        seen.push_back(1);
        co_return 0;
    }(queue, order);
    own.start(queue, {});
    queue.clear();
    EXPECT_TRUE(queue.empty());
    queue.run_batch();
    EXPECT_TRUE(order.empty());
}

}  // namespace
}  // namespace redislock::engine
