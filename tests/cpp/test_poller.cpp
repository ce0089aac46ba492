// Readiness over real descriptors: events, stale registrations, waking from another thread, deadlines.
#include "engine/poller.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

namespace redislock::engine {
namespace {

class ends {
public:
    ends() {
        EXPECT_EQ(pipe(fds_), 0);
        for (int fd : fds_) fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    ends(const ends&) = delete;
    ends& operator=(const ends&) = delete;
    ~ends() {
        close(fds_[0]);
        hang_up();
    }
    int reading() const { return fds_[0]; }
    int writing() const { return fds_[1]; }
    void say() const { EXPECT_EQ(write(fds_[1], "x", 1), 1); }
    void hang_up() {
        if (fds_[1] >= 0) close(fds_[1]);
        fds_[1] = -1;
    }

private:
    int fds_[2] = {-1, -1};
};

class watcher final : public pollable {
public:
    void on_event(bool readable, bool writable) override {
        reads += readable ? 1 : 0;
        writes += writable ? 1 : 0;
    }
    int reads = 0;
    int writes = 0;
};

bool is_readable(int fd) {
    pollfd asked{fd, POLLIN, 0};
    return poll(&asked, 1, 0) == 1;
}

TEST(poller, tells_who_is_readable_and_who_is_writable) {
    poller own;
    const ends line;
    const ends other;
    watcher reader;
    watcher writer;
    const auto reading = own.add(line.reading(), reader, false);
    own.add(other.writing(), writer, true);
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(reader.reads, 0);
    EXPECT_EQ(writer.writes, 1);
    line.say();
    EXPECT_TRUE(is_readable(own.fileno()));
    own.wait(0);
    EXPECT_FALSE(own.dispatch()) << "no wake-up";
    EXPECT_EQ(reader.reads, 1);
    own.remove(reading, line.reading());
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(reader.reads, 1);
}

TEST(poller, stops_telling_of_writability_when_it_is_no_longer_wanted) {
    poller own;
    const ends line;
    watcher writer;
    const auto token = own.add(line.writing(), writer, true);
    own.change(token, line.writing(), false);
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(writer.writes, 0);
    own.change(token, line.writing(), true);
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(writer.writes, 1);
}

TEST(poller, a_hang_up_is_readable) {
    poller own;
    ends line;
    watcher reader;
    own.add(line.reading(), reader, false);
    line.hang_up();
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(reader.reads, 1);
}

// Collected by one thread, removed by another before it is dispatched; the entry is in use again.
TEST(poller, drops_events_of_registrations_that_are_gone) {
    poller own;
    const ends first;
    const ends second;
    auto gone = std::make_unique<watcher>();
    watcher successor;
    const auto token = own.add(first.reading(), *gone, false);
    first.say();
    own.wait(0);
    own.remove(token, first.reading());
    gone.reset();
    own.add(second.reading(), successor, false);
    own.dispatch();
    EXPECT_EQ(successor.reads, 0);
    second.say();
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(successor.reads, 1);
}

TEST(poller, wakes_from_another_thread_once) {
    poller own;
    auto handle = own.wake_handle();
    std::thread other([handle] {
        handle->wake();
        handle->wake();
    });
    own.wait(10 * second);
    other.join();
    EXPECT_TRUE(own.dispatch());
    own.wait(0);
    own.dispatch();
    own.wait(0);
    EXPECT_FALSE(own.dispatch());
}

TEST(poller, may_be_outlived_by_its_wake_handle) {
    std::shared_ptr<waker> handle;
    {
        const poller own;
        handle = own.wake_handle();
    }
    handle->wake();
}

TEST(poller, becomes_readable_at_the_armed_time) {
    poller own;
    own.arm(monotonic_now() - second);
    own.wait(second);
    EXPECT_FALSE(own.dispatch());
    EXPECT_FALSE(is_readable(own.fileno())) << "once";
    own.arm(monotonic_now() + 3600 * second);
    EXPECT_FALSE(is_readable(own.fileno()));
    own.arm(monotonic_now() + millisecond);
    pollfd asked{own.fileno(), POLLIN, 0};
    EXPECT_EQ(poll(&asked, 1, 10'000), 1);
    own.wait(0);
    own.dispatch();
    own.arm(never);
    EXPECT_FALSE(is_readable(own.fileno()));
}

TEST(poller, may_wait_for_less_than_a_millisecond) {
    poller own;
    if (!own.is_exact()) GTEST_SKIP() << "this kernel has no epoll_pwait2";
    constexpr nanos asked = 200 * microsecond;
    nanos shortest = never;
    for (int i = 0; i < 100; ++i) {
        const nanos before = monotonic_now();
        own.wait_exactly(asked);
        shortest = std::min(shortest, monotonic_now() - before);
    }
    EXPECT_GE(shortest, asked);
    EXPECT_LT(shortest, millisecond);
    EXPECT_FALSE(own.dispatch());
}

TEST(poller, an_exact_wait_collects_as_any_other) {
    poller own;
    const ends line;
    watcher reader;
    own.add(line.reading(), reader, false);
    own.wait_exactly(0);
    own.dispatch();
    EXPECT_EQ(reader.reads, 0);
    line.say();
    for (const nanos timeout : {nanos{0}, nanos{1}, 10 * second, never}) {
        own.wait_exactly(timeout);
        own.dispatch();
    }
    EXPECT_EQ(reader.reads, 4);
}

TEST(poller, carries_more_registrations_than_one_batch) {
    poller own;
    watcher all;
    std::vector<std::unique_ptr<ends>> lines;
    for (int i = 0; i < 150; ++i) {
        lines.push_back(std::make_unique<ends>());
        own.add(lines.back()->reading(), all, false);
        lines.back()->say();
    }
    char byte = 0;
    for (int round = 0; round < 3; ++round) {
        own.wait(0);
        own.dispatch();
    }
    EXPECT_GE(all.reads, 150) << "none is starved";
    for (const auto& each : lines) EXPECT_EQ(read(each->reading(), &byte, 1), 1);
    const int before = all.reads;
    own.wait(0);
    own.dispatch();
    EXPECT_EQ(all.reads, before);
}

TEST(poller, waits_for_other_pollers) {
    poller outer;
    poller first;
    poller second;
    watcher of_first;
    watcher of_second;
    const auto token = outer.add(first, of_first);
    outer.add(second, of_second);
    outer.wait(0);
    EXPECT_FALSE(outer.dispatch());
    EXPECT_EQ(of_first.reads + of_second.reads, 0);
    const ends line;
    watcher reader;
    second.add(line.reading(), reader, false);
    line.say();
    outer.wait(never);
    outer.dispatch();
    EXPECT_EQ(of_first.reads, 0);
    EXPECT_EQ(of_second.reads, 1) << "a socket of the inner one";
    second.wait(0);
    second.dispatch();
    EXPECT_EQ(reader.reads, 1);
    first.wake_handle()->wake();
    outer.wait(never);
    EXPECT_FALSE(outer.dispatch()) << "the inner one was woken, not the outer one";
    EXPECT_EQ(of_first.reads, 1);
    first.wait(0);
    EXPECT_TRUE(first.dispatch());
    first.arm(monotonic_now() + 2 * millisecond);
    while (of_first.reads < 2) {
        outer.wait(never);
        outer.dispatch();
    }
    outer.remove(token, first.fileno());
    outer.wait(0);
    outer.dispatch();
    EXPECT_EQ(of_first.reads, 2);
}

// The inner poller closes it for itself; a second close could hit what was opened since.
TEST(poller, of_pollers_leaves_their_descriptors_open_after_a_fork) {
    poller inner;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto* outer = std::make_unique<poller>().release();  // as in a real fork: abandoned, and leaked
        watcher target;
        outer->add(inner, target);
        outer->abandon_after_fork();
        _exit(fcntl(inner.fileno(), F_GETFD) >= 0 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace redislock::engine
