// _core.Coordination: makes operations on entities, rate limits and what is done once. Checks every argument
// before an operation exists, so that what is refused has sent nothing.
#include <pybind11/stl.h>

#include <algorithm>
#include <utility>

#include "bindings/bindings.hpp"
#include "coordination/entity.hpp"
#include "coordination/once.hpp"
#include "coordination/rate_limit.hpp"
#include "types/random.hpp"

namespace redislock::bindings {
namespace {

using coordination::condition;
using coordination::entity_write;
using coordination::once_record;
using coordination::once_store;
using coordination::rate;
using coordination::rate_question;
using coordination::verdict;
using coordination::versioned;
using coordination::written;
using engine::context;
using engine::task;

py::object bytes_or_none(const std::optional<std::string>& from) {
    if (!from) return py::none();
    return py::bytes(*from);
}

py::object to_python(bool yes) { return py::bool_(yes); }
// A list of the value, empty where there is none.
py::object to_python(const std::optional<once_record>& found) {
    if (!found) return py::none();
    py::list held;
    if (found->value) held.append(py::bytes(*found->value));
    return held;
}
py::object to_python(const done& /*nothing*/) { return py::none(); }
py::object to_python(const versioned& found) {
    return py::make_tuple(bytes_or_none(found.value), found.etag);
}
// What was put has an etag, of what was deleted it is told whether it existed; a mismatch is a tuple.
py::object to_python(const written& ended) {
    if (!ended.applied) return to_python(ended.latest);
    if (ended.latest.etag) return py::str(*ended.latest.etag);
    return py::bool_(ended.existed);
}
py::object to_python(const verdict& said) {
    return py::make_tuple(said.allowed, said.remaining, said.retry_after_us, said.reset_after_us,
                          said.wait_us, said.time_us);
}

// Owns what its coroutine refers to.
template <class T, class Asked>
class question final : public engine::operation_of<T, request> {
public:
    using maker = task<result<T>> (*)(context&, const Asked&);
    question(nanos timeout, maker how, Asked asked)
        : engine::operation_of<T, request>(timeout), how_(how), asked_(std::move(asked)) {}
    py::object deliver() final { return to_python(unwrap(std::move(this->outcome()))); }

private:
    task<result<T>> body(context& with) override { return how_(with, asked_); }
    maker how_;
    Asked asked_;
};

template <class T, class Asked>
request_ptr make(nanos timeout, task<result<T>> (*how)(context&, const Asked&), Asked asked) {
    return std::make_shared<question<T, Asked>>(timeout, how, std::move(asked));
}

task<result<done>> pause(context& with, const nanos& duration) { co_return co_await with.sleep(duration); }

// ---- arguments

std::string bytes_of(const py::object& given) {
    char* start = nullptr;
    py::ssize_t size = 0;
    if (PyBytes_AsStringAndSize(given.ptr(), &start, &size) != 0) throw py::error_already_set();
    return {start, static_cast<std::size_t>(size)};
}

std::string to_key(const py::object& given) {
    if (PyUnicode_Check(given.ptr()) == 0 && PyBytes_Check(given.ptr()) == 0) {
        throw py::type_error("key must be a str or bytes, not " +
                             std::string(py::str(py::type::handle_of(given).attr("__name__"))));
    }
    auto key = PyBytes_Check(given.ptr()) != 0 ? bytes_of(given) : to_text(given, "key");
    if (key.empty()) throw py::value_error("key must not be empty");
    return key;
}

condition to_condition(bool conditional, const py::object& if_match) {
    if (!conditional) return {};
    if (if_match.is_none()) return {condition::kind::nothing, {}};
    return {condition::kind::this_etag, to_text(if_match, "if_match")};
}

nanos to_ttl(const py::object& given) {
    if (given.is_none()) return 0;
    const nanos ttl = to_nanos(given, "ttl", false);
    if (ttl < millisecond) throw py::value_error("ttl must be at least 0.001 seconds");
    return ttl;
}

constexpr amount largest_count = 1'000'000'000;

amount to_number(const py::object& given, const char* name, amount least) {
    const amount value = to_amount(given, name, least, "an int");
    if (value > largest_count) throw py::value_error(std::string(name) + " must be at most 1000000000");
    return value;
}

rate make_rate(const py::object& count, const py::object& per, const py::object& burst) {
    const amount in_one_period = to_number(count, "rate", 1);
    const nanos period = to_nanos(per, "per", false);
    if (period < microsecond) throw py::value_error("per must be at least 0.000001 seconds");
    const amount more = burst.is_none() ? in_one_period - 1 : to_number(burst, "burst", 0);
    return unwrap(rate::make(in_one_period, period, more));
}

// ---- the factory

class coordination_factory {
public:
    explicit coordination_factory(const address& where) : timeout_(where.settings.timeout) {}

    request_ptr entity_get(const py::object& key, const py::object& timeout) const {
        return make(timeout_of(timeout), &coordination::read_entity, to_key(key));
    }

    request_ptr entity_put(const py::object& key, const py::object& value, bool conditional,
                           const py::object& if_match, const py::object& ttl,
                           const py::object& timeout) const {
        auto asked = make_write(key, conditional, if_match, timeout);
        asked.value = bytes_of(value);
        asked.ttl = to_ttl(ttl);
        return make(timeout_of(timeout), &coordination::write_entity, std::move(asked));
    }

    request_ptr entity_delete(const py::object& key, bool conditional, const py::object& if_match,
                              const py::object& timeout) const {
        auto asked = make_write(key, conditional, if_match, timeout);
        asked.deletes = true;
        return make(timeout_of(timeout), &coordination::write_entity, std::move(asked));
    }

    request_ptr rate_ask(const py::object& key, const rate& limit, const py::object& cost,
                         const py::object& wait, bool looks, const py::object& timeout) const {
        rate_question asked{to_key(key), limit, to_number(cost, "cost", 1), coordination::any_wait_us, looks};
        if (asked.cost > limit.burst() + 1) {
            throw py::value_error("cost must be at most burst + 1, here " +
                                  std::to_string(limit.burst() + 1) + "; more would never be allowed");
        }
        if (!wait.is_none()) asked.patience_us = to_nanos(wait, "wait", true) / microsecond;
        return make(timeout_of(timeout), &coordination::ask_rate, std::move(asked));
    }

    request_ptr rate_reset(const py::object& key, const py::object& timeout) const {
        return make(timeout_of(timeout), &coordination::reset_rate, to_key(key));
    }

    request_ptr once_get(const py::object& key, const py::object& timeout) const {
        return make(timeout_of(timeout), &coordination::read_once, to_key(key));
    }

    request_ptr once_put(const py::object& key, const py::object& value, const py::bytes& token,
                         std::int64_t fence, const py::object& ttl, const py::object& timeout) const {
        once_store asked{to_key(key), token, fence, to_ttl(ttl), {}};
        if (!value.is_none()) asked.record.value = bytes_of(value);
        return make(timeout_of(timeout), &coordination::store_once, std::move(asked));
    }

    request_ptr once_forget(const py::object& key, const py::object& timeout) const {
        return make(timeout_of(timeout), &coordination::forget_once, to_key(key));
    }

    static py::bytes once_turn(const py::object& key) { return coordination::turn_of(to_key(key)); }

    static request_ptr sleep(const py::object& seconds) {
        return make(never, &pause, to_nanos(seconds, "seconds", true));
    }

private:
    entity_write make_write(const py::object& key, bool conditional, const py::object& if_match,
                            const py::object& timeout) const {
        entity_write asked;
        asked.key = to_key(key);
        asked.only_if = to_condition(conditional, if_match);
        asked.token = random_token();
        // Longer than any repetition of it may be under way.
        asked.remembered = std::max(60 * second, 2 * timeout_of(timeout));
        return asked;
    }

    nanos timeout_of(const py::object& given) const {
        return given.is_none() ? timeout_ : to_nanos(given, "timeout", false);
    }

    nanos timeout_;
};

}  // namespace

void register_coordination(py::module_& m) {
    const auto none = py::none();
    py::class_<rate>(m, "Rate", py::is_final(), "So many in so much time, and a burst; checked.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init(&make_rate), py::arg("rate"), py::arg("per"), py::arg("burst") = none)
        .def_property_readonly("burst", &rate::burst);
    py::class_<coordination_factory>(
        m, "Coordination", py::is_final(),
        "Makes operations on entities, rate limits and what is done once; does no I/O.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&>(), py::arg("options"))
        .def("entity_get", &coordination_factory::entity_get, py::arg("key"), py::arg("timeout") = none,
             "Answers with value and etag, or twice None.")
        .def("entity_put", &coordination_factory::entity_put, py::arg("key"), py::arg("value"),
             py::arg("conditional") = false, py::arg("if_match") = none, py::arg("ttl") = none,
             py::arg("timeout") = none, "Answers with the etag, or with value and etag of a mismatch.")
        .def("entity_delete", &coordination_factory::entity_delete, py::arg("key"),
             py::arg("conditional") = false, py::arg("if_match") = none, py::arg("timeout") = none,
             "Answers whether there was something, or with value and etag of a mismatch.")
        .def("rate_ask", &coordination_factory::rate_ask, py::arg("key"), py::arg("limit"),
             py::arg("cost") = 1, py::arg("wait") = 0, py::arg("looks") = false, py::arg("timeout") = none,
             "Answers with allowed, remaining, retry_after, reset_after, wait and the server's time, in "
             "microseconds.")
        .def("rate_reset", &coordination_factory::rate_reset, py::arg("key"), py::arg("timeout") = none)
        .def("once_get", &coordination_factory::once_get, py::arg("key"), py::arg("timeout") = none,
             "Answers with None, or with a list of the result's bytes, empty where there are none.")
        .def("once_put", &coordination_factory::once_put, py::arg("key"), py::arg("value"), py::arg("token"),
             py::arg("fence"), py::arg("ttl") = none, py::arg("timeout") = none,
             "Answers whether it was stored; false where somebody newer took over.")
        .def("once_forget", &coordination_factory::once_forget, py::arg("key"), py::arg("timeout") = none,
             "Answers whether there was a record.")
        .def_static("once_turn", &coordination_factory::once_turn, py::arg("key"),
                    "The name of the lock of whose turn it is.")
        .def_static("sleep", &coordination_factory::sleep, py::arg("seconds"));
}

}  // namespace redislock::bindings
