// Withdrawals held before each round trip: nothing is sent until it is let go, and whoever steps
// decides who comes first. On a fake engine, where the test plays the server, and on memory://.
#include "load/stepper.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fake_engine.hpp"
#include "memory_driver.hpp"

namespace redislock::load {
namespace {

using engine::fake_backend;
using engine::fake_now;
using engine::fake_time;
using wire::bulk;
using wire::list;
using wire::nil;
using wire::number;
using wire::simple;

constexpr nanos lock_lease = 5 * second;

std::string told(const result<accounts::receipt>* ended) {
    if (ended == nullptr) return "under way";
    return memory::show(*ended) + (*ended ? " in " + std::to_string((*ended)->attempts) : "");
}

std::string words(const exchange& of) {
    std::string text;
    for (const auto& command : of.commands) {
        text += text.empty() ? "" : " |";
        for (const auto& word : command) text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

TEST(parse_commands, cuts_what_the_encoder_wrote) {
    wire::commands request;
    request.add("SET", "a b", "").add("GET", "x\r\ny").add("LTRIM", "h", 0, -1);
    const std::vector<std::vector<std::string>> expected{
        {"SET", "a b", ""}, {"GET", "x\r\ny"}, {"LTRIM", "h", "0", "-1"}};
    EXPECT_EQ(parse_commands(request.bytes()), expected);
    EXPECT_TRUE(parse_commands("").empty());
}

struct stepper_test : testing::Test {
    stepper_test() { fake_time = 1000 * second; }

    void start(strategy how, std::uint32_t buyers = 2) {
        race_settings asked;
        asked.strategy = how;
        asked.account = *key_scheme::make("p", "")->keys_of("a");
        asked.buyers = buyers;
        asked.rules.lock_lease = lock_lease;
        auto made = stepper::make(
            asked,
            [this](engine::loop&) -> result<std::unique_ptr<engine::backend>> {
                auto own = std::make_unique<fake_backend>();
                servers.push_back(own.get());
                return std::unique_ptr<engine::backend>(std::move(own));
            },
            fake_now);
        ASSERT_TRUE(made);
        race = std::move(*made);
        for (std::uint32_t i = 0; i < buyers; ++i) EXPECT_TRUE(race->settle(i, 0));
    }
    std::string held(std::size_t buyer) const { return words(race->gate_of(buyer).next()); }
    engine::fake_channel& shared(std::size_t buyer) const { return servers[buyer]->shared(); }
    engine::fake_channel& lane(std::size_t buyer) const { return *servers[buyer]->exclusive.back(); }
    void answer(std::size_t buyer, engine::fake_channel& through, std::vector<wire::reply> replies) const {
        race->release(buyer);
        EXPECT_FALSE(race->settle(buyer, 0));  // the answer is not there
        through.answer(std::move(replies));
    }

    std::vector<fake_backend*> servers;
    std::unique_ptr<stepper> race;
};

TEST_F(stepper_test, holds_what_is_to_be_sent_until_it_is_let_go) {
    start(strategy::naive);
    EXPECT_EQ(held(0), "GET p:{a}:balance | TIME");
    EXPECT_TRUE(shared(0).sent.empty());
    EXPECT_TRUE(race->settle(0, 0));  // again and again, and still nothing is sent
    EXPECT_TRUE(shared(0).sent.empty());

    race->release(0);
    EXPECT_EQ(shared(0).oldest(), "GET p:{a}:balance | TIME");
    EXPECT_TRUE(shared(1).sent.empty());
    EXPECT_EQ(race->gate_of(0).last(), nullptr);
    EXPECT_FALSE(race->paused(0));
}

TEST_F(stepper_test, both_read_before_either_writes) {
    start(strategy::naive);
    for (const std::size_t buyer : {0U, 1U}) {
        answer(buyer, shared(buyer), {bulk("5"), list({bulk("1"), bulk("0")})});
        EXPECT_TRUE(race->settle(buyer, 0));
    }
    for (const std::size_t buyer : {0U, 1U}) {
        EXPECT_TRUE(held(buyer).starts_with("SET p:{a}:balance 4 | LPUSH p:{a}:history 1 4 1000 naive"));
        EXPECT_EQ(told(race->outcome(buyer)), "under way");
        answer(buyer, shared(buyer), {simple(), number(1), simple()});
        EXPECT_TRUE(race->settle(buyer, 0));
        EXPECT_EQ(told(race->outcome(buyer)), "ok 4 in 1");
    }
}

TEST_F(stepper_test, keeps_what_came_back) {
    start(strategy::naive);
    answer(0, shared(0), {bulk("5"), list({bulk("1"), bulk("0")})});
    ASSERT_NE(race->gate_of(0).last(), nullptr);
    const exchange& last = *race->gate_of(0).last();
    EXPECT_EQ(words(last), "GET p:{a}:balance | TIME");
    EXPECT_EQ(wire::to_text(last.replies[0]), "\"5\"");
    EXPECT_FALSE(last.failure);
}

TEST_F(stepper_test, names_the_script_that_is_called) {
    start(strategy::lua);
    EXPECT_EQ(race->gate_of(0).next().script, "withdraw");
    answer(0, shared(0), {bulk("ok 4")});
    EXPECT_TRUE(race->settle(0, 0));
    EXPECT_EQ(race->gate_of(0).last()->script, "withdraw");
    EXPECT_EQ(told(race->outcome(0)), "ok 4 in 1");
}

TEST_F(stepper_test, a_null_exec_is_followed_by_a_pause_and_another_look) {
    start(strategy::watch);
    const std::string look =
        "WATCH p:{a}:balance p:{a}:history | GET p:{a}:balance | LLEN p:{a}:history | TIME";
    EXPECT_EQ(held(1), look);
    answer(1, lane(1), {simple(), bulk("5"), number(0), list({bulk("1"), bulk("0")})});
    EXPECT_TRUE(race->settle(1, 0));
    EXPECT_TRUE(held(1).starts_with("MULTI | DECRBY p:{a}:balance 1"));
    answer(1, lane(1), {simple(), simple("QUEUED"), simple("QUEUED"), nil()});
    EXPECT_FALSE(race->settle(1, 0));  // in its pause
    EXPECT_TRUE(race->paused(1));
    fake_time += 20 * millisecond;
    EXPECT_TRUE(race->settle(1, 0));
    EXPECT_EQ(held(1), look);
    EXPECT_TRUE(race->paused(1));
    race->release(1);
    EXPECT_FALSE(race->paused(1));
}

TEST_F(stepper_test, whoever_is_sent_away_releases_the_lock) {
    start(strategy::lock);
    const auto acquire = race->gate_of(0).next();
    const std::string token = acquire.commands[0][2];
    answer(0, shared(0), {simple(), bulk(token), bulk("5")});
    EXPECT_TRUE(race->settle(0, 0));
    EXPECT_EQ(race->gate_of(0).next().script, "withdraw");
    race->cancel(0);
    EXPECT_TRUE(shared(0).oldest().ends_with("1 p:{a}:lock " + token));  // at once: nobody steps any more
    EXPECT_EQ(told(race->outcome(0)), "-cancelled");
    EXPECT_EQ(told(race->outcome(1)), "-cancelled");
    EXPECT_TRUE(shared(1).sent.empty() || shared(1).oldest().starts_with("EVAL"));
}

TEST_F(stepper_test, a_lost_connection_is_told_with_the_round_trip) {
    start(strategy::naive);
    race->release(0);
    shared(0).fail(errc::connection_failed, "gone");
    EXPECT_TRUE(race->settle(0, 0));
    ASSERT_TRUE(race->gate_of(0).last()->failure);
    EXPECT_EQ(race->gate_of(0).last()->failure->message, "gone");
    EXPECT_EQ(told(race->outcome(0)), "-connection_failed");
}

TEST_F(stepper_test, goes_away_in_the_middle_of_everything) {
    start(strategy::watch, 3);
    race->release(0);
    answer(1, lane(1), {simple(), bulk("5"), number(0), list({bulk("1"), bulk("0")})});
    race.reset();  // one held, one sent, one answered and not run yet
}

TEST(stepper, refuses_what_makes_no_sense) {
    race_settings asked;
    asked.buyers = 0;
    EXPECT_EQ(stepper::make(asked, {}).error().message, "buyers must be from 1 to 1000");
    asked.buyers = 2;
    asked.amount = 0;
    EXPECT_EQ(stepper::make(asked, {}).error().message, "amount must be at least 1");
}

// Everybody takes turns, until all have ended.
std::vector<std::string> in_turns(stepper& race, std::size_t buyers) {
    std::vector<std::string> outcomes;
    outcomes.reserve(buyers);
    for (bool more = true; more;) {
        more = false;
        for (std::size_t i = 0; i < buyers; ++i) {
            if (race.outcome(i) != nullptr) continue;
            EXPECT_TRUE(race.settle(i, second));
            race.release(i);
            EXPECT_TRUE(race.settle(i, second));
            more = true;
        }
    }
    for (std::size_t i = 0; i < buyers; ++i) outcomes.push_back(told(race.outcome(i)));
    return outcomes;
}

TEST(stepper, the_classic_interleaving_on_memory) {
    const std::vector<std::pair<strategy, std::vector<std::string>>> expected{
        {strategy::naive, {"ok 4 in 1", "ok 4 in 1", "ok 4 in 1"}},
        {strategy::lua, {"ok 4 in 1", "ok 3 in 1", "ok 2 in 1"}},
        {strategy::lock, {"ok 4 in 1", "ok 3 in 2", "ok 2 in 3"}},
        {strategy::watch, {"ok 4 in 1", "ok 3 in 2", "ok 2 in 3"}},
    };
    for (const auto& [how, outcomes] : expected) {
        memory::driver on;
        memory::test_account account(on);
        account.init(5);
        race_settings asked;
        asked.strategy = how;
        asked.account = account.keys();
        asked.buyers = 3;
        auto made = stepper::make(asked, [&](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
            wire::options settings;
            settings.scheme = wire::scheme::memory;
            settings.max_connections = 4;
            return memory::memory_backend::make(loop, on.home(), settings);
        });
        ASSERT_TRUE(made);
        EXPECT_EQ(in_turns(**made, 3), outcomes) << to_string(how);
        EXPECT_EQ(**account.balance(), how == strategy::naive ? 4 : 2);
    }
}

}  // namespace
}  // namespace redislock::load
