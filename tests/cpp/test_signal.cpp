// Words from other threads: each comes once, in order, to whoever awaits it; deadlines and
// cancellation end the wait and lose no word; a loop that has gone is posted to without harm.
#include "engine/signal.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/thread_driver.hpp"
#include "fake_engine.hpp"

namespace redislock::engine {
namespace {

using text_operation = operation_of<std::string>;
using text_task = task<result<std::string>>;

// Tells the words that it was told, up to a number of them; "-" for a patience that ended.
class listens final : public text_operation {
public:
    explicit listens(std::shared_ptr<signal> from, int words = 1, nanos patience = never,
                     nanos timeout = 5 * second, bool* gone = nullptr)
        : text_operation(timeout), from_(std::move(from)), words_(words), patience_(patience), gone_(gone) {}

private:
    struct witness {
        bool* gone;
        ~witness() {
            if (gone != nullptr) *gone = true;
        }
    };

    text_task body(context& with) override {
        const witness own{gone_};
        std::string told;
        for (int i = 0; i < words_; ++i) {
            auto word = co_await with.receive(from_, patience_);
            if (!word) co_return std::move(word.error());
            told += (i == 0 ? "" : " ") + word->value_or("-");
        }
        co_return told;
    }

    std::shared_ptr<signal> from_;
    int words_;
    nanos patience_;
    bool* gone_;
};

struct signals : testing::Test {
    std::shared_ptr<signal> make() const { return signal::make(on.core->loop()); }
    fake_reactor on;
};

std::string beginning(const std::string& text) { return text.substr(0, text.find(':')); }

TEST_F(signals, wake_who_awaits_them_in_a_later_turn) {
    auto from = make();
    auto own = on.submit<listens>(from);
    on.settle();
    EXPECT_FALSE(own->finished());
    std::thread([&] { from->post("go"); }).join();
    EXPECT_FALSE(own->finished()) << "never from within the post";
    on.settle();
    EXPECT_EQ(outcome_of(*own), "go");
    EXPECT_EQ(from->listener, nullptr);
}

TEST_F(signals, keep_what_comes_while_nobody_awaits_in_order) {
    auto from = make();
    for (int i = 0; i < 5; ++i) from->post(std::to_string(i));
    on.settle();
    auto own = on.submit<listens>(from, 7);
    EXPECT_FALSE(own->finished());
    from->post("five");
    from->post("six");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "0 1 2 3 4 five six");
    EXPECT_FALSE(from->has_words());
}

TEST_F(signals, give_up_after_a_patience_and_may_be_awaited_again) {
    auto from = make();
    auto own = on.submit<listens>(from, 3, 20 * millisecond);
    on.pass(20 * millisecond - 1);
    from->post("in time");
    on.settle();
    on.pass(20 * millisecond - 1);
    EXPECT_FALSE(own->finished());
    on.pass(1);
    from->post("late for the second, not for the third");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "in time - late for the second, not for the third");
}

TEST_F(signals, that_come_in_the_turn_in_which_the_patience_ends_are_taken) {
    auto from = make();
    auto own = on.submit<listens>(from, 1, 20 * millisecond);
    from->post("just");
    on.pass(20 * millisecond);
    EXPECT_EQ(outcome_of(*own), "just");
    auto looks = on.submit<listens>(from, 1, 0);
    on.settle();
    EXPECT_EQ(outcome_of(*looks), "-") << "without patience it only looks";
}

TEST_F(signals, are_not_awaited_beyond_the_deadline_and_keep_what_comes_then) {
    auto from = make();
    auto own = on.submit<listens>(from, 1, 10 * second, second);
    on.pass(second - 1);
    EXPECT_FALSE(own->finished());
    on.pass(1);
    EXPECT_EQ(outcome_of(*own), "timed_out: timed out after 1 s, waiting to be told that it may go on");
    from->post("later");
    on.settle();
    auto next = on.submit<listens>(from);
    on.settle();
    EXPECT_EQ(outcome_of(*next), "later");
    on.pass(20 * second);
}

TEST_F(signals, end_with_a_cancellation_and_at_once_after_it) {
    auto from = make();
    auto own = on.submit<listens>(from, 2);
    on.core->cancel(*own);
    from->post("unheard");
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*own)), "cancelled");
    ASSERT_TRUE(from->has_words());
    EXPECT_EQ(from->take(), "unheard");
    auto other = on.submit<listens>(from, 2);
    from->post("heard");
    on.core->pump(0);
    on.core->cancel(*other);
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*other)), "cancelled") << "the word resumed it, the next wait ended";
    EXPECT_FALSE(from->has_words());
}

TEST_F(signals, are_left_by_frames_that_are_torn_down) {
    auto from = make();
    bool gone = false;
    auto own = std::make_shared<listens>(from, 1, 10 * second, 5 * second, &gone);
    on.core->submit(own);
    on.core->pump(0);
    from->post("nobody reads this");
    on.core.reset();
    EXPECT_TRUE(gone);
    EXPECT_FALSE(own->finished());
    EXPECT_EQ(from->listener, nullptr);
    from->post("nor this");
    EXPECT_FALSE(from->has_words());
}

TEST_F(signals, of_a_thousand_only_the_posted_one_is_touched) {
    std::vector<std::shared_ptr<signal>> all;
    std::vector<std::shared_ptr<listens>> waiting;
    for (int i = 0; i < 1000; ++i) {
        all.push_back(make());
        waiting.push_back(std::make_shared<listens>(all.back()));
        on.core->submit(waiting.back());
    }
    on.settle();
    all[500]->post("you");
    all[501]->post("and you");
    on.core->wait(0);
    EXPECT_TRUE(on.core->loop().ready().empty());
    on.core->turn();
    EXPECT_EQ(on.core->take_finished().size(), 2U);
    on.core->wait(0);
    EXPECT_FALSE(on.core->loop().poller().dispatch()) << "one wake for both";
    EXPECT_EQ(outcome_of(*waiting[500]) + ", " + outcome_of(*waiting[501]), "you, and you");
    EXPECT_EQ(on.core->in_flight(), 998U);
}

// ---- with the real clock, from real threads

struct signals_between_threads : testing::Test {
    static std::unique_ptr<reactor> make_reactor() {
        return std::move(*reactor::make([](loop& /*home*/) -> result<std::unique_ptr<backend>> {
            return std::unique_ptr<backend>(std::make_unique<fake_backend>());
        }));
    }
};

TEST_F(signals_between_threads, come_each_once_and_in_the_order_of_their_thread) {
    constexpr int posters = 4;
    constexpr int words = 2000;
    auto core = make_reactor();
    std::vector<std::shared_ptr<signal>> all;
    std::vector<std::shared_ptr<listens>> waiting;
    for (int i = 0; i < posters; ++i) {
        all.push_back(signal::make(core->loop()));
        waiting.push_back(std::make_shared<listens>(all.back(), words, never, 60 * second));
        core->submit(waiting.back());
    }
    std::vector<std::thread> threads;
    threads.reserve(posters);
    for (int i = 0; i < posters; ++i) {
        threads.emplace_back([to = all[static_cast<std::size_t>(i)]] {
            for (int word = 0; word < words; ++word) to->post(std::to_string(word));
        });
    }
    while (core->in_flight() > 0) core->pump(10 * second);
    for (auto& each : threads) each.join();
    std::string expected;
    for (int word = 0; word < words; ++word) expected += (word == 0 ? "" : " ") + std::to_string(word);
    for (auto& each : waiting) EXPECT_EQ(outcome_of(*each), expected);
}

TEST_F(signals_between_threads, may_be_posted_to_while_and_after_the_loop_goes) {
    for (int round = 0; round < 50; ++round) {
        auto core = make_reactor();
        std::atomic<bool> begun = false;
        std::atomic<bool> stop = false;
        auto from = signal::make(core->loop());
        auto own = std::make_shared<listens>(from, 1'000'000);
        core->submit(own);
        std::thread poster([from, &begun, &stop] {
            while (!stop) {
                from->post("word");
                begun = true;
            }
        });
        while (!begun) core->pump(0);
        core->pump(0);
        core.reset();
        own.reset();
        from.reset();  // the last owner is the other thread
        stop = true;
        poster.join();
    }
}

TEST_F(signals_between_threads, reach_operations_of_threads_that_share_a_driver) {
    constexpr int callers = 8;
    auto core = make_reactor();
    std::vector<std::shared_ptr<signal>> all;
    std::vector<std::thread> threads;
    std::atomic<int> told = 0;
    all.reserve(callers);
    threads.reserve(callers);
    for (int i = 0; i < callers; ++i) all.push_back(signal::make(core->loop()));
    thread_driver driver(std::move(core));
    for (int i = 0; i < callers; ++i) {
        threads.emplace_back([&, i] {
            auto own = std::make_shared<listens>(all[static_cast<std::size_t>(i)], 1, never, 60 * second);
            ASSERT_TRUE(driver.start(own));
            while (!driver.wait(*own, second)) {
            }
            driver.arrived();
            if (outcome_of(*own) == "word " + std::to_string(i)) ++told;
        });
    }
    for (int i = callers - 1; i >= 0; --i) {
        all[static_cast<std::size_t>(i)]->post("word " + std::to_string(i));
        std::this_thread::yield();
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(told, callers);
}

}  // namespace
}  // namespace redislock::engine
