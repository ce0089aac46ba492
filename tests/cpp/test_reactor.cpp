// The life of operations in a reactor: started, finished in order, ended by teardown without being
// resumed.
#include "engine/reactor.hpp"

#include <gtest/gtest.h>

#include <poll.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "fake_engine.hpp"

namespace redislock::engine {
namespace {

using text_operation = operation_of<std::string>;
using text_task = task<result<std::string>>;

class tells final : public text_operation {
public:
    explicit tells(std::string words) : text_operation(second), words_(std::move(words)) {}

private:
    text_task body(context& /*with*/) override { co_return words_; }

    std::string words_;
};

// Sends its name a number of times and notes when its frame dies and whether it got to the end.
class talks final : public text_operation {
public:
    talks(std::string name, int rounds, std::vector<std::string>* notes = nullptr)
        : text_operation(60 * second), name_(std::move(name)), rounds_(rounds), notes_(notes) {}

private:
    struct witness {
        talks& own;
        ~witness() { own.note("frame gone"); }
    };
    void note(const std::string& what) const {
        if (notes_ != nullptr) notes_->push_back(name_ + " " + what);
    }

    text_task body(context& with) override {
        const witness own{*this};
        for (int i = 0; i < rounds_; ++i) {
            auto slot = with.make_slot();
            slot->request.commands.add("ECHO", name_);
            auto said = co_await with.send(std::move(slot));
            if (!said) co_return std::move(said.error());
        }
        note("finished");
        co_return name_;
    }

    std::string name_;
    int rounds_;
    std::vector<std::string>* notes_;
};

TEST(reactor, an_operation_may_finish_without_waiting) {
    const fake_reactor on;
    auto own = std::make_shared<tells>("hello");
    EXPECT_FALSE(own->started());
    on.core->submit(own);
    EXPECT_TRUE(own->started());
    on.core->flush();
    ASSERT_TRUE(own->finished());
    EXPECT_EQ(outcome_of(*own), "hello");
    EXPECT_TRUE(on.core->has_work());
    EXPECT_EQ(on.core->take_finished().size(), 1U);
    EXPECT_FALSE(on.core->has_work());
}

class breaks final : public text_operation {
public:
    breaks() : text_operation(second) {}

private:
    text_task body(context& with) override {
        auto slot = with.make_slot();
        slot->request.commands.add("ECHO", "x");
        auto said = co_await with.send(std::move(slot));
        if (said) throw std::bad_alloc();
        co_return std::string("never");
    }
};

TEST(reactor, what_an_operation_throws_is_its_own_affair) {
    const fake_reactor on;
    const auto broken = std::make_shared<breaks>();
    const auto sound = std::make_shared<talks>("a", 1);
    on.core->submit(broken);
    on.core->submit(sound);
    on.settle();
    on.shared().answer(wire::simple());
    on.shared().answer(wire::simple());
    on.settle();
    ASSERT_TRUE(broken->finished());
    EXPECT_EQ(broken->outcome().error().code, errc::outcome_unknown);
    ASSERT_TRUE(sound->finished());
    EXPECT_EQ(outcome_of(*sound), "a");
    EXPECT_EQ(on.core->in_flight(), 0U);
}

TEST(reactor, tells_the_finished_ones_in_their_order) {
    const fake_reactor on;
    std::vector<std::shared_ptr<talks>> all;
    for (int i = 0; i < 5; ++i) {
        all.push_back(std::make_shared<talks>(std::to_string(i), i == 0 ? 2 : 1));
        on.core->submit(all.back());
    }
    on.core->flush();
    EXPECT_EQ(on.core->in_flight(), 5U);
    while (!on.shared().sent.empty()) {
        on.shared().answer(wire::simple());
        on.core->pump(0);
    }
    std::vector<operation*> order;
    for (const auto& each : on.core->take_finished()) order.push_back(each.get());
    EXPECT_EQ(order, (std::vector<operation*>{all[1].get(), all[2].get(), all[3].get(), all[4].get(),
                                              all[0].get()}));
    EXPECT_EQ(on.core->in_flight(), 0U);
}

TEST(reactor, keeps_an_operation_alive_that_nobody_else_holds) {
    const fake_reactor on;
    std::vector<std::string> notes;
    on.core->submit(std::make_shared<talks>("a", 1, &notes));
    on.settle();
    on.shared().answer(wire::simple());
    on.settle();
    EXPECT_EQ(notes, (std::vector<std::string>{"a finished", "a frame gone"}));
}

TEST(reactor, teardown_destroys_frames_and_resumes_nothing) {
    std::vector<std::string> notes;
    std::shared_ptr<talks> ready;
    std::shared_ptr<talks> waiting;
    {
        const fake_reactor on;
        ready = on.submit<talks>("ready", 1, &notes);
        waiting = on.submit<talks>("waiting", 1, &notes);
        on.shared().answer(wire::simple());  // "ready" could go on now
    }
    EXPECT_EQ(notes, (std::vector<std::string>{"ready frame gone", "waiting frame gone"}));
    EXPECT_FALSE(ready->finished() || waiting->finished());
}

TEST(reactor, cancels_only_what_is_under_way) {
    const fake_reactor on;
    tells never_started("x");
    on.core->cancel(never_started);
    auto done = on.submit<tells>("x");
    on.core->cancel(*done);
    EXPECT_EQ(outcome_of(*done), "x");
}

TEST(reactor, a_failing_backend_is_told_at_once) {
    const auto made = reactor::make(
        [](loop&) -> result<std::unique_ptr<backend>> { return {errc::configuration, "no such thing"}; });
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().message, "no such thing");
}

TEST(loop, keeps_a_bounded_log) {
    const fake_reactor on;
    for (int i = 0; i < 1000; ++i) on.core->loop().log(log_level::info, "again");
    EXPECT_TRUE(on.core->loop().has_log());
    const auto taken = on.core->loop().take_log();
    EXPECT_EQ(taken.size(), 256U);
    EXPECT_FALSE(on.core->loop().has_log());
}

TEST(loop, backs_off_by_a_random_part_of_a_growing_bound) {
    const fake_reactor on;
    auto& loop = on.core->loop();
    for (std::uint32_t attempt : {0U, 1U, 5U, 19U, 20U, 63U, 64U, 1'000'000U}) {
        const nanos bound = attempt >= 7 ? second : std::min(second, (20 * millisecond) << attempt);
        nanos longest = 0;
        for (int i = 0; i < 200; ++i) {
            const nanos pause = loop.backoff(attempt, 20 * millisecond, second);
            ASSERT_GT(pause, 0);
            ASSERT_LE(pause, bound);
            longest = std::max(longest, pause);
        }
        EXPECT_GT(longest, bound / 2) << attempt;
    }
}

class bell final : public timer {
public:
    int rung = 0;

private:
    void on_timer() override { ++rung; }
};

// Nobody else is told of deadlines by the descriptor; who waits is not late for them.
TEST(loop, heeds_deadlines_itself_where_it_waits_alone) {
    loop own;
    own.wait_alone();
    if (!own.poller().is_exact()) GTEST_SKIP() << "this kernel has no epoll_pwait2";
    bell soon;
    bell late;
    own.timers().arm(soon, own.now() + 2 * millisecond);
    own.timers().arm(late, own.now() + 3600 * second);
    own.flush();
    pollfd descriptor{own.poller().fileno(), POLLIN, 0};
    EXPECT_EQ(poll(&descriptor, 1, 10), 0);
    own.timers().arm(soon, own.now() + millisecond);
    own.flush();
    const nanos before = own.now();
    own.wait(60 * second);
    own.turn();
    EXPECT_EQ(soon.rung, 1);
    EXPECT_LT(own.now() - before, 30 * second);
    own.wait(millisecond);
    own.turn();
    EXPECT_EQ(late.rung, 0);
}

class flushes_twice final : public flushable {
public:
    explicit flushes_twice(loop& home) : loop_(home) {}
    void flush() override {
        if (++flushed == 1) loop_.mark_dirty(*this);
    }
    int flushed = 0;

private:
    loop& loop_;
};

TEST(loop, flushes_what_is_dirty_until_nothing_is) {
    const fake_reactor on;
    flushes_twice own(on.core->loop());
    on.core->loop().mark_dirty(own);
    on.core->loop().mark_dirty(own);
    on.core->loop().flush();
    EXPECT_EQ(own.flushed, 2);
    on.core->loop().mark_dirty(own);
    on.core->loop().forget(own);
    on.core->loop().flush();
    EXPECT_EQ(own.flushed, 2);
}

}  // namespace
}  // namespace redislock::engine
