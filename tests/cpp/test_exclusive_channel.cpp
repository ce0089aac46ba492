// Connections with one owner at a time: nothing is sent again on them, and a reply that is owed
// never meets the next owner.
#include "engine/exclusive_channel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "scripted_peer.hpp"

namespace redislock::engine {
namespace {

using steps = std::vector<std::pair<std::string, resend>>;

struct exclusive_channels : testing::Test {
    wired_reactor on{"?max_connections=1"};
    std::shared_ptr<lane_request> ask(steps what, nanos timeout = 5 * second) const {
        return on.submit<lane_request>(std::move(what), timeout);
    }
    // Owners find out whether a server lives by asking the shared connection of the same backend.
    void make_known() {
        auto warm = on.submit<request>(std::vector<std::string>{"WARM"}, resend::read);
        shared_ = on.welcome(1);
        shared_->say("+OK\r\n");
        on.settle();
        ASSERT_EQ(outcome_of(*warm), "+OK");
    }

private:
    std::unique_ptr<peer_line> shared_;
};

TEST_F(exclusive_channels, prove_that_transactions_are_allowed_before_any_work) {
    auto own = ask({{"WATCH", resend::read}, {"EXEC", resend::once}});
    std::string greeting;
    auto line = on.welcome(1, &greeting);
    EXPECT_EQ(greeting, "HELLO 3 | CLIENT INFO | MULTI | EXEC");
    EXPECT_EQ(line->words(), "WATCH");
    line->say("+OK\r\n");
    on.settle();
    EXPECT_EQ(line->words(), "EXEC");
    line->say("*0\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+OK []");
}

TEST_F(exclusive_channels, are_refused_where_transactions_are_forbidden) {
    auto own = ask({{"WATCH", resend::read}});
    auto line = on.accept();
    on.settle();
    line->say(
        "%1\r\n+id\r\n:1\r\n+id=1 addr=x:1 laddr=x:2\r\n"
        "-NOPERM no permissions to run the 'multi' command\r\n-ERR EXEC without MULTI\r\n");
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "no_permission");
    EXPECT_EQ(line->words(), "HELLO 3 | CLIENT INFO | MULTI | EXEC") << "no work was sent";
}

TEST_F(exclusive_channels, are_used_again_by_the_next_owner) {
    auto first = ask({{"ONE", resend::read}});
    auto second = ask({{"TWO", resend::read}});
    auto line = on.welcome(1);
    line->say("+1\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*first), "+1");
    EXPECT_EQ(line->words(), "ONE | TWO");
    line->say("+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*second), "+2");
    EXPECT_FALSE(on.connects_again());
}

TEST_F(exclusive_channels, send_nothing_again_when_they_are_lost) {
    make_known();
    for (auto [policy, ended] :
         {std::pair{resend::read, "lane_lost"}, std::pair{resend::recorded, "lane_lost"},
          std::pair{resend::token, "lane_lost"}, std::pair{resend::once, "outcome_unknown"}}) {
        auto own = ask({{"STEP", policy}});
        auto line = on.welcome(2);
        EXPECT_EQ(line->words(), "STEP");
        line->hang_up();
        on.settle();
        EXPECT_EQ(beginning_of(outcome_of(*own)), ended);
        const bool in_doubt = outcome_of(*own).find("(in doubt)") != std::string::npos;
        EXPECT_EQ(in_doubt, policy == resend::recorded || policy == resend::once);
        EXPECT_FALSE(on.connects_again());
    }
}

TEST_F(exclusive_channels, lost_between_two_steps_have_applied_nothing) {
    make_known();
    auto own = ask({{"WATCH", resend::read}, {"EXEC", resend::once}});
    auto line = on.welcome(2);
    line->say("+OK\r\n");
    line->hang_up();
    on.settle();
    // EXEC may have been written into the dying connection; if so the outcome is unknown, never ok.
    const auto ended = beginning_of(outcome_of(*own));
    EXPECT_TRUE(ended == "lane_lost" || ended == "outcome_unknown") << outcome_of(*own);
}

TEST_F(exclusive_channels, whose_owner_left_with_a_reply_owed_are_closed) {
    auto own = ask({{"ONE", resend::read}});
    auto line = on.welcome(1);
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "cancelled");
    EXPECT_TRUE(line->closed());
    auto next = ask({{"TWO", resend::read}});
    auto fresh = on.welcome(2);
    fresh->say("+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*next), "+2");
}

TEST_F(exclusive_channels, whose_owner_left_before_they_were_ready_are_closed) {
    auto own = ask({{"ONE", resend::once}});
    auto line = on.accept();
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "cancelled") << "nothing was written, so nothing is unknown";
    on.settle();
    EXPECT_TRUE(line->closed()) << "not ready yet, so not worth keeping";
}

TEST_F(exclusive_channels, step_around_a_server_that_applies_nothing) {
    make_known();
    auto own = ask({{"EXEC", resend::once}});
    auto line = on.welcome(2);
    line->say("-READONLY You can't write against a read only replica.\r\n");
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "lane_lost") << "not unknown: nothing was applied";
    EXPECT_TRUE(line->closed()) << "the next owner looks for the server again";
}

TEST_F(exclusive_channels, that_the_server_closed_while_idle_are_noticed) {
    make_known();
    auto first = ask({{"ONE", resend::read}});
    auto line = on.welcome(2);
    line->say("+1\r\n");
    on.settle();
    line->hang_up();
    fake_time += 11 * millisecond;
    auto next = ask({{"TWO", resend::once}});
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*next)), "lane_lost") << "never outcome_unknown: it was not written";
}

TEST_F(exclusive_channels, to_a_server_that_nobody_ever_reached_say_why) {
    on.peer.stop_listening();
    auto own = ask({{"ONE", resend::read}});
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "connection_failed");
}

TEST_F(exclusive_channels, to_a_server_that_has_gone_for_a_while_are_tried_again_by_the_owner) {
    make_known();
    on.peer.stop_listening();
    auto own = ask({{"ONE", resend::read}});
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "lane_lost");
}

}  // namespace
}  // namespace redislock::engine
