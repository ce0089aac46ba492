// What can be asked of an account besides the strategies, and the last word on a change: every
// ending, with and without doubt.
#include "accounts/ledger.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "strategy_fixture.hpp"

namespace redislock::accounts {
namespace {

using wire::bulk;
using wire::list;
using wire::nil;

outcome init_always(engine::context& with, const settings& /*rules*/, const change& asked) {
    return init(with, asked, false);
}
outcome init_if_missing(engine::context& with, const settings& /*rules*/, const change& asked) {
    return init(with, asked, true);
}
outcome remove_account(engine::context& with, const settings& /*rules*/, const change& asked) {
    return remove(with, asked.keys);
}

// A question whose answer is told as text.
template <class T>
class question final : public engine::operation_of<T> {
public:
    using maker = engine::task<result<T>> (*)(engine::context&, const account_keys&);
    explicit question(maker how)
        : engine::operation_of<T>(5 * second), how_(how), keys_(strategy_test::make_change().keys) {}

private:
    engine::task<result<T>> body(engine::context& with) override { return how_(with, keys_); }

    maker how_;
    account_keys keys_;
};

using balance_question = question<std::optional<amount>>;
using history_question = question<std::vector<history_entry>>;
using record_question = question<std::optional<receipt>>;

engine::task<result<std::vector<history_entry>>> ask_history(engine::context& with,
                                                             const account_keys& keys) {
    return history(with, keys, 5);
}
engine::task<result<std::vector<history_entry>>> ask_no_history(engine::context& with,
                                                                const account_keys& keys) {
    return history(with, keys, 0);
}
engine::task<result<std::optional<receipt>>> ask_record(engine::context& with, const account_keys& keys) {
    static const std::string key = "id";
    return recorded(with, keys, key);
}

struct ledger_test : strategy_test {};

TEST_F(ledger_test, init_is_repeated_only_where_that_changes_nothing) {
    auto own = run(&init_always);
    EXPECT_TRUE(on.shared().oldest().ends_with(" 2 p:{a}:balance p:{a}:history 3 0")) << on.shared().oldest();
    EXPECT_EQ(policy(), engine::resend::once);
    answer({bulk("ok 3")});
    EXPECT_EQ(own->told(), "ok 3");
    auto careful = run(&init_if_missing);
    EXPECT_TRUE(on.shared().oldest().ends_with(" 2 p:{a}:balance p:{a}:history 3 1"));
    EXPECT_EQ(policy(), engine::resend::recorded);
    answer({bulk("ok 50")});
    EXPECT_EQ(careful->told(), "ok 50");
}

TEST_F(ledger_test, deposit_says_how_much_room_is_needed) {
    auto own = run(&deposit);
    EXPECT_TRUE(
        on.shared().oldest().ends_with(" 2 p:{a}:balance p:{a}:history 3 1000 9223372036854775804  86400000"))
        << on.shared().oldest();
    answer({bulk("overflow 9223372036854775807")});
    EXPECT_EQ(own->told(), "overflow 9223372036854775807");
    auto keyed = run(&deposit, make_change("id", max_amount));
    EXPECT_TRUE(on.shared().oldest().ends_with(" p:{a}:once:id 9223372036854775807 1000 0 id 86400000"));
    EXPECT_EQ(policy(), engine::resend::recorded);
    answer({bulk("=ok 97")});
    EXPECT_EQ(keyed->told(), "=ok 97");
}

TEST_F(ledger_test, remove_tells_whether_there_was_an_account) {
    auto own = run(&remove_account);
    EXPECT_EQ(policy(), engine::resend::once);
    answer({bulk("missing")});
    EXPECT_EQ(own->told(), "missing");
}

TEST_F(ledger_test, balance_is_a_read) {
    auto own = on.submit<balance_question>(&balance);
    EXPECT_EQ(on.shared().oldest(), "GET p:{a}:balance");
    EXPECT_EQ(policy(), engine::resend::read);
    answer({bulk("9223372036854775807")});
    EXPECT_EQ(**own->outcome(), max_amount);
    auto missing = on.submit<balance_question>(&balance);
    answer({nil()});
    EXPECT_FALSE((*missing->outcome()).has_value());
}

TEST_F(ledger_test, history_reads_its_entries) {
    auto own = on.submit<history_question>(&ask_history);
    EXPECT_EQ(on.shared().oldest(), "LRANGE p:{a}:history 0 4");
    answer({list({bulk("3 97 5 lua"), bulk("-4 100 4 deposit my id")})});
    ASSERT_TRUE(own->outcome().has_value());
    EXPECT_EQ(own->outcome()->size(), 2U);
    EXPECT_EQ((*own->outcome())[1].idempotency_key, "my id");
    auto strange = on.submit<history_question>(&ask_history);
    answer({list({bulk("somebody's note")})});
    EXPECT_EQ(strange->outcome().error().code, errc::wrong_type);
    auto none = on.submit<history_question>(&ask_no_history);
    EXPECT_TRUE(none->finished()) << "without a request";
}

TEST_F(ledger_test, recorded_reads_the_record_of_any_operation) {
    auto own = on.submit<record_question>(&ask_record);
    EXPECT_EQ(on.shared().oldest(), "GET p:{a}:once:id");
    EXPECT_EQ(policy(), engine::resend::read);
    answer({bulk("deposit 7 ok 97")});
    EXPECT_EQ((*own->outcome())->balance, 97);
    auto missing = on.submit<record_question>(&ask_record);
    answer({nil()});
    EXPECT_FALSE((*missing->outcome()).has_value());
    auto strange = on.submit<record_question>(&ask_record);
    answer({bulk("hello")});
    EXPECT_EQ(strange->outcome().error().code, errc::wrong_type);
}

// ---- the last word

class settling final : public engine::operation_of<receipt> {
public:
    settling(bool in_doubt, result<receipt> ended)
        : operation_of(5 * second), in_doubt_(in_doubt), ended_(std::move(ended)) {}

private:
    engine::task<result<receipt>> body(engine::context& with) override {
        with.in_doubt = in_doubt_;
        co_return settle(with, ended_);
    }

    bool in_doubt_;
    result<receipt> ended_;
};

std::string settled(bool in_doubt, result<receipt> ended) {
    const engine::fake_reactor on;
    auto own = on.submit<settling>(in_doubt, std::move(ended));
    auto& last = own->outcome();
    return std::string(last ? to_string(last->status) : to_string(last.error().code));
}

TEST(settle, leaves_what_is_certain_alone) {
    for (std::size_t i = 0; i < status_count; ++i) {
        const auto each = static_cast<status>(i);
        EXPECT_EQ(settled(false, receipt{each, {}, 1, 0, false}), to_string(each));
    }
    for (int i = 0; i <= static_cast<int>(errc::closed); ++i) {
        const auto code = static_cast<errc>(i);
        EXPECT_EQ(settled(false, error{code, "why"}), to_string(code));
    }
}

TEST(settle, in_doubt_tells_only_what_was_recorded_or_is_no_guess) {
    for (auto each : {status::ok, status::insufficient, status::missing, status::overflow}) {
        EXPECT_EQ(settled(true, receipt{each, {}, 1, 0, false}), to_string(each));
    }
    for (auto each : {status::lock_busy, status::conflict, status::lock_lost}) {
        EXPECT_EQ(settled(true, receipt{each, {}, 1, 0, false}), "outcome_unknown");
    }
    for (auto code :
         {errc::timed_out, errc::connection_failed, errc::server_refused, errc::lane_lost, errc::cancelled,
          errc::closed, errc::no_permission, errc::protocol, errc::authentication}) {
        EXPECT_EQ(settled(true, error{code, "why"}), "outcome_unknown") << to_string(code);
    }
    for (auto code : {errc::idempotency_mismatch, errc::corrupt_balance, errc::wrong_type}) {
        EXPECT_EQ(settled(true, error{code, "why"}), to_string(code));
    }
}

}  // namespace
}  // namespace redislock::accounts
