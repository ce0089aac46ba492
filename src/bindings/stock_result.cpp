// What operations on a stock answer with: StockResult. Small, immutable, compared by value.
#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "bindings/make_again.hpp"
#include "stock/order.hpp"

namespace redislock::bindings {
namespace {

using stock::receipt;
using stock::verdict;

double seconds(nanos value) { return static_cast<double>(value) / static_cast<double>(second); }

verdict_member verdict_object(verdict value) {
    // One borrowed table for the life of the process: enum members never die.
    static PyObject* const* table = [] {
        static PyObject* members[stock::verdict_count];
        const py::object type = py::module_::import("redislock._status").attr("StockStatus");
        for (std::size_t i = 0; i < stock::verdict_count; ++i) {
            members[i] = type(std::string(to_string(static_cast<verdict>(i)))).release().ptr();
        }
        return members;
    }();
    return py::reinterpret_borrow<verdict_member>(table[static_cast<std::size_t>(value)]);
}

std::optional<std::string> text_or_nothing(const std::string& text) {
    if (text.empty()) return {};
    return text;
}

py::dict as_dict(const receipt& self) {
    py::dict out;
    out["status"] = verdict_object(self.verdict);
    out["level"] = self.level;
    out["qty"] = self.quantity;
    out["state"] = text_or_nothing(self.state);
    out["reason"] = text_or_nothing(self.reason);
    out["attempts"] = self.attempts;
    out["elapsed"] = seconds(self.elapsed);
    return out;
}

std::string repr_of(const receipt& self) {
    std::string text = "StockResult(status='" + std::string(to_string(self.verdict)) + "'";
    const py::dict fields = as_dict(self);
    for (const auto& [key, value] : fields) {
        const std::string name = py::str(key);
        if (name != "status") text += ", " + name + "=" + std::string(py::repr(value));
    }
    return text + ")";
}

// How long it took is a measurement, not part of the value.
py::tuple value_of(const receipt& self) {
    return py::make_tuple(std::string(to_string(self.verdict)), self.level, self.quantity, self.state,
                          self.reason, self.attempts);
}

}  // namespace

void register_stock_result(py::module_& m) {
    py::class_<receipt> type(m, "StockResult", py::is_final(),
                             "How an operation on a stock ended. True only where its status is ok.\n\n"
                             "Two results are equal when all but elapsed is.");
    type.def_property_readonly(
            "status", [](const receipt& self) { return verdict_object(self.verdict); },
            "The outcome, a StockStatus.")
        .def_property_readonly(
            "level", [](const receipt& self) { return self.level; },
            "How many there were to be had afterwards, or None where that was not read.")
        .def_property_readonly(
            "qty", [](const receipt& self) { return self.quantity; },
            "How many the order is about, or None where there is no order.")
        .def_property_readonly(
            "state", [](const receipt& self) { return text_or_nothing(self.state); },
            "What the order is: 'reserved', 'confirmed', 'cancelled', 'expired', or None where there is "
            "none.")
        .def_property_readonly(
            "reason", [](const receipt& self) { return text_or_nothing(self.reason); },
            "Of retry_later: 'backlog', 'lock_busy', 'lock_lost' or 'conflict'; else None.")
        .def_property_readonly(
            "attempts", [](const receipt& self) { return self.attempts; },
            "Attempts that it took: EXECs, or tries for the lock.")
        .def_property_readonly(
            "elapsed", [](const receipt& self) { return seconds(self.elapsed); },
            "Seconds from the call to its outcome, stamped natively.")
        .def("as_dict", &as_dict, "The fields as a new dict.")
        .def("__bool__", [](const receipt& self) { return self.verdict == verdict::ok; })
        .def("__eq__",
             [](const receipt& self, const py::object& other) -> py::object {
                 if (!py::isinstance<receipt>(other))
                     return py::reinterpret_borrow<py::object>(Py_NotImplemented);
                 return py::bool_(value_of(self).equal(value_of(other.cast<const receipt&>())));
             })
        .def("__hash__", [](const receipt& self) { return py::hash(value_of(self)); })
        .def("__repr__", &repr_of);
    make_again(
        m, type, "_make_stock_result",
        [](const receipt& self) {
            return py::make_tuple(std::string(to_string(self.verdict)), self.level, self.quantity, self.state,
                                  self.reason, self.attempts, self.elapsed);
        },
        [](const std::string& word, std::optional<amount> level, std::optional<amount> quantity,
           std::string state, std::string reason, std::uint32_t attempts, nanos elapsed) {
            const auto status = stock::parse_verdict(word);
            if (!status) throw py::value_error("unknown status '" + word + "'");
            return receipt{*status, level, quantity, std::move(state), std::move(reason), attempts, elapsed};
        });
}

}  // namespace redislock::bindings
