// Stock on memory://, by a clock that the test moves: what times out when, and what is forgotten.
#include "stock/stock.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "memory_driver.hpp"
#include "memory_fixture.hpp"
#include "stock_fixture.hpp"

namespace redislock::stock {
namespace {

struct stock_clock : testing::Test {
    stock_clock() { memory::reset_time(); }

    std::string set(amount level) {
        return show(on.run<receipt>([&](auto& with) { return stock::set(with, rules, level, false); }));
    }
    std::string take(strategy how, const std::string& id, amount quantity, bool reserves) {
        auto asked = make_order(rules, reserves);
        asked.id = id;
        asked.record = rules.keys.record(id);
        asked.quantity = quantity;
        auto maker = &order_lua;
        if (how == strategy::lock) maker = &order_lock;
        if (how == strategy::watch) maker = &order_watch;
        return show(on.run<receipt>([&](auto& with) { return maker(with, rules, asked); }));
    }
    std::string end(outcome (*how)(engine::context&, const settings&, const reservation&),
                    const std::string& id) {
        const reservation asked{id, rules.keys.record(id), "fedcba9876543210"};
        return show(on.run<receipt>([&](auto& with) { return how(with, rules, asked); }));
    }
    std::string level() {
        const auto found = on.run<stock_level>([&](auto& with) { return sweep(with, rules); });
        if (!found->level) return "missing";
        return std::to_string(*found->level) + " after " + std::to_string(found->settled);
    }

    memory::driver on{std::make_shared<memory::server>(memory::fake_clocks)};
    settings rules = make_settings();
};

TEST_F(stock_clock, a_reservation_lasts_to_the_millisecond) {
    set(10);
    EXPECT_EQ(take(strategy::lua, "o1", 3, true), "ok 7 3 reserved");
    memory::advance(30 * second - millisecond);
    EXPECT_EQ(level(), "7 after 0");
    EXPECT_EQ(end(&find, "o1"), "ok 7 3 reserved");
    memory::advance(millisecond);
    EXPECT_EQ(end(&find, "o1"), "ok 7 3 expired") << "though nobody has given it back yet";
    EXPECT_EQ(end(&confirm, "o1"), "missing 7 3 expired");
    EXPECT_EQ(end(&cancel, "o1"), "missing 7 3 expired");
    EXPECT_EQ(level(), "10 after 1");
    EXPECT_EQ(level(), "10 after 0");
    EXPECT_EQ(end(&confirm, "o1"), "missing 7 3 expired");
}

TEST_F(stock_clock, each_strategy_sells_what_has_just_timed_out) {
    for (const auto how : {strategy::lua, strategy::lock, strategy::watch}) {
        const std::string name(to_string(how));
        set(3);
        EXPECT_EQ(take(how, name + "1", 3, true), "ok 0 3 reserved");
        EXPECT_EQ(take(how, name + "2", 1, false), "sold_out 0");
        memory::advance(30 * second);
        EXPECT_EQ(take(how, name + "2", 1, false), "ok 2 1 confirmed") << name;
        EXPECT_EQ(level(), "2 after 0");
    }
}

TEST_F(stock_clock, many_come_back_in_several_calls) {
    set(2500);
    for (int i = 0; i < 2500; ++i) take(strategy::lua, std::to_string(i), 1, true);
    EXPECT_EQ(level(), "0 after 0");
    memory::advance(30 * second);
    EXPECT_EQ(level(), "2500 after 2500");
}

TEST_F(stock_clock, an_id_is_known_for_a_day) {
    set(10);
    EXPECT_EQ(take(strategy::lua, "o1", 3, false), "ok 7 3 confirmed");
    memory::advance(86'399 * second);
    EXPECT_EQ(take(strategy::watch, "o1", 3, false), "ok 7 3 confirmed")
        << "the token is the same: a repetition";
    memory::advance(2 * second);
    EXPECT_EQ(end(&find, "o1"), "missing");
    EXPECT_EQ(take(strategy::watch, "o1", 3, false), "ok 4 3 confirmed");
}

TEST_F(stock_clock, nothing_comes_back_to_a_stock_that_is_gone) {
    set(10);
    EXPECT_EQ(take(strategy::lua, "o1", 3, true), "ok 7 3 reserved");
    memory::test_client by_hand(on.home());
    by_hand("DEL", rules.keys.level);
    memory::advance(31 * second);
    EXPECT_EQ(level(), "missing");
    EXPECT_EQ(by_hand("EXISTS", rules.keys.level), "0");
    EXPECT_EQ(take(strategy::lua, "o2", 1, false), "missing");
}

}  // namespace
}  // namespace redislock::stock
