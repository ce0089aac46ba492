// _core.Stock: makes operations on one stock. Checks every argument before an operation exists, so that what
// is refused has sent nothing.
#include "stock/stock.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <utility>

#include "bindings/bindings.hpp"
#include "types/random.hpp"

namespace redislock::bindings {
namespace {

using engine::context;
using engine::task;
using stock::order;
using stock::receipt;
using stock::reservation;
using stock::settings;
using stock::stock_level;

// ---- operations: each owns what its coroutine refers to

template <class Asked>
class receipt_request final : public engine::operation_of<receipt, request> {
public:
    using maker = stock::outcome (*)(context&, const settings&, const Asked&);
    receipt_request(nanos timeout, maker how, settings rules, Asked asked)
        : operation_of(timeout), how_(how), rules_(std::move(rules)), asked_(std::move(asked)) {}
    py::object deliver() override { return py::cast(unwrap(std::move(outcome()))); }

private:
    stock::outcome body(context& with) override {
        auto ended = co_await how_(with, rules_, asked_);
        co_return stock::settle(with, std::move(ended));
    }
    maker how_;
    settings rules_;
    Asked asked_;
};

class find_request final : public engine::operation_of<receipt, request> {
public:
    find_request(nanos timeout, settings rules, reservation asked)
        : operation_of(timeout), rules_(std::move(rules)), asked_(std::move(asked)) {}
    py::object deliver() override {
        auto found = unwrap(std::move(outcome()));
        if (found.verdict == stock::verdict::missing) return py::none();
        return py::cast(std::move(found));
    }

private:
    stock::outcome body(context& with) override {
        auto ended = co_await stock::find(with, rules_, asked_);
        co_return stock::settle(with, std::move(ended));
    }
    settings rules_;
    reservation asked_;
};

class level_request final : public engine::operation_of<stock_level, request> {
public:
    level_request(nanos timeout, settings rules, bool counts)
        : operation_of(timeout), rules_(std::move(rules)), counts_(counts) {}
    py::object deliver() override {
        const auto found = unwrap(std::move(outcome()));
        return counts_ ? py::cast(found.settled) : py::cast(found.level);
    }

private:
    task<result<stock_level>> body(context& with) override { return stock::sweep(with, rules_); }
    settings rules_;
    bool counts_;
};

class backlog_request final : public engine::operation_of<std::uint64_t, request> {
public:
    backlog_request(nanos timeout, settings rules) : operation_of(timeout), rules_(std::move(rules)) {}
    py::object deliver() override { return py::cast(unwrap(std::move(outcome()))); }

private:
    task<result<std::uint64_t>> body(context& with) override { return stock::backlog(with, rules_); }
    settings rules_;
};

// ---- arguments

constexpr std::size_t max_id_length = 1024;
constexpr std::size_t token_length = 16;  // among requests of one order id, 64 random bits are enough

std::string to_name(const py::object& given, const char* name) {
    auto text = to_user(given, name);
    if (text.empty()) throw py::value_error(std::string(name) + " must not be empty");
    if (text.size() > max_id_length) {
        throw py::value_error(std::string(name) + " must be at most 1024 bytes long");
    }
    return text;
}

amount to_count(const py::object& given, const char* name, amount least) {
    const amount value = to_amount(given, name, least, "an int");
    if (value > stock::max_level) throw py::value_error(std::string(name) + " must be at most 10^15-1");
    return value;
}

std::string make_token() { return random_token().substr(0, token_length); }

receipt_request<order>::maker maker_of(strategy how) noexcept {
    switch (how) {
        case strategy::lock: return &stock::order_lock;
        case strategy::watch: return &stock::order_watch;
        case strategy::naive: return &stock::order_naive;
        case strategy::lua: break;
    }
    return &stock::order_lua;
}

// ---- the factory

class stock_factory {
public:
    stock_factory(const address& where, const py::object& sku, const py::object& hold, bool outbox,
                  const py::object& backlog, const py::object& prefix, const py::object& idempotency_ttl,
                  const py::object& max_retries, const py::object& lock_wait, const py::object& lock_lease)
        : timeout_(where.settings.timeout) {
        rules_.sku = to_name(sku, "sku");
        rules_.keys = unwrap(unwrap(key_scheme::make(to_text(prefix, "prefix"), {})).stock_of(rules_.sku));
        rules_.hold = to_nanos(hold, "hold", false);
        if (rules_.hold < millisecond) throw py::value_error("hold must be at least 0.001 seconds");
        rules_.outbox = outbox;
        if (!backlog.is_none()) {
            if (!outbox) throw py::value_error("backlog bounds the outbox, which outbox=False leaves out");
            rules_.backlog = static_cast<std::uint64_t>(to_count(backlog, "backlog", 1));
        }
        // Whoever holds a reservation must find it recorded.
        rules_.remembered =
            std::max(to_nanos(idempotency_ttl, "idempotency_ttl", false), rules_.hold * 2 + 60 * second);
        rules_.max_retries = static_cast<std::uint32_t>(to_amount(max_retries, "max_retries", 0, "an int"));
        rules_.lock_wait = to_nanos(lock_wait, "lock_wait", true);
        rules_.lock_lease = to_nanos(lock_lease, "lock_lease", false);
    }

    request_ptr set(const py::object& level, bool if_missing, const py::object& timeout) const {
        using asked = std::pair<amount, bool>;
        return std::make_shared<receipt_request<asked>>(
            timeout_of(timeout),
            [](context& with, const settings& rules, const asked& what) {
                return stock::set(with, rules, what.first, what.second);
            },
            rules_, asked{to_count(level, "level", 0), if_missing});
    }

    request_ptr level(const py::object& timeout) const {
        return std::make_shared<level_request>(timeout_of(timeout), rules_, false);
    }

    request_ptr sweep(const py::object& timeout) const {
        return std::make_shared<level_request>(timeout_of(timeout), rules_, true);
    }

    request_ptr backlog(const py::object& timeout) const {
        return std::make_shared<backlog_request>(timeout_of(timeout), rules_);
    }

    request_ptr take(const py::object& strategy, bool reserves, const py::object& quantity,
                     const py::object& order_id, const py::object& user, const py::object& limit,
                     const py::object& timeout) const {
        const auto how = maker_of(to_strategy(strategy));
        order asked;
        asked.quantity = to_count(quantity, "qty", 1);
        asked.id = to_name(order_id, "order_id");
        asked.record = rules_.keys.record(asked.id);
        asked.reserves = reserves;
        if (!user.is_none()) asked.user = to_name(user, "user");
        if (!limit.is_none()) {
            if (asked.user.empty()) throw py::value_error("limit needs a user whose orders it counts");
            asked.limit = to_count(limit, "limit", 1);
        }
        asked.token = make_token();
        return std::make_shared<receipt_request<order>>(bounded(timeout), how, rules_, std::move(asked));
    }

    request_ptr confirm(const py::object& order_id, const py::object& timeout) const {
        return make(&stock::confirm, order_id, timeout);
    }

    request_ptr cancel(const py::object& order_id, const py::object& timeout) const {
        return make(&stock::cancel, order_id, timeout);
    }

    request_ptr find(const py::object& order_id, const py::object& timeout) const {
        return std::make_shared<find_request>(timeout_of(timeout), rules_, reservation_of(order_id));
    }

    py::dict keys() const {
        py::dict out;
        out["level"] = rules_.keys.level;
        out["holds"] = rules_.keys.holds;
        out["buyers"] = rules_.keys.buyers;
        out["outbox"] = rules_.keys.outbox;
        out["lock"] = rules_.keys.lock;
        out["orders"] = rules_.keys.orders;
        return out;
    }

    const std::string& sku() const noexcept { return rules_.sku; }

private:
    reservation reservation_of(const py::object& order_id) const {
        auto id = to_name(order_id, "order_id");
        auto record = rules_.keys.record(id);
        return {std::move(id), std::move(record), make_token()};
    }

    request_ptr make(receipt_request<reservation>::maker how, const py::object& order_id,
                     const py::object& timeout) const {
        return std::make_shared<receipt_request<reservation>>(bounded(timeout), how, rules_,
                                                              reservation_of(order_id));
    }

    nanos timeout_of(const py::object& given) const {
        return given.is_none() ? timeout_ : to_nanos(given, "timeout", false);
    }

    // Repeating a request whose record has expired would apply it twice.
    nanos bounded(const py::object& given) const {
        return std::min(timeout_of(given), rules_.remembered / 2);
    }

    nanos timeout_;
    settings rules_;
};

}  // namespace

void register_stock(py::module_& m) {
    const auto none = py::none();
    py::class_<stock_factory>(m, "Stock", py::is_final(), "Makes operations on one stock; does no I/O.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&, const py::object&, const py::object&, bool, const py::object&,
                      const py::object&, const py::object&, const py::object&, const py::object&,
                      const py::object&>(),
             py::arg("options"), py::arg("sku"), py::arg("hold") = 30.0, py::arg("outbox") = true,
             py::arg("backlog") = none, py::arg("prefix") = "redislock", py::arg("idempotency_ttl") = 86400.0,
             py::arg("max_retries") = 10, py::arg("lock_wait") = 1.0, py::arg("lock_lease") = 5.0)
        .def("set", &stock_factory::set, py::arg("level"), py::arg("if_missing") = false,
             py::arg("timeout") = none)
        .def("level", &stock_factory::level, py::arg("timeout") = none, "Answers with the level or None.")
        .def("sweep", &stock_factory::sweep, py::arg("timeout") = none,
             "Answers with how many reservations timed out.")
        .def("backlog", &stock_factory::backlog, py::arg("timeout") = none,
             "Answers with how many orders wait in the outbox.")
        .def("take", &stock_factory::take, py::arg("strategy"), py::arg("reserves"), py::arg("qty"),
             py::arg("order_id"), py::arg("user") = none, py::arg("limit") = none, py::arg("timeout") = none)
        .def("confirm", &stock_factory::confirm, py::arg("order_id"), py::arg("timeout") = none)
        .def("cancel", &stock_factory::cancel, py::arg("order_id"), py::arg("timeout") = none)
        .def("find", &stock_factory::find, py::arg("order_id"), py::arg("timeout") = none,
             "Answers with what became of the order, or None.")
        .def("keys", &stock_factory::keys)
        .def_property_readonly("sku", &stock_factory::sku);
}

}  // namespace redislock::bindings
