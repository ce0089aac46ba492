// The optimistic strategy, step by step: what is watched and read, what is committed, and what a
// conflict, a lost connection or doubt make of it.
#include <gtest/gtest.h>

#include <string>

#include "strategy_fixture.hpp"

namespace redislock::accounts {
namespace {

using wire::bulk;
using wire::list;
using wire::nil;
using wire::number;
using wire::refusal_of;
using wire::simple;

using replies = std::vector<wire::reply>;

wire::reply server_time() { return list({bulk("1700000000"), bulk("123456")}); }

// What is read under WATCH.
replies view(wire::reply balance, std::int64_t length = 0) {
    return {simple(), std::move(balance), number(length), server_time()};
}
replies view_with_record(wire::reply balance, wire::reply record) {
    auto all = view(std::move(balance));
    all.push_back(std::move(record));
    return all;
}
replies committed(std::size_t commands) {
    replies all{simple()};
    replies results;
    for (std::size_t i = 0; i < commands; ++i) {
        all.push_back(simple("QUEUED"));
        results.push_back(simple());
    }
    all.push_back(list(std::move(results)));
    return all;
}
replies outrun(std::size_t commands) {
    auto all = committed(commands);
    all.back() = nil();
    return all;
}

struct watch_strategy : strategy_test {
    std::shared_ptr<strategy_run> start(std::string key = {}) const {
        return run(&withdraw_watch, make_change(std::move(key)));
    }
};

TEST_F(watch_strategy, reads_under_watch_and_commits_in_one_unit) {
    auto own = start();
    EXPECT_EQ(lane().oldest(),
              "WATCH p:{a}:balance p:{a}:history | GET p:{a}:balance | LLEN p:{a}:history | TIME");
    EXPECT_EQ(lane().sent.front()->request.policy, engine::resend::read);
    answer_lane(view(bulk("100")));
    EXPECT_EQ(lane().oldest(),
              "MULTI | DECRBY p:{a}:balance 3 | LPUSH p:{a}:history 3 97 1700000000123 watch | EXEC");
    EXPECT_EQ(lane().sent.front()->request.policy, engine::resend::once);
    answer_lane(committed(2));
    EXPECT_EQ(own->told(), "ok 97");
    EXPECT_TRUE(on.shared().sent.empty()) << "nothing of it on the shared connection";
}

TEST_F(watch_strategy, with_a_key_watches_and_writes_the_record_as_well) {
    auto own = start("id");
    EXPECT_EQ(
        lane().oldest(),
        "WATCH p:{a}:balance p:{a}:history p:{a}:once:id | GET p:{a}:balance | LLEN p:{a}:history | TIME | "
        "GET p:{a}:once:id");
    answer_lane(view_with_record(bulk("100"), nil()));
    EXPECT_EQ(lane().oldest(),
              "MULTI | DECRBY p:{a}:balance 3 | LPUSH p:{a}:history 3 97 1700000000123 watch id | "
              "SET p:{a}:once:id withdraw 3 ok 97 PX 86400000 | EXEC");
    EXPECT_EQ(lane().sent.front()->request.policy, engine::resend::recorded);
    answer_lane(committed(3));
    EXPECT_EQ(own->told(), "ok 97");
}

TEST_F(watch_strategy, trims_a_full_history_and_writes_none_where_none_is_kept) {
    rules.history_limit = 2;
    auto full = start();
    answer_lane(view(bulk("100"), 2));
    EXPECT_NE(lane().oldest().find("| LTRIM p:{a}:history 0 1 | EXEC"), std::string::npos) << lane().oldest();
    answer_lane(committed(3));
    EXPECT_EQ(full->told(), "ok 97");
    rules.history_limit = 0;
    auto none = start();
    answer_lane(view(bulk("100")));
    EXPECT_EQ(lane().oldest(), "MULTI | DECRBY p:{a}:balance 3 | EXEC");
    answer_lane(committed(1));
    EXPECT_EQ(none->told(), "ok 97");
}

TEST_F(watch_strategy, what_needs_no_commit_ends_after_one_look) {
    auto missing = start();
    answer_lane(view(nil()));
    EXPECT_EQ(missing->told(), "missing");
    auto poor = start();
    EXPECT_TRUE(lane().oldest().starts_with("UNWATCH | WATCH ")) << "the lane was left under WATCH";
    auto all = view(bulk("2"));
    all.insert(all.begin(), simple());
    answer_lane(std::move(all));
    EXPECT_EQ(poor->told(), "insufficient 2");
    EXPECT_EQ(on.server->made, 1);
}

TEST_F(watch_strategy, a_refusal_with_a_key_is_recorded_before_it_is_told) {
    auto own = start("id");
    answer_lane(view_with_record(bulk("2"), nil()));
    EXPECT_FALSE(own->finished());
    EXPECT_EQ(lane().oldest(), "MULTI | SET p:{a}:once:id withdraw 3 insufficient 2 PX 86400000 | EXEC");
    answer_lane(committed(1));
    EXPECT_EQ(own->told(), "insufficient 2");
    auto missing = start("id");
    answer_lane(view_with_record(nil(), nil()));
    EXPECT_EQ(missing->told(), "missing") << "which is not recorded";
}

TEST_F(watch_strategy, a_record_is_the_answer) {
    auto own = start("id");
    answer_lane(view_with_record(bulk("50"), bulk("withdraw 3 ok 97")));
    EXPECT_EQ(own->told(), "=ok 97");
    auto other = start("id");
    auto all = view_with_record(bulk("50"), bulk("withdraw 4 ok 96"));
    all.insert(all.begin(), simple());
    answer_lane(std::move(all));
    EXPECT_EQ(other->code(), "idempotency_mismatch");
}

TEST_F(watch_strategy, a_conflict_is_tried_again_after_a_pause_and_counted) {
    rules.max_retries = 2;
    auto own = start();
    for (int round = 0; round < 2; ++round) {
        answer_lane(view(bulk("100")));
        answer_lane(outrun(2));
        EXPECT_TRUE(lane().sent.empty()) << "not at once";
        on.pass(20 * millisecond);
    }
    answer_lane(view(bulk("50")));
    answer_lane(committed(2));
    EXPECT_EQ(own->told(), "ok 47 (3 attempts)");
    EXPECT_EQ(on.server->made, 1);
}

TEST_F(watch_strategy, too_many_conflicts_are_the_outcome) {
    rules.max_retries = 1;
    auto own = start();
    answer_lane(view(bulk("100")));
    answer_lane(outrun(2));
    on.pass(20 * millisecond);
    answer_lane(view(bulk("100")));
    answer_lane(outrun(2));
    EXPECT_EQ(own->told(), "conflict (2 attempts)");
    rules.max_retries = 0;
    auto once = start();
    answer_lane(view(bulk("100")));
    answer_lane(outrun(2));
    EXPECT_EQ(once->told(), "conflict");
}

TEST_F(watch_strategy, a_balance_that_is_none_is_reported) {
    for (const auto& planted :
         {bulk("12.5"), bulk(""), bulk("-1"), refusal_of("WRONGTYPE Operation against a key")}) {
        const engine::fake_reactor fresh;
        auto own = fresh.submit<strategy_run>(&withdraw_watch, rules, make_change());
        fresh.server->exclusive.back()->answer(view(planted));
        fresh.settle();
        EXPECT_EQ(own->code(), "corrupt_balance");
    }
    auto own = start();
    auto all = view(bulk("100"));
    all[2] = refusal_of("WRONGTYPE Operation against a key");
    answer_lane(std::move(all));
    EXPECT_EQ(own->code(), "wrong_type");
}

TEST_F(watch_strategy, a_lost_connection_starts_over_at_watch_on_another) {
    auto own = start();
    answer_lane(view(bulk("100")));
    lane().good = false;
    lane().fail(errc::lane_lost, "gone");
    on.settle();
    EXPECT_EQ(on.server->made, 2);
    EXPECT_TRUE(lane().oldest().starts_with("WATCH")) << "nothing is sent again unguarded";
    answer_lane(view(bulk("90")));
    answer_lane(committed(2));
    EXPECT_EQ(own->told(), "ok 87");
}

TEST_F(watch_strategy, an_unknown_commit_without_a_key_is_not_repeated) {
    auto own = start();
    answer_lane(view(bulk("100")));
    lane().fail(errc::outcome_unknown, "lost after EXEC was written", true);
    on.settle();
    EXPECT_EQ(own->code(), "outcome_unknown");
    EXPECT_EQ(on.server->made, 1);
}

TEST_F(watch_strategy, an_unknown_commit_with_a_key_asks_the_record) {
    auto own = start("id");
    answer_lane(view_with_record(bulk("100"), nil()));
    lane().good = false;
    lane().fail(errc::lane_lost, "gone", true);
    on.settle();
    answer_lane(view_with_record(bulk("97"), bulk("withdraw 3 ok 97")));
    EXPECT_EQ(own->told(), "=ok 97");
}

TEST_F(watch_strategy, in_doubt_a_conflict_would_be_a_guess) {
    rules.max_retries = 0;
    auto own = start("id");
    answer_lane(view_with_record(bulk("100"), nil()));
    lane().good = false;
    lane().fail(errc::lane_lost, "gone", true);
    on.settle();
    answer_lane(view_with_record(bulk("100"), nil()));
    answer_lane(outrun(3));
    EXPECT_EQ(own->code(), "outcome_unknown");
    EXPECT_NE(own->told().find("conflict"), std::string::npos) << own->told();
}

TEST_F(watch_strategy, what_the_server_refuses_has_applied_nothing) {
    auto own = start();
    answer_lane(view(bulk("100")));
    auto all = committed(2);
    all[1] = refusal_of("OOM command not allowed when used memory > 'maxmemory'.");
    all[3] = refusal_of("EXECABORT Transaction discarded because of previous errors.");
    answer_lane(std::move(all));
    EXPECT_EQ(own->code(), "server_refused");
    EXPECT_NE(own->told().find("OOM"), std::string::npos) << "the cause, not the consequence";
}

// Permission for MULTI was taken away since it was proved: the commands ran one by one.
TEST_F(watch_strategy, a_transaction_that_was_none_is_never_called_a_failure) {
    auto own = start();
    answer_lane(view(bulk("100")));
    answer_lane({refusal_of("NOPERM no permissions to run the 'multi' command"), number(97), number(1),
                 refusal_of("ERR EXEC without MULTI")});
    EXPECT_EQ(own->code(), "outcome_unknown");
}

// The record without the deduction would be replayed as ok.
TEST_F(watch_strategy, a_record_that_was_written_alone_is_never_called_a_failure) {
    auto own = start("id");
    answer_lane(view_with_record(bulk("100"), nil()));
    const auto forbidden = refusal_of("NOPERM no permissions to run this command");
    answer_lane({forbidden, forbidden, forbidden, simple(), refusal_of("ERR EXEC without MULTI")});
    EXPECT_EQ(own->code(), "outcome_unknown");
}

TEST_F(watch_strategy, a_watch_that_no_exec_has_ended_is_ended_by_the_next_owner) {
    on.server->limit = 1;
    auto own = start();
    answer_lane(view(bulk("100")));
    on.core->cancel(*own);  // before EXEC was on its way, so that the lane can be used again
    on.settle();
    EXPECT_EQ(own->code(), "cancelled");
    auto next = start();
    EXPECT_TRUE(lane().oldest().starts_with("UNWATCH | WATCH ")) << lane().oldest();
    auto all = view(bulk("100"));
    all.insert(all.begin(), simple());
    answer_lane(std::move(all));
    const auto forbidden = refusal_of("NOPERM no permissions to run this command");
    answer_lane({forbidden, forbidden, forbidden, refusal_of("ERR EXEC without MULTI")});
    EXPECT_EQ(next->code(), "no_permission");
    auto last = start();
    EXPECT_TRUE(lane().oldest().starts_with("UNWATCH | WATCH ")) << lane().oldest();
    EXPECT_EQ(on.server->made, 1);
}

TEST_F(watch_strategy, leaves_no_lane_behind_when_its_caller_goes) {
    on.server->limit = 1;
    auto own = start();
    lane().write();
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(own->code(), "cancelled");
    EXPECT_TRUE(on.server->exclusive.empty()) << "a reply is owed on it";
    auto next = start();
    answer_lane(view(bulk("100")));
    lane().write();
    on.core->cancel(*next);
    on.settle();
    EXPECT_EQ(next->code(), "outcome_unknown");
    auto last = start();
    answer_lane(view(nil()));
    EXPECT_EQ(last->told(), "missing");
}

}  // namespace
}  // namespace redislock::accounts
