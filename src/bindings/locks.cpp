// _core.Locks: makes operations on locks. Checks every argument before an operation exists.
#include <pybind11/stl.h>

#include <atomic>
#include <sstream>
#include <utility>

#include "bindings/bindings.hpp"
#include "bindings/hold.hpp"
#include "bindings/local_mutex.hpp"
#include "bindings/without_gil.hpp"
#include "locks/acquire.hpp"
#include "locks/holding.hpp"
#include "locks/identity.hpp"
#include "locks/listing.hpp"
#include "memory/local_mutexes.hpp"

namespace redislock::bindings {
namespace {

using namespace py::literals;

using engine::context;
using engine::task;
using locks::target;
using locks::terms;

using target_ptr = std::shared_ptr<const target>;

// ---- operations: each owns what its coroutine refers to

[[noreturn]] void raise_deadlock(const std::vector<locks::party>& cycle) {
    std::string text = "waiting would never end: ";
    py::list parties;
    for (std::size_t i = 0; i < cycle.size(); ++i) {
        const auto& each = cycle[i];
        text += (i > 0 ? ", " : "") + each.owner + " waits for '" + each.lock + "'";
        parties.append(py::make_tuple(readable(each.owner), readable(each.lock),
                                      static_cast<double>(each.since_ms) / 1e3));
    }
    const auto type = py::module_::import("redislock._errors").attr("DeadlockError");
    const py::object made = type(readable(text), parties);
    PyErr_SetObject(py::type::handle_of(made).ptr(), made.ptr());
    throw py::error_already_set();
}

class acquire_request final : public engine::operation_of<locks::verdict, request> {
public:
    acquire_request(access_ptr keepers, target_ptr what, terms rules, std::string token)
        : operation_of(rules.round_trip),
          keepers_(std::move(keepers)),
          what_(std::move(what)),
          rules_(std::move(rules)),
          token_(std::move(token)) {}

    // The caller was interrupted just when it had been taken.
    void discard() override {
        if (!outcome() || !outcome()->held) return;
        if (auto station = keepers_->open()) (*station)->give_back(std::move(outcome()->held));
    }

    py::object deliver() override {
        auto ended = unwrap(std::move(outcome()));
        if (!ended.cycle.empty()) raise_deadlock(ended.cycle);
        if (!ended.held) return py::none();
        return py::cast(hold_object(std::move(ended.held), keepers_, true));
    }

private:
    task<result<locks::verdict>> body(context& with) override {
        return locks::acquire(with, *keepers_, what_, rules_, token_);
    }
    access_ptr keepers_;
    target_ptr what_;
    terms rules_;
    std::string token_;
};

class yes_or_no : public engine::operation_of<bool, request> {
public:
    using operation_of::operation_of;
    py::object deliver() override { return py::bool_(unwrap(std::move(outcome()))); }
};

class release_request final : public yes_or_no {
public:
    release_request(nanos timeout, hold_object which) : yes_or_no(timeout), which_(std::move(which)) {}

private:
    task<result<bool>> body(context& with) override {
        return locks::release(with, *which_.keepers, *which_.own);
    }
    hold_object which_;
};

class release_token_request final : public yes_or_no {
public:
    release_token_request(nanos timeout, target what, std::string token)
        : yes_or_no(timeout), what_(std::move(what)), token_(std::move(token)) {}

private:
    task<result<bool>> body(context& with) override { return locks::release(with, what_, token_); }
    target what_;
    std::string token_;
};

class extend_request final : public yes_or_no {
public:
    extend_request(nanos timeout, target what, std::string token, nanos lease, bool adding)
        : yes_or_no(timeout),
          what_(std::move(what)),
          token_(std::move(token)),
          lease_(lease),
          adding_(adding) {}

private:
    task<result<bool>> body(context& with) override {
        return locks::extend(with, what_, token_, lease_, adding_);
    }
    target what_;
    std::string token_;
    nanos lease_;
    bool adding_;
};

class extend_hold_request final : public yes_or_no {
public:
    extend_hold_request(nanos timeout, hold_object which, nanos lease, bool adding)
        : yes_or_no(timeout), which_(std::move(which)), lease_(lease), adding_(adding) {}

private:
    task<result<bool>> body(context& with) override {
        return locks::extend(with, *which_.keepers, *which_.own, lease_, adding_);
    }
    hold_object which_;
    nanos lease_;
    bool adding_;
};

class holder_request final : public engine::operation_of<std::optional<std::string>, request> {
public:
    holder_request(nanos timeout, std::string name) : operation_of(timeout), name_(std::move(name)) {}
    py::object deliver() override {
        const auto found = unwrap(std::move(outcome()));
        return found ? py::object(py::bytes(*found)) : py::none();
    }

private:
    task<result<std::optional<std::string>>> body(context& with) override {
        return locks::holder(with, name_);
    }
    std::string name_;
};

class wait_lost_request final : public yes_or_no {
public:
    wait_lost_request(hold_object which, nanos patience)
        : yes_or_no(never), which_(std::move(which)), patience_(patience) {}

private:
    task<result<bool>> body(context& with) override { return locks::wait_lost(with, which_.own, patience_); }
    hold_object which_;
    nanos patience_;
};

py::object seconds_or_none(std::int64_t milliseconds) {
    if (milliseconds < 0) return py::none();
    return py::float_(static_cast<double>(milliseconds) / 1e3);
}

// A list of dicts, since the command line that prints it is all that reads it.
class list_request final : public engine::operation_of<std::vector<locks::seen_lock>, request> {
public:
    list_request(nanos timeout, std::vector<std::string> names)
        : operation_of(timeout), names_(std::move(names)) {}
    py::object deliver() override {
        py::list out;
        for (const auto& each : unwrap(std::move(outcome()))) {
            py::list holders;
            for (const auto& one : each.holders) {
                holders.append(py::dict("token"_a = py::bytes(one.token), "kind"_a = std::string(1, one.kind),
                                        "fence"_a = one.fence, "left"_a = seconds_or_none(one.left_ms)));
            }
            py::list waiters;
            for (const auto& one : each.waiters) {
                const double since = static_cast<double>(one.since_us) / 1e6;
                waiters.append(py::dict("token"_a = py::bytes(one.token), "kind"_a = std::string(1, one.kind),
                                        "since"_a = since));
            }
            out.append(py::dict("name"_a = py::bytes(each.name),
                                "now"_a = static_cast<double>(each.now_ms) / 1e3, "fence"_a = each.fence,
                                "holders"_a = holders, "waiters"_a = waiters, "waiting"_a = each.waiting));
        }
        return out;
    }

private:
    task<result<std::vector<locks::seen_lock>>> body(context& with) override {
        return locks::list(with, names_);
    }
    std::vector<std::string> names_;
};

// ---- arguments

std::string to_bytes(const py::handle& given, const char* name) {
    if (PyBytes_Check(given.ptr()) != 0) return py::reinterpret_borrow<py::bytes>(given);
    return to_text(py::reinterpret_borrow<py::object>(given), name);
}

locks::kind to_kind(const py::object& given) {
    const auto text = to_text(given, "kind");
    for (const auto each :
         {locks::kind::mutex, locks::kind::permit, locks::kind::reader, locks::kind::writer}) {
        if (text == locks::letter_of(each)) return each;
    }
    throw py::value_error("kind must be 'm', 'p', 'r' or 'w'");
}

target to_target(const py::object& names, const py::object& kind, const py::object& limit = py::int_(1)) {
    std::vector<std::string> all;
    for (const auto& each : py::reinterpret_borrow<py::iterable>(names))
        all.push_back(to_bytes(each, "name"));
    const amount most = to_amount(limit, "limit", 1, "an int");
    if (most > 1'000'000) throw py::value_error("limit must be at most 1000000");
    return unwrap(target::make(all, to_kind(kind), static_cast<std::uint32_t>(most)));
}

bool is_true(const py::object& given) {
    const int truth = PyObject_IsTrue(given.ptr());
    if (truth < 0) throw py::error_already_set();
    return truth != 0;
}

nanos to_lease(const py::object& given, const char* name) {
    const nanos lease = to_nanos(given, name, false);
    if (lease < millisecond) throw py::value_error(std::string(name) + " must be at least 0.001 seconds");
    return lease;
}

std::string server_key(const address& where) {
    const auto& s = where.settings;
    std::ostringstream text;
    const char apart = '\0';
    text << static_cast<int>(s.scheme) << apart << s.host << apart << s.port << apart << s.path << apart
         << s.db << apart << s.username << apart << s.password << apart << s.tls.ca_certs << apart
         << s.tls.ca_path << apart << s.tls.certfile << apart << s.tls.keyfile << apart << s.tls.verify_peer
         << s.tls.check_hostname << apart << static_cast<const void*>(where.memory.get());
    return text.str();
}

// ---- the factory

class locks_factory {
public:
    explicit locks_factory(const address& where)
        : timeout_(where.settings.timeout),
          keepers_(std::make_shared<locks::access>(server_key(where), make_factory(where))),
          client_name_(where.settings.client_name) {
        if (where.memory) local_ = std::make_shared<memory::local_mutexes>(where.memory);
    }

    request_ptr acquire(const py::object& names, const py::object& kind, const py::object& token,
                        const py::object& lease, const py::object& wait, const py::object& limit, bool fair,
                        bool detect, bool renew, const py::object& max_hold, bool watched,
                        const py::object& stored_as, const py::object& timeout) const {
        terms rules;
        if (!lease.is_none()) rules.lease = to_lease(lease, "lease");
        rules.wait = wait.is_none() ? never : to_nanos(wait, "wait", true);
        rules.round_trip = timeout_of(timeout);
        rules.barging = !fair;
        rules.find_deadlocks = detect;
        rules.renew = renew;
        if (!max_hold.is_none()) rules.max_hold = to_nanos(max_hold, "max_hold", false);
        rules.announce = watched;
        if (!stored_as.is_none()) {
            rules.stored_as = to_bytes(stored_as, "token");
            if (rules.stored_as.empty()) throw py::value_error("token must not be empty");
        }
        auto own_token = to_bytes(token, "token");
        if (own_token.empty()) throw py::value_error("token must not be empty");
        auto what = to_target(names, kind, limit);
        if (!rules.stored_as.empty() && what.how != locks::kind::mutex)
            throw py::value_error(
                "token is what a mutex stores: of permits, readers and writers it is made here");
        return std::make_shared<acquire_request>(keepers_, std::make_shared<const target>(std::move(what)),
                                                 std::move(rules), std::move(own_token));
    }

    request_ptr release(const hold_object& which, const py::object& timeout) const {
        return std::make_shared<release_request>(timeout_of(timeout), which);
    }
    request_ptr release_token(const py::object& names, const py::object& kind, const py::object& token,
                              const py::object& timeout) const {
        return std::make_shared<release_token_request>(timeout_of(timeout), to_target(names, kind),
                                                       to_bytes(token, "token"));
    }
    request_ptr extend(const py::object& names, const py::object& kind, const py::object& token,
                       const py::object& seconds, bool add, const py::object& timeout) const {
        return std::make_shared<extend_request>(timeout_of(timeout), to_target(names, kind),
                                                to_bytes(token, "token"),
                                                to_lease(seconds, "additional_time"), add);
    }
    request_ptr extend_hold(const hold_object& which, const py::object& seconds, bool add,
                            const py::object& timeout) const {
        return std::make_shared<extend_hold_request>(timeout_of(timeout), which,
                                                     to_lease(seconds, "additional_time"), add);
    }
    request_ptr holder(const py::object& name, const py::object& timeout) const {
        return std::make_shared<holder_request>(timeout_of(timeout), to_bytes(name, "name"));
    }
    request_ptr list(const py::object& names, const py::object& timeout) const {
        std::vector<std::string> all;
        if (!names.is_none()) {
            for (const auto& each : py::reinterpret_borrow<py::iterable>(names))
                all.push_back(to_bytes(each, "name"));
            if (all.empty()) throw py::value_error("names must hold at least one name, or be None for all");
        }
        return std::make_shared<list_request>(timeout_of(timeout), std::move(all));
    }
    request_ptr wait_lost(const hold_object& which, const py::object& seconds) const {
        const nanos patience = seconds.is_none() ? never : to_nanos(seconds, "timeout", true);
        return std::make_shared<wait_lost_request>(which, patience);
    }
    py::object local_mutex(const py::object& names, const py::object& timeout, const py::object& auto_renew,
                           const py::object& max_hold) const {
        if (!local_) return py::none();
        terms rules;
        if (is_true(timeout)) rules.lease = to_lease(timeout, "lease");
        rules.renew = is_true(auto_renew);
        if (rules.renew && !max_hold.is_none()) rules.max_hold = to_nanos(max_hold, "max_hold", false);
        auto what = std::make_shared<const target>(to_target(names, py::str("m")));
        return wrap({local_, keepers_, std::move(what), std::move(rules), client_name_, closed_, timeout,
                     auto_renew, max_hold});
    }
    void close() const noexcept { closed_->store(true); }

private:
    nanos timeout_of(const py::object& given) const {
        return given.is_none() ? timeout_ : to_nanos(given, "timeout", false);
    }

    nanos timeout_;
    access_ptr keepers_;
    std::string client_name_;
    std::shared_ptr<locks::local_server> local_;  // where the server is in this process
    std::shared_ptr<std::atomic<bool>> closed_ = std::make_shared<std::atomic<bool>>(false);
};

void stop_keeper() {
    const without_gil released;
    locks::stop_keeper();
}

}  // namespace

void register_locks(py::module_& m) {
    const auto none = py::none();
    m.attr("LocalMutex") = local_mutex_type();
    py::class_<locks_factory>(m, "Locks", py::is_final(), "Makes operations on locks; does no I/O.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&>(), py::arg("options"))
        .def("acquire", &locks_factory::acquire, py::arg("names"), py::arg("kind"), py::arg("token"),
             py::arg("lease"), py::arg("wait"), py::kw_only(), py::arg("limit") = 1, py::arg("fair") = true,
             py::arg("detect") = true, py::arg("renew") = false, py::arg("max_hold") = none,
             py::arg("watched") = false, py::arg("stored_as") = none, py::arg("timeout") = none)
        .def("release", &locks_factory::release, py::arg("hold"), py::arg("timeout") = none)
        .def("release_token", &locks_factory::release_token, py::arg("names"), py::arg("kind"),
             py::arg("token"), py::arg("timeout") = none)
        .def("extend", &locks_factory::extend, py::arg("names"), py::arg("kind"), py::arg("token"),
             py::arg("seconds"), py::arg("add"), py::arg("timeout") = none)
        .def("extend_hold", &locks_factory::extend_hold, py::arg("hold"), py::arg("seconds"), py::arg("add"),
             py::arg("timeout") = none)
        .def("local_mutex", &locks_factory::local_mutex, py::arg("names"), py::arg("timeout"),
             py::arg("auto_renew"), py::arg("max_hold"),
             "For a server that is not within this process, None.")
        .def("close", &locks_factory::close, "Nothing is taken or given back at once any more.")
        .def("holder", &locks_factory::holder, py::arg("name"), py::arg("timeout") = none)
        .def("list", &locks_factory::list, py::arg("names") = none, py::arg("timeout") = none)
        .def("wait_lost", &locks_factory::wait_lost, py::arg("hold"), py::arg("seconds"));
    m.def(
        "make_token",
        [](const std::string& who, const std::string& client_name) {
            return py::bytes(locks::make_token(who, client_name));
        },
        py::arg("who"), py::arg("client_name") = "", "A token that names its owner, before 128 random bits.");
    m.def("stop_keeper", &stop_keeper, "Ends the native thread of locks; none can be waited for afterwards.");
}

}  // namespace redislock::bindings
