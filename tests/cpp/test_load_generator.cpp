// The load generator against a scripted server on a clock of the test's own: what is counted, what
// is not, and how a run ends.
#include "load/generator.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "load_scripted_server.hpp"

namespace redislock::load {
namespace {

settings make_settings(std::size_t accounts = 1) {
    settings asked;
    const auto scheme = key_scheme::make("test", "");
    for (std::size_t i = 1; i <= accounts; ++i) asked.accounts.push_back(*scheme->keys_of(std::to_string(i)));
    asked.users = 4;
    asked.warmup = 0;
    asked.count = 100;
    return asked;
}

// Answers ok, and keeps its own books.
struct ledger {
    std::map<std::string, std::int64_t> taken;
    int asked = 0;
    std::string operator()(const asked_change& change) {
        ++asked;
        return "ok " + std::to_string(1'000'000 - (taken[change.key] += change.amount));
    }
};

class load_generator : public testing::Test {
protected:
    void SetUp() override {
        test_time = second;
        test_tick = microsecond;
    }

    static std::unique_ptr<generator> make(settings asked, rule answers) {
        auto made = generator::make(std::move(asked), make_scripted(std::move(answers)), test_clock);
        EXPECT_TRUE(made.has_value());
        return std::move(*made);
    }
    // Steps that look only, with the clock moved in between.
    static void run(generator& which, nanos stride = 0, int most = 100'000) {
        while (which.step(0)) {
            test_time += stride;
            ASSERT_GT(--most, 0) << "the run does not end";
        }
    }
    static std::uint64_t taken(const generator& which) {
        std::uint64_t sum = 0;
        for (const auto& each : which.seen().money) sum += each.taken.low;
        return sum;
    }
    static std::uint64_t unknown(const generator& which) {
        std::uint64_t sum = 0;
        for (const auto& each : which.seen().money) sum += each.unknown.low;
        return sum;
    }
};

TEST_F(load_generator, runs_a_count_to_the_last_one) {
    ledger books;
    auto load = make(make_settings(), std::ref(books));
    EXPECT_EQ(load->phase(), phase::fresh);
    run(*load);
    const tally& seen = load->seen();
    EXPECT_EQ(load->phase(), phase::over);
    EXPECT_EQ(seen.operations, 100U);
    EXPECT_EQ(seen.statuses[0], 100U);
    EXPECT_EQ(seen.attempts, 100U);
    EXPECT_EQ(seen.ok_in_window, 100U);
    EXPECT_EQ(seen.all.count(), 100U);
    EXPECT_EQ(seen.ok.count(), 100U);
    EXPECT_EQ(seen.money[0].taken.low, 300U);
    EXPECT_EQ(seen.money[0].taken_count, 100U);
    EXPECT_EQ(books.asked, 100);
    EXPECT_GT(seen.ok.min(), 0);
    EXPECT_GT(load->elapsed(), 0);
    EXPECT_EQ(load->in_flight(), 0U);
    EXPECT_EQ(load->progress(), 1);
    EXPECT_FALSE(load->step(second));
}

TEST_F(load_generator, counts_warm_up_as_money_but_not_as_rate) {
    ledger books;
    auto asked = make_settings();
    asked.warmup = 10 * millisecond;
    auto load = make(asked, std::ref(books));
    run(*load);
    EXPECT_GT(books.asked, 200);
    EXPECT_EQ(load->seen().operations, 100U);
    EXPECT_EQ(load->seen().ok.count(), 100U);
    EXPECT_EQ(taken(*load), 3U * static_cast<std::uint64_t>(books.asked));
}

TEST_F(load_generator, measures_for_its_duration) {
    ledger books;
    auto asked = make_settings();
    asked.count = 0;
    asked.warmup = 5 * millisecond;
    asked.duration = 20 * millisecond;
    auto load = make(asked, std::ref(books));
    run(*load);
    EXPECT_GE(load->elapsed(), 20 * millisecond);
    EXPECT_LT(load->elapsed(), 21 * millisecond);
    EXPECT_LE(load->seen().ok_in_window, load->seen().operations + 4);
    EXPECT_LT(load->seen().operations, static_cast<std::uint64_t>(books.asked));
    EXPECT_EQ(taken(*load), 3U * static_cast<std::uint64_t>(books.asked));
}

TEST_F(load_generator, users_who_are_too_many_end_what_they_are_in) {
    auto asked = make_settings();
    asked.count = 0;
    auto load = make(asked, [](const asked_change&) { return std::string(); });
    load->step(0);
    EXPECT_EQ(load->in_flight(), 4U);
    load->set_users(7);
    load->step(0);
    EXPECT_EQ(load->in_flight(), 7U);
    load->set_users(2);
    load->step(0);
    EXPECT_EQ(load->in_flight(), 7U);
    load->set_users(3);  // one that was about to leave stays
    load->step(0);
    EXPECT_EQ(load->in_flight(), 7U);
}

TEST_F(load_generator, users_come_and_go_while_it_runs) {
    ledger books;
    auto asked = make_settings();
    asked.count = 0;
    asked.duration = 100 * second;
    auto load = make(asked, std::ref(books));
    const auto go_on = [&] {
        const auto before = load->seen().operations;
        for (int i = 0; i < 20; ++i) load->step(0);
        return load->seen().operations - before;
    };
    EXPECT_GT(go_on(), 0U);
    load->set_users(0);
    go_on();
    EXPECT_EQ(load->in_flight(), 0U);
    EXPECT_EQ(go_on(), 0U);
    EXPECT_EQ(load->phase(), phase::measuring) << "a pause is not the end";
    load->set_users(5);
    EXPECT_GT(go_on(), 0U);
    EXPECT_LE(load->in_flight(), 5U);
    load->stop();
    run(*load);
    EXPECT_EQ(taken(*load), 3U * static_cast<std::uint64_t>(books.asked));
}

TEST_F(load_generator, what_was_seen_can_be_taken_piece_by_piece) {
    ledger books;
    auto asked = make_settings(3);
    asked.keys = distribution::uniform;
    asked.count = 0;
    asked.duration = 20 * millisecond;
    auto load = make(asked, std::ref(books));
    std::uint64_t operations = 0;
    std::uint64_t money = 0;
    const auto take = [&] {
        const tally seen = load->take_seen();
        EXPECT_EQ(seen.answered.count(), seen.operations);
        EXPECT_EQ(seen.money.size(), 3U);
        operations += seen.operations;
        for (const auto& each : seen.money) money += each.taken.low;
    };
    while (load->step(0)) take();
    take();
    EXPECT_EQ(static_cast<int>(operations), books.asked);
    EXPECT_EQ(money, 3U * operations);
    EXPECT_EQ(load->seen().operations, 0U);
}

// A thousand a second for a second, with a clock that moves by 100 µs.
TEST_F(load_generator, with_a_rate_the_loop_is_open) {
    ledger books;
    auto asked = make_settings();
    asked.count = 0;
    asked.duration = second;
    asked.rate = 1000;
    auto load = make(asked, std::ref(books));
    run(*load, 100 * microsecond);
    const tally& seen = load->seen();
    EXPECT_NEAR(static_cast<double>(seen.operations), 1000, 2);
    EXPECT_EQ(load->missed(), 0U);
    EXPECT_EQ(static_cast<int>(seen.operations), books.asked) << "what is due after the end never begins";
    EXPECT_LT(seen.ok.quantile(0.99), millisecond);
    EXPECT_EQ(seen.service.count(), seen.ok.count());
}

// The clock jumps by 100 ms in the middle, as if the server had stalled: who began before that felt
// it, and so did the hundred that were due meanwhile.
TEST_F(load_generator, a_stall_counts_for_all_that_were_due_in_it) {
    ledger books;
    auto asked = make_settings();
    asked.users = 1;
    asked.count = 0;
    asked.duration = second;
    asked.rate = 1000;
    auto load = make(asked, std::ref(books));
    for (int i = 0; i < 5000; ++i) {
        load->step(0);
        test_time += 100 * microsecond;
    }
    test_time += 100 * millisecond;
    run(*load, 100 * microsecond);
    const tally& seen = load->seen();
    EXPECT_NEAR(static_cast<double>(seen.operations + load->missed()), 1000, 2);
    EXPECT_GT(seen.ok.quantile(0.95), 30 * millisecond);
    EXPECT_LT(seen.service.quantile(0.95), 10 * millisecond);
}

TEST_F(load_generator, counts_what_never_began_because_all_users_were_busy) {
    ledger books;
    auto asked = make_settings();
    asked.users = 1;
    asked.count = 0;
    asked.duration = second;
    asked.rate = 1000;
    asked.rtt = 10 * millisecond;  // so one user does a hundred a second
    auto load = make(asked, std::ref(books));
    run(*load, 100 * microsecond);
    EXPECT_NEAR(static_cast<double>(load->seen().ok_in_window), 99, 3);
    EXPECT_NEAR(static_cast<double>(load->seen().operations), 198, 6) << "late ones have as long again";
    EXPECT_NEAR(static_cast<double>(load->missed() + load->seen().operations), 1000, 2);
}

// Without those that begin after the window, the percentiles would be of what came before the stall.
TEST_F(load_generator, a_stall_at_the_end_counts_for_all_that_were_due_in_it) {
    ledger books;
    auto asked = make_settings();
    asked.users = 1;
    asked.count = 0;
    asked.duration = second;
    asked.rate = 1000;
    auto load = make(asked, std::ref(books));
    const nanos stalls_at = test_time + 800 * millisecond;
    while (test_time < stalls_at) {
        load->step(0);
        test_time += 100 * microsecond;
    }
    test_time += 300 * millisecond;
    run(*load, 100 * microsecond);
    const tally& seen = load->seen();
    EXPECT_NEAR(static_cast<double>(seen.operations + load->missed()), 1100, 2);
    EXPECT_LE(load->missed(), 1U);
    EXPECT_GT(seen.ok.quantile(0.95), 200 * millisecond);
    EXPECT_LT(seen.ok_in_window, 810U);
}

TEST_F(load_generator, what_a_warm_up_owes_does_not_delay_what_is_measured) {
    ledger books;
    auto asked = make_settings();
    asked.users = 1;
    asked.count = 0;
    asked.warmup = asked.duration = second;
    asked.rate = 1000;
    asked.rtt = 10 * millisecond;
    auto load = make(asked, std::ref(books));
    run(*load, 100 * microsecond);
    const tally& seen = load->seen();
    EXPECT_NEAR(static_cast<double>(seen.ok_in_window), 99, 3);
    EXPECT_GT(seen.operations, 190U);
    EXPECT_NEAR(static_cast<double>(load->missed() + seen.operations), 1000, 3) << "none of the warm-up";
    EXPECT_LT(seen.ok.min(), 50 * millisecond);
}

TEST_F(load_generator, begins_no_late_one_once_it_is_stopped) {
    ledger books;
    auto asked = make_settings();
    asked.users = 1;
    asked.count = 0;
    asked.duration = second;
    asked.rate = 1000;
    asked.rtt = 10 * millisecond;
    auto load = make(asked, std::ref(books));
    while (load->phase() != phase::draining) {
        ASSERT_TRUE(load->step(0));
        test_time += 100 * microsecond;
    }
    load->stop();
    const int before = books.asked;
    run(*load, 100 * microsecond);
    EXPECT_LE(books.asked, before + 1);
    EXPECT_NEAR(static_cast<double>(load->missed() + load->seen().operations), 1000, 2);
}

TEST_F(load_generator, adds_latency_to_each_round_trip) {
    ledger books;
    auto asked = make_settings();
    asked.rtt = 5 * millisecond;
    auto load = make(asked, std::ref(books));
    run(*load, 100 * microsecond);
    EXPECT_GE(load->seen().ok.quantile(0.01), 5 * millisecond);
    EXPECT_LT(load->seen().ok.quantile(0.99), 6 * millisecond);
    EXPECT_EQ(load->seen().round_trips, 100U);
    EXPECT_EQ(load->seen().statements, 100U);
}

TEST_F(load_generator, the_same_seed_draws_the_same) {
    const auto books_of = [](std::uint64_t seed) {
        ledger books;
        auto asked = make_settings(10);
        asked.keys = distribution::zipf;
        asked.amount = 10;
        asked.jitter = 9;
        asked.seed = seed;
        auto load = make(asked, std::ref(books));
        run(*load);
        for (std::size_t i = 0; i < 10; ++i) {
            EXPECT_EQ(static_cast<std::int64_t>(load->seen().money[i].taken.low),
                      books.taken[asked.accounts[i].balance]);
        }
        return books.taken;
    };
    EXPECT_EQ(books_of(1), books_of(1));
    EXPECT_NE(books_of(1), books_of(2));
}

TEST_F(load_generator, counts_statuses_and_the_first_words_of_a_fault) {
    int turn = 0;
    auto load = make(make_settings(), [&](const asked_change&) -> std::string {
        switch (turn++ % 4) {
            case 0: return "ok 5";
            case 1: return "insufficient 1";
            case 2: return "missing";
            default: return "-OOM not now " + std::to_string(turn);
        }
    });
    run(*load, millisecond);
    const tally& seen = load->seen();
    EXPECT_EQ(seen.operations, 100U);
    EXPECT_EQ(seen.statuses[static_cast<std::size_t>(status::ok)], 25U);
    EXPECT_EQ(seen.statuses[static_cast<std::size_t>(status::insufficient)], 25U);
    EXPECT_EQ(seen.statuses[static_cast<std::size_t>(status::missing)], 25U);
    ASSERT_EQ(seen.faults.size(), 1U);
    EXPECT_EQ(seen.faults.at(errc::server_refused).count, 25U);
    EXPECT_NE(seen.faults.at(errc::server_refused).first.find("not now 4"), std::string::npos);
    EXPECT_EQ(seen.money[0].taken.low, 75U);
    EXPECT_EQ(unknown(*load), 0U);
    EXPECT_EQ(seen.ok.count(), 25U);
    EXPECT_EQ(seen.all.count(), 100U);
}

TEST_F(load_generator, pauses_a_user_after_a_fault) {
    int asked_for = 0;
    auto asked = make_settings();
    asked.count = 0;
    asked.duration = 10 * second;
    auto load = make(asked, [&](const asked_change&) -> std::string {
        ++asked_for;
        return "-OOM command not allowed";
    });
    run(*load, 100 * microsecond, 1'000'000);
    EXPECT_GT(asked_for, 100);
    EXPECT_LT(asked_for, 2500);
}

TEST_F(load_generator, what_is_never_answered_is_unknown) {
    int answered = 0;
    auto asked = make_settings();
    asked.count = 0;
    asked.duration = 8 * second;
    auto load =
        make(asked, [&](const asked_change&) -> std::string { return ++answered > 40 ? "" : "ok 9"; });
    run(*load, 10 * millisecond);
    const tally& seen = load->seen();
    EXPECT_EQ(taken(*load), 120U);
    EXPECT_EQ(seen.money[0].unknown_count, 8U);  // four users, twice five seconds
    EXPECT_EQ(unknown(*load), 24U);
    EXPECT_EQ(seen.faults.at(errc::outcome_unknown).count, 8U);
    EXPECT_EQ(seen.all.count(), 48U);
    EXPECT_GE(seen.all.max(), 5 * second);  // also of those that began in the window and ended after it
}

TEST_F(load_generator, an_answer_without_sense_is_unknown_money) {
    auto load = make(make_settings(), [](const asked_change&) -> std::string { return "perhaps"; });
    run(*load, millisecond);
    EXPECT_EQ(load->seen().faults.at(errc::protocol).count, 100U);
    EXPECT_EQ(unknown(*load), 300U);
}

TEST_F(load_generator, stops_at_once_where_every_further_call_would_fail) {
    int asked_for = 0;
    auto load = make(make_settings(), [&](const asked_change&) -> std::string {
        return ++asked_for > 10 ? "-NOPERM no evalsha for you" : "ok 1";
    });
    run(*load, millisecond);
    ASSERT_TRUE(load->fatal().has_value());
    EXPECT_EQ(load->fatal()->code, errc::no_permission);
    EXPECT_LE(asked_for, 20);
    EXPECT_EQ(taken(*load), 30U);
}

TEST_F(load_generator, stopping_lets_every_withdrawal_end) {
    ledger books;
    auto asked = make_settings();
    asked.count = 1'000'000;
    auto load = make(asked, std::ref(books));
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(load->step(0));
    load->stop();
    EXPECT_EQ(load->phase(), phase::draining);
    run(*load);
    EXPECT_LT(books.asked, 100);
    EXPECT_EQ(taken(*load), 3U * static_cast<std::uint64_t>(books.asked));
    EXPECT_EQ(unknown(*load), 0U);
}

TEST_F(load_generator, aborting_makes_what_is_under_way_unknown) {
    auto load = make(make_settings(), [](const asked_change&) -> std::string { return ""; });
    EXPECT_TRUE(load->step(0));
    EXPECT_EQ(load->in_flight(), 4U);
    load->abort();
    EXPECT_EQ(load->phase(), phase::over);
    EXPECT_FALSE(load->step(0));
    EXPECT_EQ(load->seen().money[0].unknown_count, 4U);
    EXPECT_EQ(unknown(*load), 12U);
    load->abort();
    EXPECT_EQ(unknown(*load), 12U);
}

TEST_F(load_generator, stopping_before_it_began_ends_it) {
    ledger books;
    auto load = make(make_settings(), std::ref(books));
    load->stop();
    EXPECT_FALSE(load->step(0));
    EXPECT_EQ(books.asked, 0);
    EXPECT_EQ(load->elapsed(), 0);
}

TEST_F(load_generator, may_be_destroyed_in_the_middle) {
    auto load = make(make_settings(), [](const asked_change&) -> std::string { return ""; });
    EXPECT_TRUE(load->step(0));
    load.reset();
}

TEST_F(load_generator, names_the_setting_that_makes_no_sense) {
    const auto complaint = [](auto change) {
        auto asked = make_settings();
        change(asked);
        auto made = generator::make(asked, make_scripted(ledger{}), test_clock);
        EXPECT_FALSE(made.has_value());
        EXPECT_EQ(made.error().code, errc::invalid_argument);
        return made.error().message.substr(0, made.error().message.find(' '));
    };
    EXPECT_EQ(complaint([](settings& s) { s.users = 0; }), "users");
    EXPECT_EQ(complaint([](settings& s) { s.accounts.clear(); }), "accounts");
    EXPECT_EQ(complaint([](settings& s) { s.amount = 0; }), "amount");
    EXPECT_EQ(complaint([](settings& s) { s.jitter = -1; }), "jitter");
    EXPECT_EQ(complaint([](settings& s) { s.jitter = max_amount; }), "amount");
    EXPECT_EQ(complaint([](settings& s) { s.warmup = -1; }), "warmup");
    EXPECT_EQ(complaint([](settings& s) { s.count = 0, s.duration = 0; }), "duration");
    EXPECT_EQ(complaint([](settings& s) { s.timeout = 0; }), "timeout");
    EXPECT_EQ(complaint([](settings& s) { s.rtt = -1; }), "rtt");
    EXPECT_EQ(complaint([](settings& s) { s.rate = -1; }), "rate");
}

TEST_F(load_generator, sums_cannot_overflow) {
    exact_sum sum;
    for (int i = 0; i < 5; ++i) sum.add(max_amount);
    EXPECT_EQ(sum.high, 2U);  // 5 * (2^63 - 1) = 2 * 2^64 + 2^63 - 5
    EXPECT_EQ(sum.low, (std::uint64_t{1} << 63U) - 5);
}

}  // namespace
}  // namespace redislock::load
