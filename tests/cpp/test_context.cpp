// Deadlines and cancellation at every kind of wait, on a clock that the test moves: what is said to
// have happened depends on what was written, and nothing is resumed twice.
#include "engine/context.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "fake_engine.hpp"

namespace redislock::engine {
namespace {

constexpr nanos limit = 5 * second;

using text_operation = operation_of<std::string>;
using text_task = task<result<std::string>>;

// Sends one unit and tells its first reply.
class send_once final : public text_operation {
public:
    explicit send_once(resend policy, nanos timeout = limit) : text_operation(timeout), policy_(policy) {}

private:
    text_task body(context& with) override {
        auto slot = with.make_slot();
        slot->request.policy = policy_;
        slot->request.commands.add("PING");
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        co_return wire::to_text((*said)[0]);
    }

    resend policy_;
};

// Waits its turn for a lane, then sends on it.
class use_lane final : public text_operation {
public:
    explicit use_lane(nanos timeout = limit) : text_operation(timeout) {}

private:
    text_task body(context& with) override {
        auto own = co_await with.exclusive();
        if (!own) co_return std::move(own.error());
        auto slot = with.make_slot();
        slot->request.policy = resend::read;
        slot->request.commands.add("WATCH", "k");
        auto said = co_await with.send(*own, std::move(slot));
        if (!said) co_return std::move(said.error());
        co_return wire::to_text((*said)[0]);
    }
};

class sleep_for final : public text_operation {
public:
    explicit sleep_for(nanos duration, nanos timeout = limit)
        : text_operation(timeout), duration_(duration) {}

private:
    text_task body(context& with) override {
        auto slept = co_await with.sleep(duration_);
        if (!slept) co_return std::move(slept.error());
        co_return "slept " + std::to_string(with.elapsed() / millisecond) + " ms";
    }

    nanos duration_;
};

// A change, then a second request; after an error it tries the second one all the same.
class change_then_read final : public text_operation {
public:
    explicit change_then_read(nanos timeout = limit) : text_operation(timeout) {}

private:
    text_task body(context& with) override {
        auto first = with.make_slot();
        first->request.policy = resend::recorded;
        first->request.commands.add("DECRBY", "k", 3);
        auto changed = co_await with.send(std::move(first));
        auto second = with.make_slot();
        second->request.policy = resend::read;
        second->request.commands.add("GET", "k");
        auto said = co_await with.send(std::move(second));
        if (!said) co_return std::move(said.error());
        co_return wire::to_text((*said)[0]) + (with.in_doubt ? " in doubt" : "");
    }
};

// Cleans up behind itself whatever happens, as a lock does.
class cleans_up final : public text_operation {
public:
    explicit cleans_up(nanos timeout = limit) : text_operation(timeout) {}

private:
    struct guard {
        context& with;
        slot_ptr acquire;
        ~guard() {
            auto slot = with.make_slot();
            slot->request.policy = resend::token;
            slot->request.commands.add("DEL", "lock");
            with.detach(std::move(slot), 3 * second, acquire.get());
        }
    };

    text_task body(context& with) override {
        auto slot = with.make_slot();
        slot->request.policy = resend::token;
        slot->request.commands.add("SET", "lock", "me");
        const guard own{with, slot};
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        co_return std::string("done");
    }
};

struct contexts : testing::Test {
    fake_reactor on;
};

std::string beginning(const std::string& text) { return text.substr(0, text.find(':')); }

TEST_F(contexts, a_reply_ends_the_wait_in_a_later_batch) {
    auto own = on.submit<send_once>(resend::once);
    EXPECT_EQ(on.shared().oldest(), "PING");
    on.shared().write();
    on.shared().answer(wire::simple("PONG"));
    EXPECT_FALSE(own->finished()) << "never from within the channel's call";
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+PONG");
    EXPECT_EQ(on.core->in_flight(), 0U);
}

TEST_F(contexts, the_failure_of_a_unit_is_the_answer) {
    auto own = on.submit<send_once>(resend::once);
    on.shared().fail(errc::connection_failed, "nobody there");
    on.settle();
    EXPECT_EQ(outcome_of(*own), "connection_failed: nobody there");
}

TEST_F(contexts, a_deadline_is_exact) {
    auto own = on.submit<send_once>(resend::read);
    on.pass(limit - 1);
    EXPECT_FALSE(own->finished());
    on.pass(1);
    EXPECT_EQ(outcome_of(*own), "timed_out: timed out after 5 s, waiting for the test");
    EXPECT_EQ(on.shared().abandoned, std::vector<std::string>{"overdue"});
}

TEST_F(contexts, what_a_deadline_means_depends_on_what_was_written) {
    for (auto [policy, unwritten, written] : {std::tuple{resend::read, "timed_out", "timed_out"},
                                              std::tuple{resend::token, "timed_out", "timed_out"},
                                              std::tuple{resend::once, "timed_out", "outcome_unknown"},
                                              std::tuple{resend::recorded, "timed_out", "outcome_unknown"}}) {
        auto waiting = on.submit<send_once>(policy);
        on.pass(limit);
        EXPECT_EQ(beginning(outcome_of(*waiting)), unwritten);
        EXPECT_TRUE(on.shared().sent.empty()) << "what was not written is dropped";
        auto under_way = on.submit<send_once>(policy);
        on.shared().write();
        on.pass(limit);
        EXPECT_EQ(beginning(outcome_of(*under_way)), written);
        on.shared().sent.clear();
    }
}

TEST_F(contexts, so_does_what_a_cancellation_means) {
    for (auto [policy, unwritten, written] : {std::tuple{resend::read, "cancelled", "cancelled"},
                                              std::tuple{resend::token, "cancelled", "cancelled"},
                                              std::tuple{resend::once, "cancelled", "outcome_unknown"},
                                              std::tuple{resend::recorded, "cancelled", "outcome_unknown"}}) {
        auto waiting = on.submit<send_once>(policy);
        on.core->cancel(*waiting);
        on.settle();
        EXPECT_EQ(beginning(outcome_of(*waiting)), unwritten);
        auto under_way = on.submit<send_once>(policy);
        on.shared().write();
        on.core->cancel(*under_way);
        on.settle();
        EXPECT_EQ(beginning(outcome_of(*under_way)), written);
        EXPECT_EQ(on.shared().abandoned.back(), "left");
        on.shared().sent.clear();
    }
}

TEST_F(contexts, closing_says_so_unless_the_outcome_is_unknown) {
    auto waiting = on.submit<send_once>(resend::once);
    auto sleeping = on.submit<sleep_for>(second);
    on.core->cancel_all(errc::closed);
    on.settle();
    EXPECT_EQ(outcome_of(*waiting), "closed: the client was closed while waiting for the test");
    EXPECT_EQ(beginning(outcome_of(*sleeping)), "closed");
    auto under_way = on.submit<send_once>(resend::once);
    on.shared().write();
    on.core->cancel_all(errc::closed);
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*under_way)), "outcome_unknown");
}

TEST_F(contexts, a_unit_that_was_written_before_stays_in_doubt_while_it_waits_again) {
    auto own = on.submit<send_once>(resend::recorded);
    on.shared().sent.front()->in_doubt = true;  // its connection was lost, it waits for another one
    on.pass(limit);
    EXPECT_EQ(beginning(outcome_of(*own)), "outcome_unknown");
    auto read = on.submit<send_once>(resend::read);
    on.shared().sent.front()->in_doubt = true;
    on.pass(limit);
    EXPECT_EQ(beginning(outcome_of(*read)), "timed_out");
}

TEST_F(contexts, a_late_reply_finds_a_tombstone) {
    auto own = on.submit<send_once>(resend::once);
    on.shared().write();
    on.pass(limit);
    EXPECT_EQ(beginning(outcome_of(*own)), "outcome_unknown");
    auto next = on.submit<send_once>(resend::once);
    on.shared().answer(wire::simple("late"));
    on.settle();
    EXPECT_FALSE(next->finished());
    on.shared().answer(wire::simple("own"));
    on.settle();
    EXPECT_EQ(outcome_of(*next), "+own");
}

TEST_F(contexts, an_answer_and_the_deadline_in_one_turn_resume_once) {
    auto own = on.submit<send_once>(resend::once);
    on.shared().write();
    on.shared().answer(wire::simple("PONG"));
    fake_time += limit;
    on.settle();
    EXPECT_EQ(outcome_of(*own), "+PONG");
    auto other = on.submit<send_once>(resend::once);
    on.shared().answer(wire::simple("PONG"));
    on.core->cancel(*other);
    on.settle();
    EXPECT_EQ(outcome_of(*other), "+PONG");
    on.core->cancel(*other);
    on.settle();
}

TEST_F(contexts, a_cancellation_and_the_deadline_in_one_turn_count_once) {
    auto own = on.submit<send_once>(resend::once);
    on.core->cancel(*own);
    fake_time += limit;
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*own)), "cancelled");
    EXPECT_EQ(on.shared().abandoned.size(), 1U);
}

TEST_F(contexts, a_sleep_ends_in_time_or_by_the_deadline_or_by_cancellation) {
    auto own = on.submit<sleep_for>(20 * millisecond);
    on.pass(20 * millisecond - 1);
    EXPECT_FALSE(own->finished());
    on.pass(1);
    EXPECT_EQ(outcome_of(*own), "slept 20 ms");
    auto overdue = on.submit<sleep_for>(10 * second, 500 * millisecond);
    on.pass(500 * millisecond);
    EXPECT_EQ(outcome_of(*overdue), "timed_out: timed out after 0.5 s, waiting before another attempt");
    auto cancelled = on.submit<sleep_for>(second);
    on.core->cancel(*cancelled);
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*cancelled)), "cancelled");
    on.pass(10 * second);
}

TEST_F(contexts, whoever_gives_up_waiting_for_a_lane_leaves_the_line) {
    fake_reactor one(1);
    auto holder = one.submit<use_lane>();
    auto impatient = one.submit<use_lane>(second);
    auto cancelled = one.submit<use_lane>();
    auto patient = one.submit<use_lane>();
    ASSERT_EQ(one.server->exclusive.size(), 1U);
    EXPECT_EQ(one.core->lanes().longest_line(), 3U);
    one.pass(second);
    EXPECT_EQ(beginning(outcome_of(*impatient)), "timed_out");
    EXPECT_NE(outcome_of(*impatient).find("max_connections"), std::string::npos) << "names the way out";
    one.core->cancel(*cancelled);
    one.settle();
    EXPECT_EQ(beginning(outcome_of(*cancelled)), "cancelled");
    one.server->exclusive[0]->answer(wire::simple("OK"));
    one.settle();
    EXPECT_EQ(outcome_of(*holder), "+OK");
    one.server->exclusive[0]->answer(wire::simple("OK"));
    one.settle();
    EXPECT_EQ(outcome_of(*patient), "+OK");
    EXPECT_EQ(one.server->made, 1);
}

TEST_F(contexts, a_lane_with_a_reply_owed_is_closed_when_its_owner_leaves) {
    fake_reactor one(1);
    auto own = one.submit<use_lane>();
    one.server->exclusive[0]->write();
    auto next = one.submit<use_lane>();
    one.core->cancel(*own);
    one.settle();
    EXPECT_EQ(beginning(outcome_of(*own)), "cancelled");
    EXPECT_EQ(one.server->made, 2) << "the next owner gets another one";
    one.server->exclusive[0]->answer(wire::simple("OK"));
    one.settle();
    EXPECT_EQ(outcome_of(*next), "+OK");
}

TEST_F(contexts, a_deadline_is_the_total_of_all_waits) {
    auto own = on.submit<change_then_read>();
    on.pass(4 * second);
    on.shared().answer(wire::number(1));
    on.settle();
    on.pass(999 * millisecond);
    EXPECT_FALSE(own->finished());
    on.pass(millisecond);
    EXPECT_EQ(beginning(outcome_of(*own)), "timed_out");
}

TEST_F(contexts, doubt_lasts_until_the_operation_ends) {
    auto own = on.submit<change_then_read>();
    on.shared().fail(errc::lane_lost, "gone", true);
    on.settle();
    on.pass(limit);
    EXPECT_EQ(beginning(outcome_of(*own)), "outcome_unknown") << "although only a read was under way";
    auto other = on.submit<change_then_read>();
    on.shared().fail(errc::lane_lost, "gone", true);
    on.settle();
    on.shared().answer(wire::bulk("97"));
    on.settle();
    EXPECT_EQ(outcome_of(*other), "\"97\" in doubt");
}

TEST_F(contexts, after_an_interruption_nothing_more_is_sent) {
    auto own = on.submit<change_then_read>();
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*own)), "cancelled");
    EXPECT_TRUE(on.shared().sent.empty()) << "the second request was refused before it was sent";
}

TEST_F(contexts, a_cleanup_outlives_its_caller_for_a_while) {
    auto own = on.submit<cleans_up>();
    on.shared().write();
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*own)), "cancelled");
    ASSERT_EQ(on.shared().sent.size(), 2U) << "a tombstone, and the cleanup behind it";
    EXPECT_TRUE(own->left_cleanup());
    on.shared().answer(wire::simple());
    EXPECT_EQ(on.shared().oldest(), "DEL lock");
    EXPECT_EQ(on.shared().sent.front()->expires_at, fake_time + 3 * second);
    EXPECT_EQ(on.shared().sent.front()->listener, nullptr);
    on.shared().answer(wire::number(1));
    on.settle();
    EXPECT_FALSE(own->left_cleanup());
}

TEST_F(contexts, without_a_timeout_only_the_caller_ends_it) {
    auto own = on.submit<send_once>(resend::read, never);
    on.pass(86'400 * second);
    EXPECT_FALSE(own->finished());
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(beginning(outcome_of(*own)), "cancelled");
}

}  // namespace
}  // namespace redislock::engine
