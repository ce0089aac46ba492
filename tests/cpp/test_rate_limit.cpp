// Rate limits without a server: how an interval is split exactly, what is sent, what an answer means.
#include "coordination/rate_limit.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "fake_engine.hpp"

namespace redislock::coordination {
namespace {

using wire::bulk;
using wire::list;
using wire::number;
using wire::refusal_of;

std::string split(std::int64_t count, nanos per, std::int64_t burst = 0) {
    const auto made = rate::make(count, per, burst);
    if (!made) return std::string(to_string(made.error().code));
    return std::to_string(made->whole_us()) + " " + std::to_string(made->numerator()) + "/" +
           std::to_string(made->denominator());
}

TEST(rate, the_interval_is_whole_microseconds_and_a_fraction) {
    EXPECT_EQ(split(1, second), "1000000 0/1");
    EXPECT_EQ(split(3, second), "333333 1/3");
    EXPECT_EQ(split(6, second), "166666 2/3");
    EXPECT_EQ(split(7, microsecond), "0 1/7");
    EXPECT_EQ(split(1'000'000'000, second), "0 1/1000");
    EXPECT_EQ(split(1'000'000, 86'400 * second, 999'999), "86400 0/1");
}

TEST(rate, what_doubles_cannot_hold_is_refused) {
    EXPECT_EQ(split(999'999'937, 1'000'003 * microsecond, 999'999'936), "invalid_argument");
    EXPECT_EQ(split(1, 100'000'000 * second, 1'000'000), "invalid_argument");
    EXPECT_EQ(split(1, 100'000'000 * second), "100000000000000 0/1");
}

class asking final : public engine::operation_of<std::string> {
public:
    explicit asking(rate_question asked) : operation_of(5 * second), asked_(std::move(asked)) {}

private:
    engine::task<result<std::string>> body(engine::context& with) override {
        auto said = co_await ask_rate(with, asked_);
        if (!said) co_return std::move(said.error());
        std::string text = said->allowed ? "allowed" : "refused";
        for (const auto value :
             {said->remaining, said->retry_after_us, said->reset_after_us, said->wait_us, said->time_us})
            text += " " + std::to_string(value);
        co_return text;
    }
    rate_question asked_;
};

struct rate_test : testing::Test {
    engine::fake_reactor on;

    std::shared_ptr<asking> ask(bool looks) const {
        return on.submit<asking>(rate_question{"k", *rate::make(3, second, 4), 2, 500, looks});
    }
};

TEST_F(rate_test, asks_and_looks) {
    auto own = ask(false);
    EXPECT_TRUE(on.shared().oldest().ends_with(" 1 {k}:redislock:rate 333333 1 3 4 2 500 1"))
        << on.shared().oldest();
    EXPECT_EQ(on.shared().sent.front()->request.policy, engine::resend::token);
    on.shared().answer(list({number(1), number(2), number(3), number(4), number(5), number(6)}));
    on.settle();
    EXPECT_EQ(outcome_of(*own), "allowed 2 3 4 5 6");
    auto look = ask(true);
    EXPECT_TRUE(on.shared().oldest().ends_with(" 500 0"));
    EXPECT_EQ(on.shared().sent.front()->request.policy, engine::resend::read);
    on.shared().answer(list({number(0), number(0), number(1), number(1), number(0), number(6)}));
    on.settle();
    EXPECT_EQ(outcome_of(*look), "refused 0 1 1 0 6");
}

TEST_F(rate_test, what_goes_wrong) {
    const std::pair<wire::reply, std::string> cases[] = {{bulk("wrongtype"), "wrong_type"},
                                                         {list({number(1)}), "protocol"},
                                                         {refusal_of("BUSY"), "server_refused"}};
    for (const auto& [said, code] : cases) {
        auto own = ask(false);
        on.shared().answer(said);
        on.settle();
        EXPECT_TRUE(outcome_of(*own).starts_with(code + ":")) << outcome_of(*own);
    }
}

}  // namespace
}  // namespace redislock::coordination
