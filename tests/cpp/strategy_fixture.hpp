// A strategy under test: it runs on the fake engine, and the test plays the server.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "accounts/ledger.hpp"
#include "accounts/withdraw.hpp"
#include "fake_engine.hpp"

namespace redislock::accounts {

class strategy_run final : public engine::operation_of<receipt> {
public:
    using maker = accounts::outcome (*)(engine::context&, const settings&, const change&);
    strategy_run(maker how, settings rules, change asked)
        : operation_of(5 * second), how_(how), rules_(rules), asked_(std::move(asked)) {}

    /// "ok 97", "=insufficient 2 (2 attempts)" or "code: message".
    std::string told() {
        if (!finished()) return "still running";
        if (!outcome())
            return std::string(to_string(outcome().error().code)) + ": " + outcome().error().message;
        const receipt& got = *outcome();
        std::string text = got.replayed ? "=" : "";
        text += to_string(got.status);
        if (got.balance) text += " " + std::to_string(*got.balance);
        if (got.attempts != 1) text += " (" + std::to_string(got.attempts) + " attempts)";
        return text;
    }
    std::string code() { return told().substr(0, told().find(':')); }

private:
    engine::task<result<receipt>> body(engine::context& with) override {
        auto ended = co_await how_(with, rules_, asked_);
        co_return settle(with, std::move(ended));
    }

    maker how_;
    settings rules_;
    change asked_;
};

struct strategy_test : testing::Test {
    engine::fake_reactor on;
    settings rules;

    static change make_change(std::string idempotency_key = {}, amount value = 3) {
        change made;
        made.keys = *key_scheme::make("p", "")->keys_of("a");
        made.amount = value;
        made.idempotency_key = std::move(idempotency_key);
        return made;
    }
    std::shared_ptr<strategy_run> run(strategy_run::maker how, change asked = make_change()) const {
        return on.submit<strategy_run>(how, rules, std::move(asked));
    }
    /// Answers the oldest unit on the shared connection, or on the newest lane.
    void answer(std::vector<wire::reply> replies) const {
        on.shared().answer(std::move(replies));
        on.settle();
    }
    engine::fake_channel& lane() const { return *on.server->exclusive.back(); }
    void answer_lane(std::vector<wire::reply> replies) const {
        lane().answer(std::move(replies));
        on.settle();
    }
    engine::resend policy() const { return on.shared().sent.front()->request.policy; }
};

}  // namespace redislock::accounts
