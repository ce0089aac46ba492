// Orders without a server: what each strategy sends, and what an answer means.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "fake_engine.hpp"
#include "stock/codec.hpp"
#include "stock/order.hpp"
#include "stock/stock.hpp"
#include "stock_fixture.hpp"

namespace redislock::stock {
namespace {

using wire::bulk;
using wire::list;
using wire::nil;
using wire::number;
using wire::refusal_of;
using wire::simple;

// ---- words

std::string decoded(std::string_view text) {
    return show(decode_receipt(bulk(std::string(text)), make_settings(), "record"));
}

TEST(stock_codec, reads_what_scripts_answer) {
    EXPECT_EQ(decoded("ok 97 3 confirmed"), "ok 97 3 confirmed");
    EXPECT_EQ(decoded("duplicate 97 3 expired"), "duplicate 97 3 expired");
    EXPECT_EQ(decoded("sold_out 1"), "sold_out 1");
    EXPECT_EQ(decoded("missing"), "missing");
    EXPECT_EQ(decoded("backlog 5"), "retry_later backlog 5");
    EXPECT_EQ(decoded("lock_lost"), "retry_later lock_lost");
    EXPECT_EQ(decoded("corrupt"), "-corrupt_balance");
    for (const auto* text : {"", "hello", "ok x", "ok 97 x confirmed", "ok 97 3", "ok 97 3 "}) {
        EXPECT_EQ(decoded(text), "-protocol") << text;
    }
}

TEST(stock_codec, names_the_key_of_another_type) {
    const auto rules = make_settings();
    for (const auto& [what, key] : {std::pair{"reservations", rules.keys.holds},
                                    {"buyers", rules.keys.buyers},
                                    {"outbox", rules.keys.outbox},
                                    {"order", std::string("record")}}) {
        const auto said = decode_receipt(bulk(std::string("wrongtype ") + what), rules, "record");
        EXPECT_EQ(said.error().code, errc::wrong_type);
        EXPECT_NE(said.error().message.find("'" + key + "'"), std::string::npos) << said.error().message;
    }
}

TEST(stock_codec, reads_scores_however_they_are_written) {
    EXPECT_EQ(parse_score("1764100000123"), 1764100000123);
    EXPECT_EQ(parse_score("1.7641e+12"), 1764100000000);
    EXPECT_EQ(parse_score("1.7641e12"), 1764100000000);
    EXPECT_EQ(parse_score("2e0"), 2);
    for (const auto* text : {"", "inf", "1.5", "1e-3", "1.23e1", "x", "1e99", "e5"}) {
        EXPECT_EQ(parse_score(text), std::nullopt) << text;
    }
}

TEST(stock_codec, knows_every_verdict) {
    for (std::size_t i = 0; i < verdict_count; ++i) {
        const auto each = static_cast<verdict>(i);
        EXPECT_EQ(parse_verdict(to_string(each)), each);
    }
    EXPECT_EQ(parse_verdict("insufficient"), std::nullopt);
}

// ---- strategies on the fake engine

class run_order final : public engine::operation_of<receipt> {
public:
    using maker = stock::outcome (*)(engine::context&, const settings&, const order&);
    run_order(maker how, settings rules, order asked)
        : operation_of(5 * second), how_(how), rules_(std::move(rules)), asked_(std::move(asked)) {}
    std::string told() { return finished() ? show(outcome()) : "still running"; }

private:
    engine::task<result<receipt>> body(engine::context& with) override {
        auto ended = co_await how_(with, rules_, asked_);
        co_return settle(with, std::move(ended));
    }
    maker how_;
    settings rules_;
    order asked_;
};

struct order_test : testing::Test {
    engine::fake_reactor on;
    settings rules = make_settings();

    std::shared_ptr<run_order> run(run_order::maker how, bool reserves = false, std::string user = {}) {
        auto asked = make_order(rules, reserves);
        asked.user = std::move(user);
        return on.submit<run_order>(how, rules, asked);
    }
    engine::fake_channel& lane() const { return *on.server->exclusive.back(); }
    static std::vector<wire::reply> look(std::string level, wire::reply earliest = list({})) {
        const auto count = static_cast<std::int64_t>(earliest.items.empty() ? 0 : 1);
        return {bulk(std::move(level)), nil(),     std::move(earliest),
                number(count),          number(0), list({bulk("1764100000"), bulk("500000")})};
    }
    static std::vector<wire::reply> watched(std::vector<wire::reply> replies) {
        replies.insert(replies.begin(), simple());
        return replies;
    }
};

TEST_F(order_test, the_script_is_one_call_that_may_be_sent_again) {
    rules.backlog = 7;
    auto own = run(&order_lua);
    EXPECT_TRUE(
        on.shared().oldest().ends_with(" 5 p:{a}:stock p:{a}:stock:holds p:{a}:stock:buyers "
                                       "p:{a}:stock:order:o1 p:{a}:outbox 3 o1 0123456789abcdef 0 "
                                       "86400000  0 7 1 a "))
        << on.shared().oldest();
    EXPECT_EQ(on.shared().sent.front()->request.policy, engine::resend::recorded);
    on.shared().answer(bulk("ok 7 3 confirmed"));
    on.settle();
    EXPECT_EQ(own->told(), "ok 7 3 confirmed");
    auto reserving = run(&order_lua, true);
    EXPECT_NE(on.shared().oldest().find(" 0123456789abcdef 30000 86400000 "), std::string::npos);
}

TEST_F(order_test, the_lock_guards_the_same_script) {
    auto own = run(&order_lock);
    const auto words = on.shared().oldest();
    EXPECT_TRUE(words.starts_with("SET p:{a}:stock:lock ")) << words;
    EXPECT_TRUE(words.ends_with(" | GET p:{a}:stock:lock | GET p:{a}:stock")) << words;
    const std::string token = words.substr(21, 32);
    on.shared().answer({simple(), bulk(token), bulk("10")});
    on.settle();
    EXPECT_TRUE(on.shared().oldest().ends_with(" 1 a " + token)) << on.shared().oldest();
    on.shared().answer(bulk("lock_lost"));
    on.settle();
    EXPECT_EQ(own->told(), "retry_later lock_lost");
    EXPECT_TRUE(on.shared().sent.empty());
}

TEST_F(order_test, a_lock_that_stays_held_is_for_later) {
    rules.lock_wait = 0;
    auto own = run(&order_lock);
    on.shared().answer({nil(), bulk("another's"), bulk("10")});
    on.settle();
    EXPECT_EQ(own->told(), "retry_later lock_busy");
}

TEST_F(order_test, watch_decides_here_and_commits_as_one) {
    auto own = run(&order_watch);
    EXPECT_EQ(lane().oldest(),
              "WATCH p:{a}:stock p:{a}:stock:order:o1 | GET p:{a}:stock | GET p:{a}:stock:order:o1 | "
              "ZRANGE p:{a}:stock:holds 0 0 WITHSCORES | ZCARD p:{a}:stock:holds | XLEN p:{a}:outbox | TIME");
    lane().answer(watched(look("10")));
    on.settle();
    EXPECT_EQ(
        lane().oldest(),
        "MULTI | XADD p:{a}:outbox * order_id o1 sku a qty 3 user  at 1764100000500 | "
        "DECRBY p:{a}:stock 3 | SET p:{a}:stock:order:o1 confirmed 3 7 0123456789abcdef -  PX 86400000 | "
        "EXEC");
    lane().answer({simple(), simple(), simple(), simple(), list({bulk("1-1"), number(7), simple()})});
    on.settle();
    EXPECT_EQ(own->told(), "ok 7 3 confirmed");
}

TEST_F(order_test, watch_reserves_and_counts_its_user) {
    auto own = run(&order_watch, true, "bob");
    EXPECT_TRUE(lane().oldest().ends_with(" | HGET p:{a}:stock:buyers bob"));
    auto replies = watched(look("10"));
    replies.push_back(bulk("2"));
    lane().answer(std::move(replies));
    on.settle();
    EXPECT_EQ(lane().oldest(),
              "MULTI | ZADD p:{a}:stock:holds 1764100030500 3 3 bobo1 | DECRBY p:{a}:stock 3 | "
              "HINCRBY p:{a}:stock:buyers bob 3 | "
              "SET p:{a}:stock:order:o1 reserved 3 7 0123456789abcdef - bob PX 86400000 | EXEC");
    lane().answer({simple(), simple(), simple(), simple(), simple(), nil()});
    on.settle();
    on.pass(20 * millisecond);
    replies = watched(look("2"));
    replies.push_back(nil());
    lane().answer(std::move(replies));
    on.settle();
    EXPECT_EQ(own->told(), "sold_out 2 (2 attempts)");
}

TEST_F(order_test, watch_that_never_wins_is_for_later) {
    rules.max_retries = 0;
    auto own = run(&order_watch);
    lane().answer(watched(look("10")));
    on.settle();
    lane().answer({simple(), simple(), simple(), simple(), nil()});
    on.settle();
    EXPECT_EQ(own->told(), "retry_later conflict");
}

TEST_F(order_test, what_has_timed_out_comes_back_before_watch_decides) {
    auto own = run(&order_watch);
    lane().answer(watched(look("0", list({list({bulk("3 0 o0"), bulk("1764100000500")})}))));
    on.settle();
    EXPECT_TRUE(on.shared().oldest().ends_with(" 3 p:{a}:stock p:{a}:stock:holds p:{a}:stock:buyers 1000"));
    on.shared().answer(bulk("ok 3 1"));
    on.settle();
    EXPECT_TRUE(lane().oldest().starts_with("UNWATCH | WATCH ")) << lane().oldest();
    auto replies = watched(look("3", list({bulk("3 0 o9"), bulk("1764100000501")})));
    replies.insert(replies.begin(), simple());
    lane().answer(std::move(replies));
    on.settle();
    EXPECT_TRUE(lane().oldest().starts_with("MULTI | XADD ")) << "what is due later is not waited for";
    lane().answer({simple(), simple(), simple(), simple(), list({bulk("1-1"), number(0), simple()})});
    on.settle();
    EXPECT_EQ(own->told(), "ok 0 3 confirmed");
}

TEST_F(order_test, an_order_that_is_known_is_told_by_the_script) {
    auto own = run(&order_watch);
    auto replies = watched(look("10"));
    replies[2] = bulk("confirmed 3 7 fedcba9876543210 - ");
    lane().answer(std::move(replies));
    on.settle();
    EXPECT_TRUE(on.shared().oldest().starts_with("EVALSHA ")) << on.shared().oldest();
    on.shared().answer(bulk("duplicate 7 3 confirmed"));
    on.settle();
    EXPECT_EQ(own->told(), "duplicate 7 3 confirmed");
}

TEST_F(order_test, naive_writes_what_it_computed) {
    auto own = run(&order_naive);
    on.shared().answer(look("10"));
    on.settle();
    EXPECT_EQ(on.shared().oldest(),
              "XADD p:{a}:outbox * order_id o1 sku a qty 3 user  at 1764100000500 | SET p:{a}:stock 7 | "
              "SET p:{a}:stock:order:o1 confirmed 3 7 0123456789abcdef -  PX 86400000");
    EXPECT_EQ(on.shared().sent.front()->request.policy, engine::resend::once);
    on.shared().answer({bulk("1-1"), simple(), simple()});
    on.settle();
    EXPECT_EQ(own->told(), "ok 7 3 confirmed");
}

TEST_F(order_test, watch_names_what_is_of_another_type) {
    const std::pair<std::size_t, std::string> cases[] = {{0, "-corrupt_balance"},
                                                         {1, "-wrong_type"},
                                                         {2, "-wrong_type"},
                                                         {3, "-wrong_type"},
                                                         {4, "-wrong_type"}};
    for (const auto& [at, told] : cases) {
        auto own = run(&order_naive);
        auto replies = look("10");
        replies[at] = refusal_of("WRONGTYPE Operation");
        on.shared().answer(std::move(replies));
        on.settle();
        EXPECT_EQ(own->told(), told) << at;
    }
    auto own = run(&order_naive);
    auto replies = look("10");
    replies[2] = refusal_of("NOPERM no permission");
    on.shared().answer(std::move(replies));
    on.settle();
    EXPECT_EQ(own->told(), "-no_permission");
}

TEST_F(order_test, what_repeating_ended_in_is_told_only_if_it_is_certain) {
    rules.max_retries = 0;
    auto guess = run(&order_watch);
    lane().answer(watched(look("10")));
    on.settle();
    lane().good = false;
    lane().fail(errc::lane_lost, "the connection was lost", true);
    on.settle();
    lane().answer(watched(look("10")));
    on.settle();
    lane().answer({simple(), simple(), simple(), simple(), nil()});
    on.settle();
    EXPECT_EQ(guess->told(), "-outcome_unknown");
    auto own = run(&order_lua);
    on.shared().sent.front()->in_doubt = true;
    on.shared().answer(bulk("sold_out 2"));
    on.settle();
    EXPECT_EQ(own->told(), "sold_out 2") << "an order that was made would have been found";
}

}  // namespace
}  // namespace redislock::stock
