// WATCH, MULTI and EXEC on the miniature server, and what a fork leaves behind.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "accounts/scripts.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

class memory_transactions : public ::testing::Test {
public:
    memory_transactions() {
        reset_time();
        other("SET", "k", 100);
    }
    std::string commit() {
        c("MULTI");
        c("INCRBY", "k", 1);
        return c("EXEC");
    }

    std::shared_ptr<server> home = std::make_shared<server>(fake_clocks);
    test_client c{home};
    test_client other{home};
};

TEST_F(memory_transactions, queue_and_run) {
    EXPECT_EQ(c("MULTI"), "OK");
    EXPECT_EQ(c("DECRBY", "k", 1), "QUEUED");
    EXPECT_EQ(c("UNWATCH"), "QUEUED");
    EXPECT_EQ(c("LPUSH", "k", "x"), "QUEUED");
    EXPECT_EQ(c("GET", "k"), "QUEUED");
    EXPECT_EQ(other("GET", "k"), "'100'");
    EXPECT_EQ(c("EXEC"),
              "[99, OK, -WRONGTYPE Operation against a key holding the wrong kind of value, '99']");
    EXPECT_EQ(c("EXEC"), "-ERR EXEC without MULTI");
    EXPECT_EQ(c("MULTI"), "OK");
    EXPECT_EQ(c("EXEC"), "[]");
}

TEST_F(memory_transactions, are_discarded) {
    EXPECT_EQ(c("DISCARD"), "-ERR DISCARD without MULTI");
    c("WATCH", "k");
    other("SET", "k", 1);
    c("MULTI");
    c("SET", "k", 2);
    EXPECT_EQ(c("DISCARD"), "OK");
    EXPECT_EQ(c("GET", "k"), "'1'");
    EXPECT_EQ(commit(), "[2]");  // DISCARD ended the watching, too
}

TEST_F(memory_transactions, are_refused_after_an_error_while_queueing) {
    c("MULTI");
    c("SET", "k", 2);
    EXPECT_EQ(c("NONSENSE").substr(0, 4), "-ERR");
    EXPECT_EQ(c("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
    EXPECT_EQ(c("GET", "k"), "'100'");
    c("MULTI");
    EXPECT_EQ(c("GET").substr(0, 4), "-ERR");
    EXPECT_EQ(c("EXEC").substr(0, 10), "-EXECABORT");
    EXPECT_EQ(commit(), "[101]");
}

TEST_F(memory_transactions, do_not_nest) {
    c("MULTI");
    EXPECT_EQ(c("MULTI"), "-ERR MULTI calls can not be nested");
    EXPECT_EQ(c("WATCH", "k"), "-ERR WATCH inside MULTI is not allowed");
    c("INCRBY", "k", 1);
    EXPECT_EQ(c("EXEC"), "[101]");
}

TEST_F(memory_transactions, conflict_with_every_kind_of_change) {
    const std::vector<std::vector<std::string>> changes{
        {"SET", "k", "100"},
        {"INCRBY", "k", "1"},
        {"DEL", "k"},
        {"PEXPIRE", "k", "1000"},
        {"FLUSHALL"},
        {"EVALSHA", std::string(accounts::scripts::withdraw.sha1), "2", "k", "h", "1", "10", "lua", "", "1",
         ""},
        {"EVALSHA", std::string(accounts::scripts::deposit.sha1), "2", "k", "h", "1", "10", "1000", "", "1"},
        {"EVALSHA", std::string(accounts::scripts::init.sha1), "2", "k", "h", "1", "0"},
        {"EVALSHA", std::string(accounts::scripts::remove.sha1), "2", "k", "h"},
    };
    for (const auto& change : changes) {
        other("SET", "k", 100);
        EXPECT_EQ(c("WATCH", "unrelated", "k"), "OK");
        wire::commands request;
        request.begin(change.size());
        for (const auto& word : change) request.argument(std::string_view(word));
        EXPECT_FALSE(other.send(request.bytes())[0].is_failure()) << change[0];
        EXPECT_EQ(commit(), "nil") << change[0];
        EXPECT_NE(commit(), "nil");  // EXEC ended the watching
    }
}

TEST_F(memory_transactions, conflict_with_changes_of_lists_and_of_ones_own) {
    other("LPUSH", "l", 1);
    for (const auto* command : {"LPUSH", "RPUSH"}) {
        c("WATCH", "l");
        other(command, "l", 2);
        EXPECT_EQ(commit(), "nil");
    }
    c("WATCH", "l");
    other("LTRIM", "l", 0, 1);
    EXPECT_EQ(commit(), "nil");
    c("WATCH", "l");
    c("LPUSH", "l", 2);
    EXPECT_EQ(commit(), "nil");
}

TEST_F(memory_transactions, do_not_conflict_with_reads_or_failures) {
    c("WATCH", "k", "k", "none");
    other("GET", "k");
    other("LPUSH", "k", "x");
    other("DEL", "none");
    other("SET", "k", 1, "NX");
    other("SET", "unrelated", 1);
    EXPECT_EQ(commit(), "[101]");
}

TEST_F(memory_transactions, conflict_when_a_key_comes_and_goes) {
    c("WATCH", "none");
    other("SET", "none", 1);
    other("DEL", "none");
    EXPECT_EQ(commit(), "nil");
}

TEST_F(memory_transactions, conflict_with_expiry) {
    other("SET", "e", 1, "PX", 10);
    c("WATCH", "e");
    EXPECT_EQ(commit(), "[101]");
    c("WATCH", "e");
    advance(10 * millisecond);
    EXPECT_EQ(commit(), "nil");
    other("SET", "e", 1, "PX", 10);
    advance(10 * millisecond);
    c("WATCH", "e");  // already gone
    EXPECT_EQ(other("GET", "e"), "nil");
    EXPECT_EQ(commit(), "[102]");
}

TEST_F(memory_transactions, keep_watching_until_told_otherwise) {
    c("WATCH", "k");
    other("SET", "k", 1);
    c("WATCH", "other");
    EXPECT_EQ(commit(), "nil");
    c("WATCH", "k");
    other("SET", "k", 1);
    EXPECT_EQ(c("UNWATCH"), "OK");
    EXPECT_EQ(commit(), "[2]");
}

TEST_F(memory_transactions, forget_a_client_that_left) {
    {
        test_client short_lived(home);
        short_lived("WATCH", "k");
    }
    EXPECT_EQ(other("SET", "k", 2), "OK");
}

TEST(memory_fork, finds_every_server_at_rest) {
    const auto home = server::named("test-fork");
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    threads.reserve(2);
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            test_client mine(home);
            while (!stop) {
                const auto own = server::named("");
                mine("INCRBY", "n", 1);
                test_client brief(own);
                brief("INCRBY", "n", 1);
            }
        });
    }
    for (int i = 0; i < 20; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            test_client mine(home);
            const bool works = mine("INCRBY", "n", 1) != "nil" && server::named("test-fork") == home;
            _exit(works ? 0 : 1);
        }
        int status = -1;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    stop = true;
    for (auto& each : threads) each.join();
}

}  // namespace
}  // namespace redislock::memory
