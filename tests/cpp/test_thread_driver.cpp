// Many blocking threads on one reactor: each gets its own answer, the lead passes on, and nobody is
// left behind by a close, a cancellation or a wait that ends early.
#include "engine/thread_driver.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "echo_server.hpp"

namespace redislock::engine {
namespace {

class echo final : public operation_of<std::string> {
public:
    explicit echo(std::string words, nanos timeout = 20 * second)
        : operation_of(timeout), words_(std::move(words)) {}

private:
    task<result<std::string>> body(context& with) override {
        auto slot = with.make_slot();
        slot->request.policy = resend::read;
        slot->request.commands.add("ECHO", words_);
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        co_return (*said)[0].text;
    }

    std::string words_;
};

class nap final : public operation_of<std::string> {
public:
    explicit nap(nanos duration) : operation_of(30 * second), duration_(duration) {}

private:
    task<result<std::string>> body(context& with) override {
        auto slept = co_await with.sleep(duration_);
        if (!slept) co_return std::move(slept.error());
        co_return std::string("rested");
    }

    nanos duration_;
};

std::unique_ptr<thread_driver> connect_to(const std::string& url) {
    auto settings = wire::parse_url(url);
    return std::make_unique<thread_driver>(
        *reactor::make([&](loop& home) -> result<std::unique_ptr<backend>> {
            return std::unique_ptr<backend>(std::move(*server_backend::make(home, *settings)));
        }));
}

// Runs `body(index)` in so many threads, which begin together.
template <class Body>
void in_threads(int count, Body body) {
    std::barrier start(count);
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            start.arrive_and_wait();
            body(i);
        });
    }
    for (auto& each : threads) each.join();
}

std::string call(thread_driver& driver, const std::string& words, nanos timeout = 20 * second) {
    auto own = std::make_shared<echo>(words, timeout);
    if (!driver.start(own)) return "refused";
    while (!driver.wait(*own, never)) {
    }
    driver.arrived();
    return outcome_of(*own);
}

TEST(thread_driver, serves_one_thread) {
    const echo_server server;
    auto driver = connect_to(server.url());
    EXPECT_EQ(call(*driver, "hello"), "hello");
    EXPECT_EQ(call(*driver, "again"), "again");
    EXPECT_EQ(server.connections(), 1);
}

TEST(thread_driver, gives_each_of_16_threads_its_own_answers) {
    const echo_server server;
    auto driver = connect_to(server.url());
    std::atomic<int> wrong = 0;
    in_threads(16, [&](int thread) {
        for (int i = 0; i < 100; ++i) {
            const auto words = std::to_string(thread) + "/" + std::to_string(i);
            if (call(*driver, words) != words) ++wrong;
        }
    });
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(server.connections(), 1) << "one for all";
}

// The leader returns with its own answer while all others still wait: one of them has to take over.
TEST(thread_driver, passes_the_lead_on_when_the_leader_leaves) {
    const echo_server server(false);
    auto driver = connect_to(server.url());
    std::atomic<int> rested = 0;
    in_threads(16, [&](int thread) {
        auto own = std::make_shared<nap>(5 * millisecond * (thread % 4 + 1));
        ASSERT_TRUE(driver->start(own));
        while (!driver->wait(*own, never)) {
        }
        if (outcome_of(*own) == "rested") ++rested;
    });
    EXPECT_EQ(rested, 16);
}

// As the main thread of Python does, which looks for signals between slices.
TEST(thread_driver, lets_waits_end_early_and_be_taken_up_again) {
    const echo_server server;
    auto driver = connect_to(server.url());
    std::atomic<int> rested = 0;
    std::atomic<int> answered = 0;
    in_threads(16, [&](int thread) {
        if (thread % 2 == 0) {
            auto own = std::make_shared<nap>(30 * millisecond);
            ASSERT_TRUE(driver->start(own));
            while (!driver->wait(*own, millisecond)) {
            }
            if (outcome_of(*own) == "rested") ++rested;
        } else {
            for (int i = 0; i < 30; ++i) answered += call(*driver, "x") == "x" ? 1 : 0;
        }
    });
    EXPECT_EQ(rested, 8);
    EXPECT_EQ(answered, 240);
}

TEST(thread_driver, wait_returns_in_time_though_nothing_comes) {
    const echo_server server(false);
    auto driver = connect_to(server.url());
    auto own = std::make_shared<echo>("never");
    ASSERT_TRUE(driver->start(own));
    EXPECT_FALSE(driver->wait(*own, 20 * millisecond));
    driver->cancel(*own);
    EXPECT_TRUE(driver->wait(*own, 10 * second));
    EXPECT_EQ(beginning_of(outcome_of(*own)), "cancelled");
}

// A caller was told of its answer and is kept from arriving: what waits for its company goes out all
// the same, sooner or later; at once when it has arrived.
TEST(thread_driver, a_request_waits_for_those_on_their_way_but_not_for_ever) {
    const echo_server server;
    auto driver = connect_to(server.url());
    auto lead = std::make_shared<nap>(20 * second);
    ASSERT_TRUE(driver->start(lead));
    std::thread leader([&] { EXPECT_TRUE(driver->wait(*lead, never)); });
    auto first = std::make_shared<echo>("first");
    ASSERT_TRUE(driver->start(first));
    while (!driver->wait(*first, never)) {
    }
    auto second_one = std::make_shared<echo>("second");
    ASSERT_TRUE(driver->start(second_one));
    while (!driver->wait(*second_one, never)) {
    }
    EXPECT_EQ(outcome_of(*second_one), "second");
    auto third = std::make_shared<echo>("third");
    ASSERT_TRUE(driver->start(third));
    driver->arrived();
    driver->arrived();
    while (!driver->wait(*third, never)) {
    }
    EXPECT_EQ(outcome_of(*third), "third");
    driver->cancel(*lead);
    leader.join();
}

TEST(thread_driver, deadlines_pass_while_all_wait) {
    const echo_server server(false);
    auto driver = connect_to(server.url());
    std::atomic<int> late = 0;
    in_threads(8, [&](int thread) {
        auto own = std::make_shared<echo>("never", 10 * millisecond * (thread + 1));
        ASSERT_TRUE(driver->start(own));
        while (!driver->wait(*own, never)) {
        }
        if (beginning_of(outcome_of(*own)) == "timed_out") ++late;
    });
    EXPECT_EQ(late, 8);
}

TEST(thread_driver, one_thread_ends_the_wait_of_another) {
    const echo_server server(false);
    auto driver = connect_to(server.url());
    auto own = std::make_shared<echo>("never");
    ASSERT_TRUE(driver->start(own));
    std::thread waiting([&] {
        while (!driver->wait(*own, never)) {
        }
    });
    driver->cancel(*own);
    waiting.join();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "cancelled");
}

TEST(thread_driver, closing_ends_every_wait_and_refuses_later_calls) {
    const echo_server server(false);
    auto driver = connect_to(server.url());
    std::atomic<int> started = 0;
    std::atomic<int> closed = 0;
    in_threads(17, [&](int thread) {
        if (thread == 16) {
            while (started < 16) std::this_thread::yield();
            driver->close();
            return;
        }
        auto own = std::make_shared<echo>("never");
        ASSERT_TRUE(driver->start(own));
        ++started;
        while (!driver->wait(*own, never)) {
        }
        if (beginning_of(outcome_of(*own)) == "closed") ++closed;
    });
    EXPECT_EQ(closed, 16);
    EXPECT_EQ(call(*driver, "too late"), "refused");
    driver->close();
}

// Closing in the middle of traffic: every call is answered, refused or told that the client closed.
TEST(thread_driver, may_be_closed_while_threads_come_and_go) {
    for (int round = 0; round < 5; ++round) {
        const echo_server server;
        auto driver = connect_to(server.url());
        std::atomic<int> calls = 0;
        std::atomic<int> strange = 0;
        in_threads(9, [&](int thread) {
            if (thread == 8) {
                while (calls < 20) std::this_thread::yield();
                driver->close();
                return;
            }
            for (;;) {
                const auto ended = call(*driver, "x");
                ++calls;
                if (ended == "refused") return;
                if (ended != "x" && beginning_of(ended) != "closed") ++strange;
            }
        });
        EXPECT_EQ(strange, 0);
    }
}

TEST(thread_driver, hands_out_what_was_logged) {
    auto server = std::make_unique<echo_server>();
    auto driver = connect_to(server->url());
    EXPECT_EQ(call(*driver, "x"), "x");
    EXPECT_FALSE(driver->has_log());
    server.reset();
    EXPECT_EQ(beginning_of(call(*driver, "y", 100 * millisecond)), "timed_out");
    EXPECT_TRUE(driver->has_log());
    EXPECT_FALSE(driver->take_log().empty());
    EXPECT_FALSE(driver->has_log());
}

}  // namespace
}  // namespace redislock::engine
