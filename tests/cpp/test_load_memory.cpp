// The load generator against memory://: real conflicts, real locks, and books that hold.
#include <gtest/gtest.h>

#include <string>

#include "load/generator.hpp"
#include "memory/memory_backend.hpp"

namespace redislock::load {
namespace {

constexpr amount start_balance = 1'000'000'000;

class load_memory : public testing::TestWithParam<strategy> {
protected:
    // Reads a balance, after setting it where asked to.
    class look final : public engine::operation_of<std::optional<amount>> {
    public:
        look(account_keys keys, bool open) : operation_of(second), keys_(std::move(keys)), open_(open) {}

    private:
        engine::task<result<std::optional<amount>>> body(engine::context& with) override {
            auto slot = with.make_slot();
            slot->request.policy = engine::resend::read;
            if (open_) slot->request.commands.add("SET", keys_.balance, start_balance);
            slot->request.commands.add("GET", keys_.balance);
            auto said = co_await with.send(std::move(slot));
            if (!said) co_return std::move(said.error());
            co_return parse_canonical((*said)[said->size() - 1].text);
        }

        account_keys keys_;
        bool open_;
    };

    amount balance(const account_keys& keys, bool open = false) const {
        auto reactor = *engine::reactor::make(factory());
        auto asked = std::make_shared<look>(keys, open);
        reactor->submit(asked);
        while (reactor->in_flight() > 0) reactor->pump(millisecond);
        return (*asked->outcome()).value();
    }

    engine::backend_factory factory() const {
        return [home = home_](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
            wire::options settings;
            settings.scheme = wire::scheme::memory;
            return memory::memory_backend::make(loop, home, settings);
        };
    }

    settings make_settings(std::size_t accounts) const {
        settings asked;
        asked.strategy = GetParam();
        const auto scheme = key_scheme::make("load", "");
        for (std::size_t i = 1; i <= accounts; ++i)
            asked.accounts.push_back(*scheme->keys_of(std::to_string(i)));
        asked.users = 16;
        asked.warmup = 5 * millisecond;
        asked.count = 2000;
        asked.jitter = 2;
        asked.keys = distribution::zipf;
        return asked;
    }

    std::shared_ptr<memory::server> home_ = memory::server::named("");
};

TEST_P(load_memory, keeps_the_books_of_a_contended_run) {
    const auto asked = make_settings(3);
    for (const auto& each : asked.accounts) EXPECT_EQ(balance(each, true), start_balance);
    auto load = *generator::make(asked, factory());
    while (load->step(50 * millisecond)) {
    }
    const tally& seen = load->seen();
    EXPECT_EQ(seen.operations, 2000U);
    EXPECT_TRUE(seen.faults.empty());
    amount off = 0;
    for (std::size_t i = 0; i < asked.accounts.size(); ++i) {
        EXPECT_GT(seen.money[i].taken.low, 0U);
        off += balance(asked.accounts[i]) + static_cast<amount>(seen.money[i].taken.low) - start_balance;
    }
    if (GetParam() == strategy::naive) {
        EXPECT_GT(off, 0);  // paid out and never deducted
    } else {
        EXPECT_EQ(off, 0);
    }
    if (GetParam() == strategy::watch) {
        EXPECT_GT(seen.attempts, seen.operations);
    }
}

TEST_P(load_memory, ends_in_the_middle_without_leaving_anything_running) {
    auto load = *generator::make(make_settings(1), factory());
    EXPECT_TRUE(load->step(0));
    EXPECT_TRUE(load->step(0));
    load->stop();
    while (load->step(50 * millisecond)) {
    }
    EXPECT_EQ(load->in_flight(), 0U);
    EXPECT_EQ(load->phase(), phase::over);
}

INSTANTIATE_TEST_SUITE_P(every, load_memory, testing::ValuesIn(all_strategies),
                         [](const auto& each) { return std::string(to_string(each.param)); });

}  // namespace
}  // namespace redislock::load
