// What is done once, without a server: records, the storing of one, and what may be told after a lost answer.
#include "coordination/once.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "fake_engine.hpp"

namespace redislock::coordination {
namespace {

using wire::bulk;
using wire::nil;
using wire::number;
using wire::refusal_of;

std::string_view yes_or_no(bool yes) { return yes ? "yes" : "no"; }

class reading final : public engine::operation_of<std::string> {
public:
    reading() : operation_of(5 * second) {}

private:
    engine::task<result<std::string>> body(engine::context& with) override {
        auto found = co_await read_once(with, key_);
        if (!found) co_return std::move(found.error());
        if (!*found) co_return std::string("never");
        co_return "done: " + (*found)->value.value_or("without words");
    }
    std::string key_ = "k";
};

class storing final : public engine::operation_of<std::string> {
public:
    explicit storing(once_store asked) : operation_of(5 * second), asked_(std::move(asked)) {}

private:
    engine::task<result<std::string>> body(engine::context& with) override {
        auto stored = co_await store_once(with, asked_);
        if (!stored) co_return std::move(stored.error());
        co_return std::string(yes_or_no(*stored));
    }
    once_store asked_;
};

class forgetting final : public engine::operation_of<std::string> {
public:
    forgetting() : operation_of(5 * second) {}

private:
    engine::task<result<std::string>> body(engine::context& with) override {
        auto gone = co_await forget_once(with, key_);
        if (!gone) co_return std::move(gone.error());
        co_return std::string(yes_or_no(*gone));
    }
    std::string key_ = "k";
};

struct once_test : testing::Test {
    engine::fake_reactor on;

    std::shared_ptr<storing> store(once_record record = {"v"}, nanos ttl = 2 * second) const {
        return on.submit<storing>(once_store{"k", "token", 17, ttl, std::move(record)});
    }
    void answer(wire::reply said) const {
        on.shared().answer(std::move(said));
        on.settle();
    }
};

TEST_F(once_test, a_record_is_read) {
    const std::pair<wire::reply, std::string> cases[] = {
        {nil(), "never"},
        {bulk("17 vvalue with words"), "done: value with words"},
        {bulk("17 v"), "done: "},
        {bulk("17 x"), "done: without words"},
    };
    for (const auto& [said, meaning] : cases) {
        auto own = on.submit<reading>();
        EXPECT_EQ(on.shared().oldest(), "GET {k}:redislock:once");
        answer(said);
        EXPECT_EQ(outcome_of(*own), meaning);
    }
    const std::pair<wire::reply, std::string> refusals[] = {
        {refusal_of("WRONGTYPE no"), "wrong_type:"},
        {refusal_of("BUSY"), "server_refused:"},
        {bulk(""), "wrong_type:"},
        {bulk("17"), "wrong_type:"},
        {bulk("17 "), "wrong_type:"},
        {bulk("17 y"), "wrong_type:"},
        {bulk("x v"), "wrong_type:"},
    };
    for (const auto& [said, code] : refusals) {
        auto own = on.submit<reading>();
        answer(said);
        EXPECT_TRUE(outcome_of(*own).starts_with(code)) << outcome_of(*own);
    }
}

TEST_F(once_test, a_result_is_stored_under_its_fence) {
    auto own = store();
    EXPECT_TRUE(on.shared().oldest().ends_with(
        " 3 {k}:redislock:once {k}:redislock:turn {k}:redislock:turn:redislock:t:fence token 17 2000 17 vv"))
        << on.shared().oldest();
    EXPECT_EQ(on.shared().sent.front()->request.policy, engine::resend::recorded);
    answer(bulk("ok"));
    EXPECT_EQ(outcome_of(*own), "yes");
    auto wordless = store({}, 0);
    EXPECT_TRUE(on.shared().oldest().ends_with(" token 17 0 17 x")) << on.shared().oldest();
    answer(bulk("lost"));
    EXPECT_EQ(outcome_of(*wordless), "no");
    const std::pair<wire::reply, std::string> refusals[] = {
        {bulk("wrongtype"), "wrong_type:"}, {bulk("?"), "protocol:"}, {refusal_of("OOM"), "server_refused:"}};
    for (const auto& [said, code] : refusals) {
        auto refused = store();
        answer(said);
        EXPECT_TRUE(outcome_of(*refused).starts_with(code)) << outcome_of(*refused);
    }
}

TEST_F(once_test, after_a_lost_answer_only_ok_is_certain) {
    auto stored = store();
    on.shared().sent.front()->in_doubt = true;
    answer(bulk("ok"));
    EXPECT_EQ(outcome_of(*stored), "yes");
    for (const auto& said : {bulk("lost"), bulk("wrongtype"), refusal_of("OOM")}) {
        auto unknown = store();
        on.shared().sent.front()->in_doubt = true;
        answer(said);
        EXPECT_TRUE(outcome_of(*unknown).starts_with("outcome_unknown:")) << outcome_of(*unknown);
    }
}

TEST_F(once_test, forgetting_tells_whether_there_was_something) {
    const std::pair<wire::reply, std::string> cases[] = {
        {number(1), "yes"}, {number(0), "no"}, {refusal_of("NOPERM no"), "no_permission: "}};
    for (const auto& [said, meaning] : cases) {
        auto own = on.submit<forgetting>();
        EXPECT_EQ(on.shared().oldest(), "DEL {k}:redislock:once");
        answer(said);
        EXPECT_TRUE(outcome_of(*own).starts_with(meaning)) << outcome_of(*own);
    }
}

}  // namespace
}  // namespace redislock::coordination
