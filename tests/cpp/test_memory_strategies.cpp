// Every operation of an account on memory://, through a real reactor: what each strategy answers.
#include <gtest/gtest.h>

#include "memory_driver.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

constexpr amount most = max_amount;

class memory_ledger : public ::testing::Test {
public:
    driver on;
    test_account ann{on};
    test_client c{on.home()};
};

class memory_strategies : public memory_ledger, public ::testing::WithParamInterface<strategy> {
public:
    std::string take(amount value, const std::string& id = {}) { return ann.withdraw(GetParam(), value, id); }
};

INSTANTIATE_TEST_SUITE_P(all, memory_strategies, ::testing::ValuesIn(all_strategies),
                         [](const auto& each) { return std::string(to_string(each.param)); });

// What naive does not even try: it looks at nothing but the balance, and keeps no records.
class memory_safe_strategies : public memory_strategies {};

INSTANTIATE_TEST_SUITE_P(safe, memory_safe_strategies,
                         ::testing::Values(strategy::lua, strategy::lock, strategy::watch),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(memory_strategies, withdraw) {
    EXPECT_EQ(take(3), "missing");
    EXPECT_EQ(ann.init(10), "ok 10");
    EXPECT_EQ(take(3), "ok 7");
    EXPECT_EQ(take(8), "insufficient 7");
    EXPECT_EQ(take(7), "ok 0");
    EXPECT_EQ(take(1), "insufficient 0");
    EXPECT_EQ(c("GET", ann.keys().balance), "'0'");
    EXPECT_EQ(c("EXISTS", ann.keys().lock), "0");
}

TEST_P(memory_strategies, keep_64_bits) {
    ann.init(most);
    EXPECT_EQ(take(1), "ok 9223372036854775806");
    EXPECT_EQ(take(most), "insufficient 9223372036854775806");
    EXPECT_EQ(take(most - 1), "ok 0");
    ann.init(9'007'199'254'740'993);  // 2^53 + 1, which no double holds
    EXPECT_EQ(take(1), "ok 9007199254740992");
    EXPECT_EQ(take(1), "ok 9007199254740991");
}

TEST_P(memory_strategies, leave_corrupt_balances_alone) {
    for (const char* text : {"007", "-1", "12.5", "", " 5", "abc", "9223372036854775808"}) {
        c("SET", ann.keys().balance, text);
        EXPECT_EQ(take(3), "-corrupt_balance") << text;
        EXPECT_EQ(c("GET", ann.keys().balance), "'" + std::string(text) + "'");
        EXPECT_EQ(c("EXISTS", ann.keys().lock, ann.keys().history), "0");
    }
    c("DEL", ann.keys().balance);
    c("LPUSH", ann.keys().balance, "x");
    EXPECT_EQ(take(3), "-corrupt_balance");
    EXPECT_EQ(c("EXISTS", ann.keys().lock), "0");
}

TEST_P(memory_strategies, keep_a_bounded_history) {
    ann.rules.history_limit = 2;
    ann.init(10);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(take(1 + i).substr(0, 2), "ok");
    const auto entries = ann.history();
    ASSERT_TRUE(entries);
    ASSERT_EQ(entries->size(), 2U);
    EXPECT_EQ((*entries)[0].amount, 3);
    EXPECT_EQ((*entries)[0].balance, 4);
    EXPECT_EQ((*entries)[0].strategy, to_string(GetParam()));
    EXPECT_GT((*entries)[0].time_ms, 1'700'000'000'000);
    EXPECT_EQ((*entries)[1].balance, 7);
    EXPECT_EQ(ann.history(1)->size(), 1U);
    ann.rules.history_limit = 0;
    EXPECT_EQ(take(1), "ok 3");
    EXPECT_EQ(ann.history()->size(), 2U);
}

TEST_P(memory_safe_strategies, refuse_a_history_of_another_type) {
    ann.init(10);
    c("SET", ann.keys().history, "x");
    EXPECT_EQ(take(3), "-wrong_type");
    EXPECT_EQ(take(30), "-wrong_type");
    EXPECT_EQ(c("GET", ann.keys().balance), "'10'");
    ann.rules.history_limit = 0;
    EXPECT_EQ(take(3), "ok 7");
}

TEST_P(memory_safe_strategies, charge_once_for_an_idempotency_key) {
    ann.init(10);
    EXPECT_EQ(take(3, "a"), "ok 7");
    EXPECT_EQ(take(3, "a"), "=ok 7");
    EXPECT_EQ(take(4, "a"), "-idempotency_mismatch");
    EXPECT_EQ(ann.deposit(3, "a"), "-idempotency_mismatch");
    EXPECT_EQ(take(8, "b"), "insufficient 7");
    ann.deposit(5);
    EXPECT_EQ(take(8, "b"), "=insufficient 7");
    EXPECT_EQ(take(2, "c"), "ok 10");
    EXPECT_EQ(c("GET", ann.keys().record("c")), "'withdraw 2 ok 10'");
    EXPECT_EQ((*ann.history())[0].idempotency_key, "c");
    const auto recorded = ann.recorded("b");
    ASSERT_TRUE(recorded && *recorded);
    EXPECT_EQ(show(result<accounts::receipt>(**recorded)), "=insufficient 7");
    EXPECT_FALSE(*ann.recorded("unknown"));
    EXPECT_EQ(c("PTTL", ann.keys().record("c")).size(), std::string("86400000").size());
    EXPECT_EQ(c("EXISTS", ann.keys().lock), "0");
}

TEST_P(memory_safe_strategies, refuse_a_record_of_another_type) {
    ann.init(10);
    c("LPUSH", ann.keys().record("a"), "x");
    EXPECT_EQ(take(3, "a"), "-wrong_type");
    EXPECT_EQ(c("GET", ann.keys().balance), "'10'");
    EXPECT_EQ(c("EXISTS", ann.keys().lock), "0");
}

TEST_P(memory_safe_strategies, do_not_record_a_missing_account) {
    EXPECT_EQ(take(3, "a"), "missing");
    EXPECT_EQ(c("DBSIZE"), "0");
}

TEST_F(memory_ledger, deposits) {
    EXPECT_EQ(ann.deposit(1), "missing");
    ann.init(10);
    EXPECT_EQ(ann.deposit(5), "ok 15");
    EXPECT_EQ(ann.deposit(most), "overflow 15");
    EXPECT_EQ(ann.deposit(most - 15), "ok 9223372036854775807");
    EXPECT_EQ((*ann.history())[0].amount, -(most - 15));
    EXPECT_EQ((*ann.history())[0].strategy, "deposit");
    EXPECT_EQ(ann.deposit(1, "a"), "overflow 9223372036854775807");
    ann.withdraw(strategy::lua, 100);
    EXPECT_EQ(ann.deposit(1, "a"), "=overflow 9223372036854775807");
    EXPECT_EQ(ann.deposit(1, "b"), "ok 9223372036854775708");
    EXPECT_EQ(ann.deposit(1, "b"), "=ok 9223372036854775708");
    EXPECT_EQ(ann.deposit(2, "b"), "-idempotency_mismatch");
    EXPECT_EQ(ann.withdraw(strategy::watch, 1, "b"), "-idempotency_mismatch");
    c("SET", ann.keys().history, "x");
    EXPECT_EQ(ann.deposit(1), "-wrong_type");
    c("SET", ann.keys().balance, "x");
    EXPECT_EQ(ann.deposit(1), "-corrupt_balance");
}

TEST_F(memory_ledger, deposits_naively) {
    EXPECT_EQ(ann.deposit_naive(1), "missing");
    ann.init(10);
    EXPECT_EQ(ann.deposit_naive(5), "ok 15");
    EXPECT_EQ(ann.deposit_naive(most), "overflow 15");
    EXPECT_EQ((*ann.history())[0].strategy, "deposit_naive");
}

TEST_F(memory_ledger, begins_and_ends_accounts) {
    EXPECT_FALSE(*ann.balance());
    EXPECT_EQ(ann.init(10, true), "ok 10");
    EXPECT_EQ(ann.init(20, true), "ok 10");
    EXPECT_EQ(*ann.balance(), 10);
    ann.withdraw(strategy::lua, 1);
    EXPECT_EQ(ann.init(20), "ok 20");
    EXPECT_EQ(ann.history()->size(), 0U);
    ann.withdraw(strategy::lua, 1);
    EXPECT_EQ(ann.remove(), "ok");
    EXPECT_EQ(ann.remove(), "missing");
    EXPECT_EQ(c("DBSIZE"), "0");
    c("LPUSH", ann.keys().balance, "x");
    EXPECT_EQ(ann.init(20, true), "-corrupt_balance");
    EXPECT_EQ(ann.balance().error().code, errc::corrupt_balance);
    EXPECT_EQ(ann.init(20), "ok 20");
}

TEST_F(memory_ledger, reports_its_health) {
    const auto report = on.run<accounts::health_report>([](auto& with) { return accounts::health(with); });
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->reachable);
    EXPECT_EQ(report->server, "memory");
    EXPECT_EQ(report->role, "master");
    ASSERT_EQ(report->warnings.size(), 1U);
    EXPECT_NE(report->warnings[0].find("no persistence"), std::string::npos);
}

TEST_F(memory_ledger, sends_scripts_whole_after_they_were_flushed) {
    ann.init(10);
    c("SCRIPT", "FLUSH");
    EXPECT_EQ(ann.withdraw(strategy::lua, 1), "ok 9");
    c("SCRIPT", "FLUSH");
    EXPECT_EQ(ann.withdraw(strategy::lock, 1), "ok 8");
    EXPECT_TRUE(on.reactor().loop().has_log());
    EXPECT_EQ(c("SCRIPT", "EXISTS", std::string(40, '0')), "[0]");
}

}  // namespace
}  // namespace redislock::memory
