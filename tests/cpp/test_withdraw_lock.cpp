// The lock strategy, step by step, and the script and naive strategies beside it: what is sent, and
// what every answer makes of it.
#include <gtest/gtest.h>

#include <string>

#include "accounts/naive.hpp"
#include "strategy_fixture.hpp"

namespace redislock::accounts {
namespace {

using wire::bulk;
using wire::list;
using wire::nil;
using wire::number;
using wire::refusal_of;
using wire::simple;

// ---- script

struct script_strategy : strategy_test {};

TEST_F(script_strategy, is_one_call) {
    auto own = run(&withdraw_lua);
    const auto words = on.shared().oldest();
    EXPECT_TRUE(words.starts_with("EVALSHA ")) << words;
    EXPECT_TRUE(words.ends_with(" 2 p:{a}:balance p:{a}:history 3 1000 lua  86400000 ")) << words;
    EXPECT_EQ(policy(), engine::resend::once);
    on.pass(20 * millisecond);
    answer({bulk("ok 97")});
    EXPECT_EQ(own->told(), "ok 97");
    EXPECT_EQ(own->outcome()->elapsed, 20 * millisecond);
}

TEST_F(script_strategy, with_a_key_names_the_record_and_may_be_sent_again) {
    auto own = run(&withdraw_lua, make_change("my id"));
    const auto words = on.shared().oldest();
    EXPECT_TRUE(words.ends_with(" 3 p:{a}:balance p:{a}:history p:{a}:once:my id 3 1000 lua my id 86400000 "))
        << words;
    EXPECT_EQ(policy(), engine::resend::recorded);
    answer({bulk("=insufficient 2")});
    EXPECT_EQ(own->told(), "=insufficient 2");
}

TEST_F(script_strategy, tells_every_answer) {
    for (auto [said, told] :
         {std::pair{"missing", "missing"}, std::pair{"insufficient 2", "insufficient 2"}}) {
        auto own = run(&withdraw_lua);
        answer({bulk(said)});
        EXPECT_EQ(own->told(), told);
    }
    for (auto [said, code] :
         {std::pair{"corrupt", "corrupt_balance"}, std::pair{"wrongtype history", "wrong_type"},
          std::pair{"mismatch", "idempotency_mismatch"}, std::pair{"hello", "protocol"}}) {
        auto own = run(&withdraw_lua);
        answer({bulk(said)});
        EXPECT_EQ(own->code(), code);
    }
    auto own = run(&withdraw_lua);
    answer({refusal_of("BUSY Redis is busy running a script.")});
    EXPECT_EQ(own->code(), "server_refused");
}

// ---- lock

struct lock_strategy : strategy_test {
    std::shared_ptr<strategy_run> start(std::string key = {}) {
        auto own = run(&withdraw_lock, make_change(std::move(key)));
        read_token();
        return own;
    }
    void read_token() {
        const auto words = on.shared().oldest();
        const std::string before = "SET p:{a}:lock ";
        ASSERT_TRUE(words.starts_with(before)) << words;
        token = words.substr(before.size(), words.find(' ', before.size()) - before.size());
    }
    // The lock is ours, and the balance was read.
    void grant(std::string balance = "100") const {
        answer({simple(), bulk(token), bulk(std::move(balance))});
    }
    // Somebody else holds it.
    void refuse() const { answer({nil(), bulk("somebody else"), bulk("100")}); }
    std::string release_words() const { return "1 p:{a}:lock " + token; }
    // Whether what waits to be sent is a release of our lock, sent whole so that it cannot fail for want
    // of the script.
    bool releases() const {
        const auto words = on.shared().oldest();
        return words.starts_with("EVAL ") && words.ends_with(release_words());
    }

    std::string token;
};

TEST_F(lock_strategy, acquires_and_reads_in_one_unit_and_commits_under_its_token) {
    auto own = start();
    EXPECT_EQ(token.size(), 32U);
    EXPECT_EQ(on.shared().oldest(),
              "SET p:{a}:lock " + token + " NX PX 5000 | GET p:{a}:lock | GET p:{a}:balance");
    EXPECT_EQ(policy(), engine::resend::token);
    grant();
    const auto words = on.shared().oldest();
    EXPECT_TRUE(words.ends_with(" 3 p:{a}:balance p:{a}:history p:{a}:lock 3 1000 lock  86400000 " + token))
        << words;
    EXPECT_EQ(policy(), engine::resend::once);
    answer({bulk("ok 97")});
    EXPECT_EQ(own->told(), "ok 97");
    EXPECT_TRUE(on.shared().sent.empty()) << "the commit released it";
}

TEST_F(lock_strategy, takes_a_new_token_for_every_call) {
    auto first = start();
    const auto before = token;
    on.shared().sent.clear();
    auto second = start();
    EXPECT_NE(token, before);
}

TEST_F(lock_strategy, a_repeated_acquire_finds_that_it_is_ours) {
    auto own = start();
    answer({nil(), bulk(token), bulk("100")});  // the first one's reply was lost
    answer({bulk("ok 97")});
    EXPECT_EQ(own->told(), "ok 97");
}

TEST_F(lock_strategy, waits_for_a_held_lock_with_growing_pauses) {
    rules.lock_wait = 200 * millisecond;
    auto own = start();
    int asked = 1;
    refuse();
    const nanos begun = engine::fake_time;
    while (!own->finished()) {
        ASSERT_LE(engine::fake_time - begun, 240 * millisecond);
        if (on.shared().sent.empty()) {
            on.pass(millisecond);
            continue;
        }
        ++asked;
        refuse();
    }
    EXPECT_EQ(own->told(), "lock_busy (" + std::to_string(asked) + " attempts)");
    EXPECT_GE(engine::fake_time - begun, 200 * millisecond);
    EXPECT_GE(asked, 7) << "pauses are at most 32 ms";
    EXPECT_LE(asked, 60);
    EXPECT_TRUE(on.shared().sent.empty()) << "nothing of ours to release";
}

TEST_F(lock_strategy, takes_the_lock_when_it_becomes_free) {
    auto own = start();
    refuse();
    on.pass(40 * millisecond);
    grant();
    answer({bulk("ok 97")});
    EXPECT_EQ(own->told(), "ok 97 (2 attempts)");
}

TEST_F(lock_strategy, a_commit_that_comes_too_late_is_told) {
    auto own = start();
    grant();
    answer({bulk("lock_lost")});
    EXPECT_EQ(own->told(), "lock_lost");
    EXPECT_TRUE(on.shared().sent.empty()) << "it is no longer ours";
}

TEST_F(lock_strategy, a_record_is_the_answer_and_the_lock_is_given_back) {
    auto own = start("id");
    EXPECT_TRUE(on.shared().oldest().ends_with(" | GET p:{a}:once:id")) << on.shared().oldest();
    answer({simple(), bulk(token), bulk("50"), bulk("withdraw 3 ok 97")});
    EXPECT_EQ(own->told(), "=ok 97");
    EXPECT_TRUE(releases()) << on.shared().oldest();
    on.shared().sent.clear();
    auto other = start("id");
    answer({simple(), bulk(token), bulk("50"), bulk("deposit 3 ok 97")});
    EXPECT_EQ(other->code(), "idempotency_mismatch");
    EXPECT_TRUE(releases());
}

TEST_F(lock_strategy, releases_the_lock_however_it_ends) {
    auto refused = start();
    grant();
    answer({refusal_of("OOM command not allowed")});
    EXPECT_EQ(refused->code(), "server_refused");
    EXPECT_TRUE(releases());
    on.shared().sent.clear();
    auto corrupt = start();
    grant();
    answer({bulk("corrupt")});
    EXPECT_EQ(corrupt->code(), "corrupt_balance");
    EXPECT_TRUE(releases());
    on.shared().sent.clear();
    auto unknown = start();
    grant();
    on.shared().fail(errc::outcome_unknown, "the connection was lost");
    on.settle();
    EXPECT_EQ(unknown->code(), "outcome_unknown");
    EXPECT_TRUE(releases());
}

TEST_F(lock_strategy, releases_behind_an_acquire_that_was_under_way) {
    auto own = start();
    on.shared().write();
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(own->code(), "cancelled");
    ASSERT_EQ(on.shared().sent.size(), 2U) << "a tombstone, and the release behind it";
    on.shared().answer({simple(), bulk(token), bulk("100")});
    EXPECT_TRUE(releases()) << on.shared().oldest();
    EXPECT_EQ(policy(), engine::resend::token);
}

TEST_F(lock_strategy, releases_nothing_that_was_never_asked_for) {
    auto own = start();
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(own->code(), "cancelled");
    EXPECT_TRUE(on.shared().sent.empty());
}

TEST_F(lock_strategy, in_doubt_a_lost_lock_would_be_a_guess) {
    rules.lock_wait = 0;
    auto own = start("id");
    answer({simple(), bulk(token), bulk("100"), nil()});
    on.shared().sent.front()->in_doubt = true;  // its connection was lost; it is sent again
    answer({bulk("lock_lost")});
    EXPECT_EQ(own->code(), "outcome_unknown");
}

// ---- naive

struct naive_strategy : strategy_test {};

TEST_F(naive_strategy, reads_computes_and_writes) {
    auto own = run(&withdraw_naive);
    EXPECT_EQ(on.shared().oldest(), "GET p:{a}:balance | TIME");
    answer({bulk("100"), list({bulk("1700000000"), bulk("123456")})});
    EXPECT_EQ(
        on.shared().oldest(),
        "SET p:{a}:balance 97 | LPUSH p:{a}:history 3 97 1700000000123 naive | LTRIM p:{a}:history 0 999");
    EXPECT_EQ(policy(), engine::resend::once);
    answer({simple(), number(1), simple()});
    EXPECT_EQ(own->told(), "ok 97");
}

TEST_F(naive_strategy, writes_only_what_changes) {
    auto missing = run(&withdraw_naive);
    answer({nil(), list({bulk("1"), bulk("1")})});
    EXPECT_EQ(missing->told(), "missing");
    auto poor = run(&withdraw_naive);
    answer({bulk("2"), list({bulk("1"), bulk("1")})});
    EXPECT_EQ(poor->told(), "insufficient 2");
    auto rich = run(&deposit_naive);
    answer({bulk("9223372036854775806"), list({bulk("1"), bulk("1")})});
    EXPECT_EQ(rich->told(), "overflow 9223372036854775806");
    EXPECT_TRUE(on.shared().sent.empty());
}

}  // namespace
}  // namespace redislock::accounts
