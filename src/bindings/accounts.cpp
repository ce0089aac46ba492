// _core.Accounts: makes operations. Checks every argument before an operation exists, so that what
// is refused has sent nothing.
#include <pybind11/stl.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "accounts/ledger.hpp"
#include "accounts/naive.hpp"
#include "accounts/withdraw.hpp"
#include "bindings/bindings.hpp"

namespace redislock::bindings {
namespace {

using accounts::change;
using accounts::settings;
using engine::context;
using engine::task;

py::object to_python(const accounts::receipt& value) { return py::cast(value); }
py::object to_python(accounts::health_report&& value) { return py::cast(std::move(value)); }
py::object to_python(const std::optional<amount>& value) { return py::cast(value); }
py::object to_python(std::vector<accounts::history_entry>&& value) { return py::cast(std::move(value)); }
py::object to_python(const std::optional<accounts::receipt>& value) {
    if (!value) return py::none();
    return py::cast(*value);
}

template <class T>
class request_for : public engine::operation_of<T, request> {
public:
    using engine::operation_of<T, request>::operation_of;
    py::object deliver() final { return to_python(unwrap(std::move(this->outcome()))); }
};

// ---- operations: each owns what its coroutine refers to

class change_request final : public request_for<accounts::receipt> {
public:
    using maker = accounts::outcome (*)(context&, const settings&, const change&);
    change_request(nanos timeout, maker how, settings rules, change asked)
        : request_for(timeout), how_(how), rules_(rules), asked_(std::move(asked)) {}

private:
    accounts::outcome body(context& with) override {
        auto ended = co_await how_(with, rules_, asked_);
        co_return accounts::settle(with, std::move(ended));
    }
    maker how_;
    settings rules_;
    change asked_;
};

class balance_request final : public request_for<std::optional<amount>> {
public:
    balance_request(nanos timeout, account_keys keys) : request_for(timeout), keys_(std::move(keys)) {}

private:
    task<result<std::optional<amount>>> body(context& with) override {
        return accounts::balance(with, keys_);
    }
    account_keys keys_;
};

class history_request final : public request_for<std::vector<accounts::history_entry>> {
public:
    history_request(nanos timeout, account_keys keys, std::uint32_t limit)
        : request_for(timeout), keys_(std::move(keys)), limit_(limit) {}

private:
    task<result<std::vector<accounts::history_entry>>> body(context& with) override {
        return accounts::history(with, keys_, limit_);
    }
    account_keys keys_;
    std::uint32_t limit_;
};

class outcome_request final : public request_for<std::optional<accounts::receipt>> {
public:
    outcome_request(nanos timeout, account_keys keys, std::string key)
        : request_for(timeout), keys_(std::move(keys)), key_(std::move(key)) {}

private:
    task<result<std::optional<accounts::receipt>>> body(context& with) override {
        return accounts::recorded(with, keys_, key_);
    }
    account_keys keys_;
    std::string key_;
};

class health_request final : public request_for<accounts::health_report> {
public:
    using request_for::request_for;

private:
    task<result<accounts::health_report>> body(context& with) override { return accounts::health(with); }
};

constexpr std::uint32_t largest_history = 1'000'000;

std::uint32_t to_count(const py::object& given, const char* name, std::uint32_t most) {
    const amount value = to_amount(given, name, 0, "an int");
    if (value > most) throw py::value_error(std::string(name) + " must be at most " + std::to_string(most));
    return static_cast<std::uint32_t>(value);
}

// ---- the factory

class accounts_factory {
public:
    accounts_factory(const address& where, const py::object& prefix, const py::object& balance_key,
                     const py::object& history_limit, const py::object& idempotency_ttl,
                     const py::object& max_retries, const py::object& lock_wait, const py::object& lock_lease)
        : timeout_(where.settings.timeout),
          scheme_(unwrap(key_scheme::make(to_text(prefix, "prefix"), to_text(balance_key, "balance_key")))) {
        rules_.history_limit = to_count(history_limit, "history_limit", largest_history);
        rules_.idempotency_ttl = to_nanos(idempotency_ttl, "idempotency_ttl", false);
        if (rules_.idempotency_ttl < second)
            throw py::value_error("idempotency_ttl must be at least 1 second");
        rules_ = with_overrides(max_retries, lock_wait, lock_lease);
    }

    request_ptr withdraw(const py::object& strategy, const py::object& user, const py::object& amount,
                         const py::object& idempotency_key, const py::object& max_retries,
                         const py::object& lock_wait, const py::object& lock_lease,
                         const py::object& timeout) const {
        const auto how = to_strategy(strategy);
        auto asked = make_change(user, amount, idempotency_key);
        if (how == redislock::strategy::naive && !asked.idempotency_key.empty()) {
            throw py::value_error(
                "idempotency_key does not go with the naive strategy, which cannot keep the promise");
        }
        return make(maker_of(how), with_overrides(max_retries, lock_wait, lock_lease), std::move(asked),
                    timeout);
    }

    request_ptr deposit(const py::object& user, const py::object& amount, const py::object& idempotency_key,
                        const py::object& timeout) const {
        return make(&accounts::deposit, rules_, make_change(user, amount, idempotency_key), timeout);
    }

    request_ptr deposit_naive(const py::object& user, const py::object& amount,
                              const py::object& timeout) const {
        return make(&accounts::deposit_naive, rules_, make_change(user, amount, py::none()), timeout);
    }

    request_ptr init(const py::object& user, const py::object& balance, bool if_missing,
                     const py::object& timeout) const {
        change asked;
        asked.keys = keys_of(user);
        asked.amount = to_amount(balance, "balance", 0);
        change_request::maker how = [](context& with, const settings&, const change& what) {
            return accounts::init(with, what, false);
        };
        if (if_missing) {
            how = [](context& with, const settings&, const change& what) {
                return accounts::init(with, what, true);
            };
        }
        return make(how, rules_, std::move(asked), timeout);
    }

    request_ptr remove(const py::object& user, const py::object& timeout) const {
        change asked;
        asked.keys = keys_of(user);
        return make([](context& with, const settings&,
                       const change& what) { return accounts::remove(with, what.keys); },
                    rules_, std::move(asked), timeout);
    }

    request_ptr balance(const py::object& user, const py::object& timeout) const {
        return std::make_shared<balance_request>(timeout_of(timeout), keys_of(user));
    }

    request_ptr history(const py::object& user, const py::object& limit, const py::object& timeout) const {
        const auto most = limit.is_none() ? rules_.history_limit : to_count(limit, "limit", largest_history);
        return std::make_shared<history_request>(timeout_of(timeout), keys_of(user), most);
    }

    request_ptr outcome(const py::object& user, const py::object& idempotency_key,
                        const py::object& timeout) const {
        if (idempotency_key.is_none()) throw py::type_error("idempotency_key must be a str, not NoneType");
        return std::make_shared<outcome_request>(timeout_of(timeout), keys_of(user),
                                                 to_idempotency_key(idempotency_key));
    }

    request_ptr health(const py::object& timeout) const {
        return std::make_shared<health_request>(timeout_of(timeout));
    }

    py::dict keys(const py::object& user) const {
        const auto found = keys_of(user);
        py::dict out;
        out["balance"] = found.balance;
        out["history"] = found.history;
        out["lock"] = found.lock;
        out["once"] = found.once;
        return out;
    }

    const settings& rules() const noexcept { return rules_; }

private:
    static change_request::maker maker_of(redislock::strategy how) noexcept {
        switch (how) {
            case redislock::strategy::lock: return &accounts::withdraw_lock;
            case redislock::strategy::watch: return &accounts::withdraw_watch;
            case redislock::strategy::naive: return &accounts::withdraw_naive;
            case redislock::strategy::lua: break;
        }
        return &accounts::withdraw_lua;
    }

    request_ptr make(change_request::maker how, const settings& rules, change asked,
                     const py::object& timeout) const {
        nanos total = timeout_of(timeout);
        // Repeating a request whose record has expired would apply it twice.
        if (!asked.idempotency_key.empty()) total = std::min(total, rules.idempotency_ttl / 2);
        return std::make_shared<change_request>(total, how, rules, std::move(asked));
    }

    account_keys keys_of(const py::object& user) const { return unwrap(scheme_.keys_of(to_user(user))); }

    change make_change(const py::object& user, const py::object& value, const py::object& key) const {
        change asked;
        asked.keys = keys_of(user);
        asked.amount = to_amount(value, "amount", 1);
        asked.idempotency_key = to_idempotency_key(key);
        return asked;
    }

    nanos timeout_of(const py::object& given) const {
        return given.is_none() ? timeout_ : to_nanos(given, "timeout", false);
    }

    settings with_overrides(const py::object& max_retries, const py::object& lock_wait,
                            const py::object& lock_lease) const {
        settings rules = rules_;
        if (!max_retries.is_none()) rules.max_retries = to_count(max_retries, "max_retries", 1'000'000);
        if (!lock_wait.is_none()) rules.lock_wait = to_nanos(lock_wait, "lock_wait", true);
        if (!lock_lease.is_none()) {
            rules.lock_lease = to_nanos(lock_lease, "lock_lease", false);
            if (rules.lock_lease < millisecond)
                throw py::value_error("lock_lease must be at least 0.001 seconds");
        }
        return rules;
    }

    nanos timeout_;
    key_scheme scheme_;
    settings rules_;
};

}  // namespace

void register_accounts(py::module_& m) {
    m.attr("Operation") = operation_type();
    const auto none = py::none();
    py::class_<accounts_factory>(m, "Accounts", py::is_final(), "Makes operations on accounts; does no I/O.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&, const py::object&, const py::object&, const py::object&,
                      const py::object&, const py::object&, const py::object&, const py::object&>(),
             py::arg("options"), py::arg("prefix") = "redislock", py::arg("balance_key") = "",
             py::arg("history_limit") = 1000, py::arg("idempotency_ttl") = 86400.0,
             py::arg("max_retries") = 10, py::arg("lock_wait") = 1.0, py::arg("lock_lease") = 5.0)
        .def("withdraw", &accounts_factory::withdraw, py::arg("strategy"), py::arg("user"), py::arg("amount"),
             py::arg("idempotency_key") = none, py::arg("max_retries") = none, py::arg("lock_wait") = none,
             py::arg("lock_lease") = none, py::arg("timeout") = none)
        .def("deposit", &accounts_factory::deposit, py::arg("user"), py::arg("amount"),
             py::arg("idempotency_key") = none, py::arg("timeout") = none)
        .def("deposit_naive", &accounts_factory::deposit_naive, py::arg("user"), py::arg("amount"),
             py::arg("timeout") = none)
        .def("init", &accounts_factory::init, py::arg("user"), py::arg("balance"),
             py::arg("if_missing") = false, py::arg("timeout") = none)
        .def("delete", &accounts_factory::remove, py::arg("user"), py::arg("timeout") = none)
        .def("balance", &accounts_factory::balance, py::arg("user"), py::arg("timeout") = none)
        .def("history", &accounts_factory::history, py::arg("user"), py::arg("limit") = none,
             py::arg("timeout") = none)
        .def("outcome", &accounts_factory::outcome, py::arg("user"), py::arg("idempotency_key"),
             py::arg("timeout") = none)
        .def("health", &accounts_factory::health, py::arg("timeout") = none)
        .def("keys", &accounts_factory::keys, py::arg("user"));
}

}  // namespace redislock::bindings
