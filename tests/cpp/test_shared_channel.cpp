// The connection that all share, against a server that says what the test tells it: order, torn
// replies, connecting again, and when a server is given up.
#include "engine/shared_channel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "scripted_peer.hpp"

namespace redislock::engine {
namespace {

using words = std::vector<std::string>;

struct shared_channels : testing::Test {
    wired_reactor on;
    std::shared_ptr<request> ask(const std::string& word, resend policy = resend::read,
                                 nanos timeout = 5 * second) const {
        return on.submit<request>(words{word}, policy, timeout);
    }
};

TEST_F(shared_channels, writes_together_what_was_sent_together) {
    auto first = ask("ONE");
    auto second = on.submit<request>(words{"TWO", "THREE"}, resend::read);
    const auto line = on.welcome(1);
    EXPECT_EQ(line->words(), "ONE | TWO | THREE");
    line->say("+1\r\n+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*first), "+1");
    EXPECT_FALSE(second->finished());
    line->say("+3\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*second), "+2 +3");
}

TEST_F(shared_channels, answers_each_with_its_own_replies_however_they_are_torn) {
    const std::string replies = bulk_bytes("one") + ">2\r\n+invalidate\r\n*1\r\n" + bulk_bytes("k") +
                                ":2\r\n" + "*2\r\n" + bulk_bytes("3") + "$-1\r\n" + "-ERR four\r\n";
    auto warm = ask("WARM");
    const auto line = on.welcome(1);
    line->say("+OK\r\n");
    for (std::size_t cut = 0; cut <= replies.size(); ++cut) {
        auto first = ask("ONE");
        auto second = on.submit<request>(words{"TWO", "THREE"}, resend::once);
        auto third = ask("FOUR", resend::recorded);
        on.settle();
        line->say(std::string_view(replies).substr(0, cut));
        on.settle();
        line->say(std::string_view(replies).substr(cut));
        on.settle();
        ASSERT_EQ(outcome_of(*first), "\"one\"") << "cut at " << cut;
        ASSERT_EQ(outcome_of(*second), ":2 [\"3\" nil]");
        ASSERT_EQ(outcome_of(*third), "-ERR four");
    }
    EXPECT_FALSE(on.connects_again());
}

TEST_F(shared_channels, takes_replies_byte_by_byte) {
    auto own = on.submit<request>(words{"ONE", "TWO"}, resend::once);
    const auto line = on.welcome(1);
    for (char c : std::string("$5\r\nhello\r\n*1\r\n:7\r\n")) {
        EXPECT_FALSE(own->finished());
        line->say(std::string_view(&c, 1));
        on.settle();
    }
    EXPECT_EQ(outcome_of(*own), "\"hello\" [:7]");
}

TEST_F(shared_channels, a_reply_that_came_before_the_end_counts) {
    auto own = ask("ONCE", resend::once);
    auto line = on.welcome(1);
    line->say("+OK\r\n");
    line->hang_up();
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+OK");
}

TEST_F(shared_channels, reconnects_at_once_then_backs_off) {
    auto own = ask("READ", resend::read, 60 * second);
    on.welcome(1)->hang_up();
    on.accept()->hang_up();
    int attempts = 0;
    nanos longest = 0;
    for (nanos waited = 0; waited < 20 * second;) {
        EXPECT_FALSE(on.connects_again()) << "not while no time passes";
        nanos pause = 0;
        while (!on.connects_again() && pause < 2 * second) {
            fake_time += millisecond;
            pause += millisecond;
        }
        waited += pause;
        longest = std::max(longest, pause);
        ASSERT_LE(pause, second + millisecond);
        ASSERT_LE(pause, (20 * millisecond << std::min(attempts, 10)) + millisecond)
            << "attempt " << attempts;
        ++attempts;
    }
    EXPECT_GT(attempts, 20) << "pauses are a random part of at most 1 s";
    EXPECT_GT(longest, 300 * millisecond);
    EXPECT_FALSE(own->finished());
    on.pass(60 * second);
    EXPECT_EQ(beginning_of(outcome_of(*own)), "timed_out");
}

TEST_F(shared_channels, after_an_answer_the_first_attempt_is_at_once_again) {
    auto warm = ask("WARM");
    auto line = on.welcome(1);
    for (int round = 0; round < 3; ++round) {
        line->say("+OK\r\n");
        auto own = ask("READ");
        on.settle();
        line->hang_up();
        line = on.welcome(2);
        EXPECT_EQ(line->words(), "READ");
    }
}

TEST_F(shared_channels, where_nobody_ever_answered_it_fails_at_once) {
    on.peer.stop_listening();
    auto own = ask("READ");
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "connection_failed");
    EXPECT_NE(outcome_of(*own).find("cannot connect to"), std::string::npos);
    on.peer.listen_again();
    auto next = ask("READ");
    EXPECT_TRUE(on.connects_again()) << "the next call tries again";
}

TEST_F(shared_channels, a_server_that_stops_talking_redis_is_given_up) {
    auto own = ask("ONCE", resend::once);
    auto other = ask("READ", resend::read);
    auto line = on.welcome(1);
    line->say("HTTP/1.1 400 Bad Request\r\n");
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "outcome_unknown");
    EXPECT_EQ(beginning_of(outcome_of(*other)), "protocol");
}

TEST_F(shared_channels, a_reply_that_nobody_asked_for_ends_the_connection) {
    auto own = ask("ONE");
    auto line = on.welcome(1);
    line->say("+1\r\n+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+1");
    EXPECT_TRUE(line->closed());
}

TEST_F(shared_channels, steps_down_to_resp2_and_remembers_it) {
    auto own = ask("READ");
    auto line = on.accept();
    EXPECT_EQ(line->words(), "HELLO 3 | CLIENT INFO");
    line->say("-ERR unknown command 'HELLO'\r\n-ERR unknown subcommand\r\n");
    on.settle();
    EXPECT_EQ(line->words(), "CLIENT ID | CLIENT INFO");
    line->say(":7\r\n-ERR unknown subcommand\r\n");
    on.settle();
    EXPECT_EQ(line->words(), "READ");
    line->hang_up();
    line = on.accept();
    EXPECT_EQ(line->words(), "CLIENT ID | CLIENT INFO");
}

TEST_F(shared_channels, a_refused_password_ends_what_waits_and_is_not_tried_again) {
    auto own = ask("READ");
    auto other = ask("OTHER");
    auto line = on.accept();
    line->say(
        "-NOAUTH HELLO must be called with the client already authenticated\r\n"
        "-NOAUTH Authentication required.\r\n");
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "authentication");
    EXPECT_EQ(beginning_of(outcome_of(*other)), "authentication");
    EXPECT_FALSE(on.connects_again());
    on.pass(2 * second);
    EXPECT_FALSE(on.connects_again());
}

TEST_F(shared_channels, notices_an_idle_connection_that_the_server_has_closed) {
    auto own = ask("FIRST", resend::once);
    auto line = on.welcome(1);
    line->say("+1\r\n");
    on.settle();
    line->hang_up();  // not seen by the loop before the next request is made
    fake_time += 11 * millisecond;
    auto next = ask("SECOND", resend::once);
    line = on.welcome(2);
    EXPECT_EQ(line->words(), "SECOND");
    line->say("+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*next), "+2");
}

TEST_F(shared_channels, says_in_messages_what_it_waits_for) {
    auto own = ask("READ", resend::read, second);
    auto line = on.welcome(1);
    on.pass(second);
    EXPECT_NE(outcome_of(*own).find("waiting for unix://"), std::string::npos) << outcome_of(*own);
    on.peer.stop_listening();
    line->hang_up();
    on.settle();
    auto next = ask("READ", resend::read, second);
    on.settle();
    on.pass(second);
    EXPECT_NE(outcome_of(*next).find("not connected to unix://"), std::string::npos) << outcome_of(*next);
}

}  // namespace
}  // namespace redislock::engine
