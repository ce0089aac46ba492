// Publish and subscribe on memory://: across reactors and threads, and with what ends early.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "memory_driver.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

class listener final : public engine::subscriber {
public:
    void on_message(std::string_view payload) override {
        heard.emplace_back(payload);
        if (heard.size() == leave_after) held.reset();
    }
    void on_subscribed() override { heard.emplace_back("<subscribed>"); }
    void on_unsubscribed(const error& why) override { heard.push_back("<" + why.message + ">"); }

    std::vector<std::string> heard;
    std::size_t leave_after = 0;
    std::unique_ptr<engine::subscription> held;
};

/// A reactor's loop and backend, without the rest.
struct station {
    explicit station(std::shared_ptr<server> home) {
        wire::options settings;
        settings.scheme = wire::scheme::memory;
        backend = memory_backend::make(loop, std::move(home), settings);
    }
    void turn(nanos timeout = 0) {
        loop.flush();
        loop.poller().wait(timeout);
        loop.turn();
    }

    engine::loop loop;
    std::unique_ptr<engine::backend> backend;
};

using texts_heard = std::vector<std::string>;

class memory_subscription_test : public ::testing::Test {
public:
    std::shared_ptr<server> home = server::named("");
    test_client c{home};
    station here{home};
    listener ear;
};

TEST_F(memory_subscription_test, tells_in_a_later_turn) {
    ear.held = here.backend->subscribe("news", ear);
    EXPECT_EQ(c("PUBLISH", "news", "early"), "1");
    EXPECT_EQ(ear.heard, texts_heard{});
    here.turn();
    EXPECT_EQ(ear.heard, (texts_heard{"<subscribed>", "early"}));
    EXPECT_EQ(c("PUBLISH", "other", "x"), "0");
    EXPECT_EQ(c("PUBLISH", "news", std::string("a\0b", 3)), "1");
    EXPECT_EQ(c("EVAL", "return redis.call('publish', KEYS[1], ARGV[1])", 1, "news", "script"), "1");
    EXPECT_EQ(ear.heard.size(), 2U);
    here.turn();
    EXPECT_EQ(ear.heard, (texts_heard{"<subscribed>", "early", std::string("a\0b", 3), "script"}));
    here.turn();
    EXPECT_EQ(ear.heard.size(), 4U);
    ear.held.reset();
    EXPECT_EQ(c("PUBLISH", "news", "late"), "0");
    here.turn();
    EXPECT_EQ(ear.heard.size(), 4U);
}

TEST_F(memory_subscription_test, counts_who_listens) {
    listener second;
    ear.held = here.backend->subscribe("a", ear);
    second.held = here.backend->subscribe("a", second);
    EXPECT_EQ(c("PUBLISH", "a", "x"), "2");
    EXPECT_EQ(c("PUBSUB", "CHANNELS"), "['a']");
    EXPECT_EQ(c("PUBSUB", "CHANNELS", "b*"), "[]");
    EXPECT_EQ(c("PUBSUB", "NUMSUB", "a", "b"), "['a', 2, 'b', 0]");
    ear.held.reset();
    EXPECT_EQ(c("PUBSUB", "NUMSUB", "a"), "['a', 1]");
    second.held.reset();
    EXPECT_EQ(c("PUBSUB", "CHANNELS"), "[]");
    EXPECT_EQ(c("PUBSUB", "HELP").substr(0, 4), "-ERR");
}

TEST_F(memory_subscription_test, may_end_in_the_middle_of_its_messages) {
    ear.leave_after = 2;
    ear.held = here.backend->subscribe("news", ear);
    for (const char* text : {"1", "2", "3"}) c("PUBLISH", "news", text);
    here.turn();
    EXPECT_EQ(ear.heard, (texts_heard{"<subscribed>", "1"}));
    EXPECT_EQ(ear.held, nullptr);
    EXPECT_EQ(c("PUBLISH", "news", "x"), "0");
}

TEST_F(memory_subscription_test, may_end_with_messages_queued) {
    ear.held = here.backend->subscribe("news", ear);
    c("PUBLISH", "news", "1");
    ear.held.reset();
    here.turn();
    EXPECT_EQ(ear.heard, texts_heard{});
    {
        station other(home);
        listener there;
        there.held = other.backend->subscribe("news", there);
        c("PUBLISH", "news", "2");
        there.held.reset();
    }
    EXPECT_EQ(c("PUBLISH", "news", "3"), "0");
}

TEST_F(memory_subscription_test, is_told_that_something_was_missed) {
    ear.held = here.backend->subscribe("news", ear);
    here.turn();
    const std::string large(std::size_t{12} << 20, 'x');
    for (int i = 0; i < 3; ++i) c("PUBLISH", "news", large);
    c("PUBLISH", "news", "last");
    here.turn();
    ASSERT_EQ(ear.heard.size(), 4U);
    EXPECT_EQ(ear.heard[1], "<subscribed>");
    EXPECT_EQ(ear.heard[3], "last");
}

TEST_F(memory_subscription_test, wakes_a_loop_that_waits_in_another_thread) {
    constexpr int messages = 1000;
    std::atomic<bool> ready = false;
    std::thread waiting([&] {
        station there(home);
        listener own;
        own.held = there.backend->subscribe("news", own);
        ready = true;
        while (own.heard.size() < messages + 1) there.turn(10 * second);
        EXPECT_EQ(own.heard.back(), std::to_string(messages - 1));
        own.held.reset();
    });
    while (!ready) std::this_thread::yield();
    for (int i = 0; i < messages; ++i) EXPECT_EQ(c("PUBLISH", "news", i), "1");
    waiting.join();
}

#if !defined(__SANITIZE_THREAD__)
TEST_F(memory_subscription_test, stays_behind_in_a_fork) {
    ear.held = here.backend->subscribe("news", ear);
    const pid_t child = fork();
    if (child == 0) _exit(c("PUBLISH", "news", "from the child") == "0" ? 0 : 1);
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(c("PUBLISH", "news", "from the parent"), "1");
    here.turn();
    EXPECT_EQ(ear.heard, (texts_heard{"<subscribed>", "from the parent"}));
    ear.held.reset();
}
#endif

}  // namespace
}  // namespace redislock::memory
