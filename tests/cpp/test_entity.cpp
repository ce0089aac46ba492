// Entities without a server: what is sent, every answer, and what may be told after a lost one.
#include "coordination/entity.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "fake_engine.hpp"

namespace redislock::coordination {
namespace {

using wire::bulk;
using wire::list;
using wire::nil;
using wire::number;
using wire::refusal_of;

std::string words(const versioned& found) {
    return found.value.value_or("none") + "@" + found.etag.value_or("none");
}

class reading final : public engine::operation_of<std::string> {
public:
    reading() : operation_of(5 * second) {}

private:
    engine::task<result<std::string>> body(engine::context& with) override {
        auto found = co_await read_entity(with, key_);
        if (!found) co_return std::move(found.error());
        co_return words(*found);
    }
    std::string key_ = "k";
};

class writing final : public engine::operation_of<std::string> {
public:
    explicit writing(entity_write asked) : operation_of(5 * second), asked_(std::move(asked)) {}

private:
    engine::task<result<std::string>> body(engine::context& with) override {
        auto ended = co_await write_entity(with, asked_);
        if (!ended) co_return std::move(ended.error());
        std::string text = "mismatch ";
        if (ended->applied) text = ended->existed ? "applied " : "nothing ";
        co_return text + words(ended->latest);
    }
    entity_write asked_;
};

entity_write make_write(condition only_if, bool deletes = false) {
    return {"k", "token", std::move(only_if), deletes, deletes ? "" : "v", 2 * second, 60 * second};
}

struct entity_test : testing::Test {
    engine::fake_reactor on;

    std::shared_ptr<writing> write(const condition& only_if = {}, bool deletes = false) const {
        return on.submit<writing>(make_write(only_if, deletes));
    }
    void answer(wire::reply said) const {
        on.shared().answer(std::move(said));
        on.settle();
    }
    /// As the channel does where a repetition was answered.
    void answer_again(wire::reply said) const {
        on.shared().sent.front()->in_doubt = true;
        answer(std::move(said));
    }
    std::string sent() const { return on.shared().oldest(); }
};

TEST_F(entity_test, a_write_names_its_token_its_condition_and_its_times) {
    const condition seen{condition::kind::this_etag, "seen"};
    auto own = write(seen);
    EXPECT_TRUE(sent().ends_with(" 2 k {k}:redislock:writes put token =seen 2000 60000 v")) << sent();
    EXPECT_EQ(on.shared().sent.front()->request.policy, engine::resend::recorded);
    answer(bulk("ok"));
    EXPECT_EQ(outcome_of(*own), "applied none@token");
    auto created = write({condition::kind::nothing, {}});
    EXPECT_TRUE(sent().ends_with(" put token  2000 60000 v")) << sent();
    answer(bulk("ok"));
    auto deleted = write({}, true);
    EXPECT_TRUE(sent().ends_with(" delete token * 2000 60000 ")) << sent();
    answer(bulk("ok"));
    EXPECT_EQ(outcome_of(*deleted), "applied none@none");
}

TEST_F(entity_test, each_answer_has_a_meaning) {
    const std::pair<wire::reply, std::string> cases[] = {
        {bulk("missing"), "nothing none@none"},
        {list({bulk("e"), bulk("w"), number(1)}), "mismatch w@e"},
        {list({bulk("e"), bulk(""), number(0)}), "mismatch @e"},
        {list({bulk(""), bulk(""), number(1)}), "mismatch none@none"},
    };
    for (const auto& [said, meaning] : cases) {
        auto own = write({}, true);
        answer(said);
        EXPECT_EQ(outcome_of(*own), meaning);
    }
    const std::pair<wire::reply, std::string> refusals[] = {
        {bulk("wrongtype"), "wrong_type"},
        {bulk("?"), "protocol"},
        {list({bulk("e"), bulk("v")}), "protocol"},
        {refusal_of("OOM no room"), "server_refused"},
    };
    for (const auto& [said, code] : refusals) {
        auto own = write();
        answer(said);
        EXPECT_TRUE(outcome_of(*own).starts_with(code + ":")) << outcome_of(*own);
    }
}

TEST_F(entity_test, after_a_lost_answer_only_what_is_certain_is_told) {
    auto applied = write();
    answer_again(bulk("ok"));
    EXPECT_EQ(outcome_of(*applied), "applied none@token");
    auto refused = write();
    answer_again(list({bulk("e"), bulk("w"), number(1)}));
    EXPECT_EQ(outcome_of(*refused), "mismatch w@e");
    for (const auto& said :
         {list({bulk("e"), bulk("w"), number(0)}), bulk("wrongtype"), refusal_of("NOPERM no"), bulk("?")}) {
        auto unknown = write();
        answer_again(said);
        EXPECT_TRUE(outcome_of(*unknown).starts_with("outcome_unknown:")) << outcome_of(*unknown);
    }
}

TEST_F(entity_test, a_read_looks_twice_where_it_finds_nothing) {
    auto own = on.submit<reading>();
    EXPECT_EQ(sent(), "HMGET k etag value");
    answer(list({bulk("e"), bulk("v")}));
    EXPECT_EQ(outcome_of(*own), "v@e");
    const std::pair<wire::reply, std::string> second_looks[] = {
        {bulk("missing"), "none@none"},
        {list({bulk("e"), bulk("v")}), "v@e"},
    };
    for (const auto& [said, meaning] : second_looks) {
        auto looked = on.submit<reading>();
        answer(list({nil(), nil()}));
        EXPECT_EQ(outcome_of(*looked), "still running");
        answer(said);
        EXPECT_EQ(outcome_of(*looked), meaning);
    }
    auto foreign = on.submit<reading>();
    answer(list({bulk("e"), nil()}));
    answer(bulk("wrongtype"));
    EXPECT_TRUE(outcome_of(*foreign).starts_with("wrong_type:"));
    auto text = on.submit<reading>();
    answer(refusal_of("WRONGTYPE Operation against a key"));
    EXPECT_TRUE(outcome_of(*text).starts_with("wrong_type:"));
    auto busy = on.submit<reading>();
    answer(refusal_of("BUSY"));
    EXPECT_TRUE(outcome_of(*busy).starts_with("server_refused:"));
}

}  // namespace
}  // namespace redislock::coordination
