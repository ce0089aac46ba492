// What operations answer with: Result, HistoryEntry, Health. Small, immutable, compared by value.
#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "bindings/make_again.hpp"

namespace redislock::bindings {
namespace {

using accounts::health_report;
using accounts::history_entry;
using accounts::receipt;

double seconds(nanos value) { return static_cast<double>(value) / static_cast<double>(second); }

py::dict result_as_dict(const receipt& self) {
    py::dict out;
    out["status"] = status_object(self.status);
    out["balance"] = self.balance;
    out["attempts"] = self.attempts;
    out["elapsed"] = seconds(self.elapsed);
    out["replayed"] = self.replayed;
    return out;
}

std::string result_repr(const receipt& self) {
    std::string text = "Result(status='" + std::string(to_string(self.status)) + "', balance=";
    text += self.balance ? std::to_string(*self.balance) : "None";
    text += ", attempts=" + std::to_string(self.attempts);
    text += ", elapsed=" + std::string(py::str(py::float_(seconds(self.elapsed))));
    return text + ", replayed=" + (self.replayed ? "True)" : "False)");
}

// How long it took is a measurement, not part of the value.
bool same(const receipt& a, const receipt& b) {
    return a.status == b.status && a.balance == b.balance && a.attempts == b.attempts &&
           a.replayed == b.replayed;
}

std::optional<std::string> entry_key(const history_entry& self) {
    if (self.idempotency_key.empty()) return {};
    return self.idempotency_key;
}

py::dict entry_as_dict(const history_entry& self) {
    py::dict out;
    out["amount"] = self.amount;
    out["balance"] = self.balance;
    out["time_ms"] = self.time_ms;
    out["strategy"] = self.strategy;
    out["idempotency_key"] = entry_key(self);
    return out;
}

py::dict health_as_dict(const health_report& self) {
    py::dict out;
    out["reachable"] = self.reachable;
    out["latency"] = seconds(self.latency);
    out["server"] = self.server;
    out["version"] = self.version;
    out["role"] = self.role;
    out["warnings"] = self.warnings;
    out["error"] = self.error;
    out["details"] = self.details;
    return out;
}

std::string repr_of(const char* name, const py::dict& fields) {
    std::string text = std::string(name) + "(";
    const char* separator = "";
    for (const auto& [key, value] : fields) {
        text += separator + std::string(py::str(key)) + "=" + std::string(py::repr(value));
        separator = ", ";
    }
    return text + ")";
}

void register_result(py::module_& m) {
    py::class_<receipt> type(
        m, "Result", py::is_final(),
        "How a deposit or withdrawal ended. True only where its status is ok.\n\n"
        "Two results are equal when status, balance, attempts and replayed are; elapsed does not count.");
    type.def_property_readonly(
            "status", [](const receipt& self) { return status_object(self.status); },
            "The outcome, a Status.")
        .def_property_readonly(
            "balance", [](const receipt& self) { return self.balance; },
            "The balance afterwards, or None where none was read.")
        .def_property_readonly(
            "attempts", [](const receipt& self) { return self.attempts; },
            "Attempts that it took: EXECs, or tries for the lock.")
        .def_property_readonly(
            "elapsed", [](const receipt& self) { return seconds(self.elapsed); },
            "Seconds from the call to its outcome, stamped natively.")
        .def_property_readonly(
            "replayed", [](const receipt& self) { return self.replayed; },
            "Whether this is the recorded outcome of an earlier request.")
        .def("as_dict", &result_as_dict, "The fields as a new dict.")
        .def("__bool__", [](const receipt& self) { return self.status == status::ok; })
        .def("__eq__",
             [](const receipt& self, const py::object& other) -> py::object {
                 if (!py::isinstance<receipt>(other))
                     return py::reinterpret_borrow<py::object>(Py_NotImplemented);
                 return py::bool_(same(self, other.cast<const receipt&>()));
             })
        .def("__hash__",
             [](const receipt& self) {
                 return py::hash(py::make_tuple(static_cast<int>(self.status), self.balance, self.attempts,
                                                self.replayed));
             })
        .def("__repr__", &result_repr);
    make_again(
        m, type, "_make_result",
        [](const receipt& self) {
            return py::make_tuple(std::string(to_string(self.status)), self.balance, self.attempts,
                                  self.elapsed, self.replayed);
        },
        [](const std::string& word, std::optional<amount> balance, std::uint32_t attempts, nanos elapsed,
           bool replayed) {
            const auto status = parse_status(word);
            if (!status) throw py::value_error("unknown status '" + word + "'");
            return receipt{*status, balance, attempts, elapsed, replayed};
        });
}

void register_entry(py::module_& m) {
    py::class_<history_entry> type(m, "HistoryEntry", py::is_final(), "One change of a balance.");
    type.def_property_readonly(
            "amount", [](const history_entry& self) { return self.amount; },
            "Positive for a withdrawal, negative for a deposit.")
        .def_property_readonly(
            "balance", [](const history_entry& self) { return self.balance; }, "The balance after it.")
        .def_property_readonly(
            "time_ms", [](const history_entry& self) { return self.time_ms; },
            "The server's clock, milliseconds since 1970.")
        .def_property_readonly("strategy", [](const history_entry& self) { return self.strategy; })
        .def_property_readonly("idempotency_key", &entry_key)
        .def("as_dict", &entry_as_dict, "The fields as a new dict.")
        .def("__eq__",
             [](const history_entry& self, const py::object& other) -> py::object {
                 if (!py::isinstance<history_entry>(other))
                     return py::reinterpret_borrow<py::object>(Py_NotImplemented);
                 return py::bool_(
                     entry_as_dict(self).equal(entry_as_dict(other.cast<const history_entry&>())));
             })
        .def("__hash__",
             [](const history_entry& self) {
                 return py::hash(py::make_tuple(self.amount, self.balance, self.time_ms));
             })
        .def("__repr__",
             [](const history_entry& self) { return repr_of("HistoryEntry", entry_as_dict(self)); });
    make_again(
        m, type, "_make_entry",
        [](const history_entry& self) {
            return py::make_tuple(self.amount, self.balance, self.time_ms, self.strategy,
                                  self.idempotency_key);
        },
        [](amount amount, redislock::amount balance, std::int64_t time_ms, std::string strategy,
           std::string idempotency_key) {
            return history_entry{amount, balance, time_ms, std::move(strategy), std::move(idempotency_key)};
        });
}

void register_health(py::module_& m) {
    py::class_<health_report> type(m, "Health", py::is_final(),
                                   "What a server says of itself. True if it is reachable.");
    type.def_property_readonly("reachable", [](const health_report& self) { return self.reachable; })
        .def_property_readonly(
            "latency", [](const health_report& self) { return seconds(self.latency); },
            "Seconds that one PING took.")
        .def_property_readonly("server", [](const health_report& self) { return self.server; })
        .def_property_readonly("version", [](const health_report& self) { return self.version; })
        .def_property_readonly("role", [](const health_report& self) { return self.role; })
        .def_property_readonly(
            "warnings", [](const health_report& self) { return self.warnings; },
            "Settings that endanger money, in words.")
        .def_property_readonly(
            "error", [](const health_report& self) { return self.error; },
            "Why the server cannot be reached; empty if it can.")
        .def_property_readonly("details", [](const health_report& self) { return self.details; })
        .def("as_dict", &health_as_dict, "The fields as a new dict.")
        .def("__eq__",
             [](const health_report& self, const py::object& other) -> py::object {
                 if (!py::isinstance<health_report>(other))
                     return py::reinterpret_borrow<py::object>(Py_NotImplemented);
                 return py::bool_(
                     health_as_dict(self).equal(health_as_dict(other.cast<const health_report&>())));
             })
        .def("__bool__", [](const health_report& self) { return self.reachable; })
        .def("__repr__", [](const health_report& self) { return repr_of("Health", health_as_dict(self)); });
    make_again(
        m, type, "_make_health",
        [](const health_report& self) {
            return py::make_tuple(self.reachable, self.latency, self.server, self.version, self.role,
                                  self.warnings, self.error, self.details);
        },
        [](bool reachable, nanos latency, std::string server, std::string version, std::string role,
           std::vector<std::string> warnings, std::string error, std::map<std::string, std::string> details) {
            return health_report{reachable,          latency,           std::move(server),
                                 std::move(version), std::move(role),   std::move(warnings),
                                 std::move(error),   std::move(details)};
        });
}

}  // namespace

status_member status_object(status value) {
    // One borrowed table for the life of the process: enum members never die.
    static PyObject* const* table = [] {
        static PyObject* members[status_count];
        const py::object type = py::module_::import("redislock._status").attr("Status");
        for (std::size_t i = 0; i < status_count; ++i) {
            members[i] = type(std::string(to_string(static_cast<status>(i)))).release().ptr();
        }
        return members;
    }();
    return py::reinterpret_borrow<status_member>(table[static_cast<std::size_t>(value)]);
}

void register_results(py::module_& m) {
    register_result(m);
    register_entry(m);
    register_health(m);
}

}  // namespace redislock::bindings
