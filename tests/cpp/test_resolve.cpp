// Host names to addresses: what is known at once, and what another thread finds out.
#include "wire/resolve.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

namespace redislock::wire {
namespace {

// Waits for the thread's answer, but not for ever.
void await(const std::atomic<int>& notified) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(50);
    while (notified == 0 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
}

TEST(resolve, numbers_are_addresses_at_once) {
    for (const auto* number : {"127.0.0.1", "::1", "2001:db8::1"}) {
        auto own = lookup::start(number, [] { FAIL() << "nobody had to be asked"; });
        ASSERT_TRUE(own->ready());
        const auto found = own->take();
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(*found, addresses{number});
    }
}

TEST(resolve, localhost_is_known_at_once) {
    auto own = lookup::start("localhost", [] { FAIL() << "nobody had to be asked"; });
    ASSERT_TRUE(own->ready());
    const auto found = own->take();
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(std::any_of(found->begin(), found->end(),
                            [](const std::string& each) { return each == "127.0.0.1" || each == "::1"; }));
}

TEST(resolve, another_thread_tells_once_what_it_found) {
    std::atomic<int> notified = 0;
    auto own = lookup::start("no-such-host.invalid", [&notified] { ++notified; });
    await(notified);
    EXPECT_EQ(notified, 1);
    ASSERT_TRUE(own->ready());
    const auto found = own->take();
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().code, errc::connection_failed);
    EXPECT_NE(found.error().message.find("no-such-host.invalid"), std::string::npos);
}

TEST(resolve, may_be_abandoned) {
    auto notified = std::make_shared<std::atomic<int>>(0);
    lookup::start("no-such-host.invalid", [notified] { ++*notified; }).reset();
    await(*notified);
    EXPECT_EQ(*notified, 1);
}

#ifdef __GLIBC__
// Asks the system for stacks that no machine has, so that no thread can be started.
class no_threads {
public:
    no_threads() {
        pthread_getattr_default_np(&before_);
        pthread_attr_t huge;
        pthread_attr_init(&huge);
        pthread_attr_setstacksize(&huge, std::size_t{1} << 46U);
        pthread_setattr_default_np(&huge);
        pthread_attr_destroy(&huge);
    }
    no_threads(const no_threads&) = delete;
    no_threads& operator=(const no_threads&) = delete;
    ~no_threads() { pthread_setattr_default_np(&before_); }

private:
    pthread_attr_t before_{};
};

TEST(resolve, without_a_thread_it_fails_and_leaves_the_signals_alone) {
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    std::shared_ptr<lookup> own;
    {
        const no_threads now;
        own = lookup::start("no-such-host.invalid", [] { FAIL() << "nobody was asked"; });
    }
    ASSERT_TRUE(own->ready());
    const auto found = own->take();
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().code, errc::connection_failed);
    EXPECT_NE(found.error().message.find("no thread"), std::string::npos);
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_EQ(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
}
#endif

}  // namespace
}  // namespace redislock::wire
