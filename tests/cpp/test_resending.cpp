// What the shared connection sends again, and what never: after a loss, where a script is not known,
// and where a server is no longer the one that takes changes.
#include "engine/shared_channel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "scripted_peer.hpp"

namespace redislock::engine {
namespace {

using words = std::vector<std::string>;

struct resending : testing::Test {
    wired_reactor on;
    std::shared_ptr<request> ask(const std::string& word, resend policy = resend::read,
                                 nanos timeout = 5 * second) const {
        return on.submit<request>(words{word}, policy, timeout);
    }
};

TEST_F(resending, what_is_sent_again_after_a_loss_keeps_its_order) {
    auto read = ask("READ", resend::read);
    auto token = ask("TOKEN", resend::token);
    auto once = ask("ONCE", resend::once);
    auto recorded = ask("RECORDED", resend::recorded);
    auto line = on.welcome(1);
    EXPECT_EQ(line->words(), "READ | TOKEN | ONCE | RECORDED");
    line->hang_up();
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*once)), "outcome_unknown");
    EXPECT_NE(outcome_of(*once).find("idempotency_key"), std::string::npos) << "names the way out";
    auto later = ask("LATER", resend::once);
    line = on.welcome(2);
    EXPECT_EQ(line->words(), "READ | TOKEN | RECORDED | LATER");
    line->say("+1\r\n+2\r\n+3\r\n+4\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*read) + outcome_of(*token) + outcome_of(*recorded) + outcome_of(*later),
              "+1+2+3+4");
}

// The write fails before the loop has looked for replies.
TEST_F(resending, an_answer_that_came_before_a_failed_write_counts) {
    auto own = ask("ONCE", resend::once);
    auto line = on.welcome(1);
    line->heard();
    line->say("+OK\r\n");
    line->hang_up();
    auto next = ask("NEXT", resend::recorded);
    line = on.welcome(2);
    EXPECT_EQ(outcome_of(*own), "+OK");
    EXPECT_EQ(line->words(), "NEXT");
}

TEST_F(resending, replies_of_a_lost_connection_do_not_count) {
    auto own = on.submit<request>(words{"ONE", "TWO"}, resend::recorded);
    auto line = on.welcome(1);
    line->say("+stale\r\n+ha");
    on.settle();
    line->hang_up();
    line = on.welcome(2);
    EXPECT_EQ(line->words(), "ONE | TWO");
    line->say("+1\r\n+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+1 +2");
}

TEST_F(resending, sends_a_script_whole_where_it_is_not_known) {
    auto own = on.submit<request>(words{"TIME", "script", "PING"}, resend::once);
    auto line = on.welcome(1);
    EXPECT_EQ(line->words(), "TIME | EVALSHA 0123456789abcdef0123456789abcdef01234567 1 k | PING");
    line->say("+1\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n+3\r\n");
    on.settle();
    EXPECT_EQ(line->words(), "TIME | EVAL return 1 1 k | PING");
    line->say("+1\r\n+2\r\n+3\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+1 +2 +3");
    EXPECT_TRUE(on.logged("sample"));
}

TEST_F(resending, a_script_not_known_within_a_pipeline_leaves_the_neighbours_alone) {
    auto before = ask("BEFORE", resend::once);
    auto own = on.submit<request>(words{"script"}, resend::once);
    auto after = ask("AFTER", resend::once);
    auto line = on.welcome(1);
    line->heard();
    line->say("+b\r\n-NOSCRIPT No matching script.\r\n+a\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*before) + outcome_of(*after), "+b+a");
    EXPECT_EQ(line->words(), "EVAL return 1 1 k");
    line->say("-NOSCRIPT somebody's own error\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "-NOSCRIPT somebody's own error") << "once is enough";
}

TEST_F(resending, of_an_abandoned_script_call_nothing_is_sent_again) {
    auto own = on.submit<request>(words{"script"}, resend::once);
    auto line = on.welcome(1);
    line->heard();
    on.core->cancel(*own);
    on.settle();
    line->say("-NOSCRIPT No matching script.\r\n");
    on.settle();
    EXPECT_EQ(line->words(), "");
}

TEST_F(resending, steps_around_a_server_that_applies_nothing) {
    for (std::string_view refusal :
         {"-READONLY You can't write against a read only replica.\r\n", "-LOADING Redis is loading\r\n",
          "-MASTERDOWN Link with MASTER is down\r\n"}) {
        const wired_reactor own;
        auto change = own.submit<request>(words{"CHANGE"}, resend::once);
        auto read = own.submit<request>(words{"READ"}, resend::read);
        auto old = own.welcome(1);
        old->heard();
        old->say(refusal);
        own.settle();
        EXPECT_FALSE(change->finished());
        auto next = own.welcome(2);
        ASSERT_NE(next, nullptr);
        EXPECT_EQ(next->words(), "CHANGE");
        EXPECT_FALSE(old->closed()) << "it still owes a reply";
        old->say("+old\r\n");
        own.settle();
        EXPECT_EQ(outcome_of(*read), "+old");
        EXPECT_TRUE(old->closed());
        next->say("+new\r\n");
        own.settle();
        EXPECT_EQ(outcome_of(*change), "+new");
    }
}

// Answers as a replica that was once the master: reads work, changes are refused.
std::string answer_of_a_replica(const std::string& asked, int id) {
    if (asked.starts_with("HELLO")) return wired_reactor::answer_to_greeting(asked, id);
    std::string bytes;
    for (std::size_t at = 0; at != std::string::npos && at < asked.size();) {
        bytes += asked.compare(at, 4, "READ") == 0
                     ? "+OK\r\n"
                     : "-READONLY You can't write against a read only replica.\r\n";
        at = asked.find(" | ", at);
        if (at != std::string::npos) at += 3;
    }
    return bytes;
}

// Counts the connections that are made to it within a second.
int connections_to_a_replica(const wired_reactor& on) {
    std::unique_ptr<peer_line> line;
    int made = 0;
    for (int step = 0; step < 1000; ++step) {
        on.pass(millisecond);
        if (auto next = on.peer.accept_now()) {
            ++made;
            line = std::move(next);
        }
        for (int turn = 0; line && turn < 3; ++turn) {
            if (const auto asked = line->words(); !asked.empty()) line->say(answer_of_a_replica(asked, made));
            on.settle();
        }
    }
    return made;
}

TEST_F(resending, a_server_that_keeps_refusing_is_looked_for_ever_less_often) {
    auto own = ask("CHANGE", resend::once);
    const int made = connections_to_a_replica(on);
    EXPECT_GT(made, 3);
    EXPECT_LT(made, 40);
    on.pass(5 * second);
    EXPECT_EQ(beginning_of(outcome_of(*own)), "timed_out") << "it was never applied";
    EXPECT_NE(outcome_of(*own).find("READONLY"), std::string::npos) << outcome_of(*own);
}

// Sends one read after the other.
class reader final : public operation_of<std::string> {
public:
    using operation_of::operation_of;

private:
    task<result<std::string>> body(context& with) override {
        for (;;) {
            auto slot = with.make_slot();
            slot->request.policy = resend::read;
            slot->request.commands.add("READ");
            auto said = co_await with.send(std::move(slot));
            if (!said) co_return std::move(said.error());
            auto slept = co_await with.sleep(millisecond);
            if (!slept) co_return std::move(slept.error());
        }
    }
};

TEST_F(resending, also_while_reads_are_answered_there) {
    auto own = ask("CHANGE", resend::once);
    auto other = on.submit<reader>(60 * second);
    EXPECT_LT(connections_to_a_replica(on), 40);
    on.core->cancel(*other);
    on.settle();
}

TEST_F(resending, greets_with_a_kill_of_what_was_lost_unanswered) {
    auto own = ask("CHANGE", resend::recorded);
    on.welcome(7)->hang_up();
    std::string greeting;
    auto line = on.welcome(8, &greeting);
    EXPECT_EQ(greeting, "HELLO 3 | CLIENT INFO | CLIENT KILL ID 7");
    EXPECT_EQ(line->words(), "CHANGE");
    line->hang_up();
    on.settle();
    on.pass(50 * millisecond);
    on.accept()->hang_up();  // the greeting itself is lost
    on.settle();
    on.pass(100 * millisecond);
    line = on.accept();
    EXPECT_EQ(line->words(), "HELLO 3 | CLIENT INFO | CLIENT KILL ID 8") << "until somebody has answered it";
}

TEST_F(resending, does_not_kill_where_only_reads_were_lost) {
    auto own = ask("READ", resend::read);
    on.welcome(7)->hang_up();
    std::string greeting;
    const auto line = on.welcome(8, &greeting);
    EXPECT_EQ(greeting, "HELLO 3 | CLIENT INFO");
}

TEST_F(resending, keeps_the_order_where_no_script_is_known) {
    std::vector<std::shared_ptr<request>> all(3);
    for (std::size_t i = 0; i < all.size(); ++i)
        all[i] = on.submit<request>(words{"script", std::to_string(i)}, resend::once);
    auto line = on.welcome(1);
    line->heard();
    for (int i = 0; i < 3; ++i) line->say("-NOSCRIPT No matching script.\r\n+x\r\n");
    on.settle();
    EXPECT_EQ(line->words(), "EVAL return 1 1 k | 0 | EVAL return 1 1 k | 1 | EVAL return 1 1 k | 2");
    line->say("+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*all[0]) + outcome_of(*all[1]) + outcome_of(*all[2]), "+a +b+c +d+e +f");
}

TEST_F(resending, holds_back_what_would_overtake_a_script_call) {
    auto first = on.submit<request>(words{"script"}, resend::once);
    auto line = on.welcome(1);
    auto second = on.submit<request>(words{"script"}, resend::once);
    on.settle();
    line->heard();
    line->say("-NOSCRIPT No matching script.\r\n");
    auto third = on.submit<request>(words{"script"}, resend::once);
    on.settle();
    third = on.submit<request>(words{"script"}, resend::once);
    on.settle();
    EXPECT_EQ(line->words(), "EVALSHA 0123456789abcdef0123456789abcdef01234567 1 k")
        << "sent before the answer came";
    line->say("-NOSCRIPT No matching script.\r\n-NOSCRIPT No matching script.\r\n");
    on.settle();
    EXPECT_EQ(line->words(),
              "EVAL return 1 1 k | EVAL return 1 1 k | EVAL return 1 1 k | "
              "EVALSHA 0123456789abcdef0123456789abcdef01234567 1 k");
    line->say("+1\r\n+2\r\n+3\r\n+4\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*first) + outcome_of(*second) + outcome_of(*third), "+1+2+4");
}

TEST_F(resending, keeps_the_order_where_a_server_takes_no_changes) {
    std::vector<std::shared_ptr<request>> all;
    for (const auto* word : {"ONE", "TWO", "THREE"}) all.push_back(ask(word, resend::once));
    auto line = on.welcome(1);
    for (int i = 0; i < 3; ++i) line->say("-LOADING Redis is loading\r\n");
    on.settle();
    line = on.welcome(2);
    EXPECT_EQ(line->words(), "ONE | TWO | THREE");
}

TEST_F(resending, keeps_the_order_when_the_connection_is_lost_in_between) {
    auto script = on.submit<request>(words{"script"}, resend::recorded);
    auto unanswered = ask("UNANSWERED", resend::recorded);
    auto line = on.welcome(1);
    line->heard();
    line->say("-NOSCRIPT No matching script.\r\n");
    line->hang_up();
    auto later = ask("LATER", resend::read);
    line = on.welcome(2);
    EXPECT_EQ(line->words(), "EVAL return 1 1 k | UNANSWERED | LATER");
}

TEST_F(resending, forgets_what_is_given_up_meanwhile) {
    auto gone = ask("GONE", resend::recorded);
    auto stays = ask("STAYS", resend::recorded);
    auto line = on.welcome(1);
    line->hang_up();
    on.settle();
    on.core->cancel(*gone);
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*gone)), "outcome_unknown") << "it was written once";
    line = on.welcome(2);
    EXPECT_EQ(line->words(), "STAYS");
}

}  // namespace
}  // namespace redislock::engine
