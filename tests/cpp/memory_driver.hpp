// Runs account operations on memory:// through a real reactor, for tests: one at a time, or many
// users at once.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "accounts/ledger.hpp"
#include "accounts/naive.hpp"
#include "engine/reactor.hpp"
#include "memory/memory_backend.hpp"

namespace redislock::memory {

/// An operation whose coroutine a function makes.
template <class T>
class called_operation final : public engine::operation_of<T> {
public:
    using maker = std::function<engine::task<result<T>>(engine::context&)>;
    called_operation(maker make, nanos timeout) : engine::operation_of<T>(timeout), make_(std::move(make)) {}

private:
    engine::task<result<T>> body(engine::context& with) override { return make_(with); }

    maker make_;
};

class driver {
public:
    explicit driver(std::shared_ptr<server> home = server::named(""), std::uint32_t lanes = 64)
        : home_(std::move(home)) {
        wire::options settings;
        settings.scheme = wire::scheme::memory;
        settings.max_connections = lanes;
        auto made =
            engine::reactor::make([&](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
                return memory_backend::make(loop, home_, settings);
            });
        reactor_ = std::move(*made);
    }

    engine::reactor& reactor() noexcept { return *reactor_; }
    const std::shared_ptr<server>& home() const noexcept { return home_; }

    template <class T>
    std::shared_ptr<called_operation<T>> submit(called_operation<T>::maker make, nanos timeout = 5 * second) {
        auto made = std::make_shared<called_operation<T>>(std::move(make), timeout);
        reactor_->submit(made);
        return made;
    }
    template <class T>
    result<T> run(called_operation<T>::maker make, nanos timeout = 5 * second) {
        auto made = submit<T>(std::move(make), timeout);
        finish_all();
        return made->outcome();
    }
    /// Pumps until nothing is under way.
    void finish_all() {
        while (reactor_->in_flight() > 0) reactor_->pump(1 * second);
        reactor_->take_finished();
    }
    /// A few rounds, without waiting.
    void rounds(int count) {
        for (int i = 0; i < count; ++i) reactor_->pump(0);
    }

private:
    std::shared_ptr<server> home_;
    std::unique_ptr<engine::reactor> reactor_;
};

/// "ok 97", "missing", "=ok 97" for a replay, "-corrupt_balance" for an error.
inline std::string show(const result<accounts::receipt>& ended) {
    if (!ended) return "-" + std::string(to_string(ended.error().code));
    std::string text = ended->replayed ? "=" : "";
    text += to_string(ended->status);
    if (ended->balance) text += " " + std::to_string(*ended->balance);
    return text;
}

/// One account of such a server, and what is asked of it. Outcomes read like text.
class test_account {
public:
    explicit test_account(driver& on, std::string_view user = "ann")
        : on_(on), keys_(*key_scheme::make("t", "")->keys_of(user)) {}

    accounts::settings rules;
    const account_keys& keys() const noexcept { return keys_; }

    accounts::change change(amount value, std::string id = {}) const { return {keys_, value, std::move(id)}; }

    std::string init(amount balance, bool if_missing = false) {
        const auto asked = change(balance);
        return show(
            on_.run<accounts::receipt>([&](auto& with) { return accounts::init(with, asked, if_missing); }));
    }
    std::string withdraw(strategy how, amount value, const std::string& id = {}) {
        return show(withdrawal(how, value, id));
    }
    result<accounts::receipt> withdrawal(strategy how, amount value, const std::string& id = {}) {
        const auto asked = change(value, id);
        return on_.run<accounts::receipt>(
            [&](auto& with) { return accounts::withdraw(how, with, rules, asked); });
    }
    std::string deposit(amount value, const std::string& id = {}) {
        const auto asked = change(value, id);
        return show(
            on_.run<accounts::receipt>([&](auto& with) { return accounts::deposit(with, rules, asked); }));
    }
    std::string deposit_naive(amount value) {
        const auto asked = change(value);
        return show(on_.run<accounts::receipt>(
            [&](auto& with) { return accounts::deposit_naive(with, rules, asked); }));
    }
    std::string remove() {
        return show(on_.run<accounts::receipt>([&](auto& with) { return accounts::remove(with, keys_); }));
    }
    result<std::optional<amount>> balance() {
        return on_.run<std::optional<amount>>([&](auto& with) { return accounts::balance(with, keys_); });
    }
    result<std::vector<accounts::history_entry>> history(std::uint32_t limit = 1000) {
        return on_.run<std::vector<accounts::history_entry>>(
            [&](auto& with) { return accounts::history(with, keys_, limit); });
    }
    result<std::optional<accounts::receipt>> recorded(const std::string& id) {
        return on_.run<std::optional<accounts::receipt>>(
            [&](auto& with) { return accounts::recorded(with, keys_, id); });
    }

private:
    driver& on_;
    account_keys keys_;
};

}  // namespace redislock::memory
