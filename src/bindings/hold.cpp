// _core.Hold: what can be asked of a lock that is held, and the next one that was lost.
#include "bindings/hold.hpp"

#include <pybind11/stl.h>

#include <optional>

#include "bindings/without_gil.hpp"

namespace redislock::bindings {
namespace {

using locks::hold;

py::object seconds_left(const hold& which) {
    if (which.released()) return py::float_(0.0);
    const nanos deadline = which.deadline();
    const nanos now = monotonic_now();
    if (which.lost(now)) return py::float_(0.0);
    if (deadline == never) return py::none();
    return py::float_(static_cast<double>(deadline - now) / 1e9);
}

py::tuple names_of(const hold& which) {
    py::tuple names(which.what.locks.size());
    for (std::size_t i = 0; i < which.what.locks.size(); ++i) names[i] = py::bytes(which.what.locks[i].name);
    return names;
}

std::optional<hold_object> next_lost(const py::object& seconds) {
    const nanos patience = to_nanos(seconds, "seconds", true);
    std::shared_ptr<hold> found;
    {
        const without_gil released;
        found = locks::next_loss(patience);
    }
    if (!found) return std::nullopt;
    return hold_object(std::move(found), nullptr, false);
}

}  // namespace

namespace {
PyTypeObject* hold_type = nullptr;  // final, so that nothing else is one
}

hold_object* find_hold(py::handle from) {
    if (Py_TYPE(from.ptr()) != hold_type) return nullptr;
    auto* instance = reinterpret_cast<py::detail::instance*>(from.ptr());
    return static_cast<hold_object*>(instance->get_value_and_holder().value_ptr());
}

void register_hold(py::module_& m) {
    const auto type =
        py::class_<hold_object>(m, "Hold", py::is_final(), "A lock that is held.")
            .def("__reduce__", &refuse_pickling)
            .def("__eq__",
                 [](const hold_object& self, const py::object& other) -> py::object {
                     if (!py::isinstance<hold_object>(other))
                         return py::reinterpret_borrow<py::object>(Py_NotImplemented);
                     return py::bool_(self.own == other.cast<const hold_object&>().own);
                 })
            .def("__hash__", [](const hold_object& self) { return std::hash<const void*>{}(self.own.get()); })
            .def_property_readonly("names", [](const hold_object& self) { return names_of(*self.own); })
            .def_property_readonly(
                "kind",
                [](const hold_object& self) { return std::string(locks::letter_of(self.own->what.how)); })
            .def_property_readonly("token",
                                   [](const hold_object& self) { return py::bytes(self.own->token); })
            .def_property_readonly("fence", [](const hold_object& self) { return self.own->fences.front(); })
            .def_property_readonly(
                "fences", [](const hold_object& self) -> py::tuple { return py::cast(self.own->fences); })
            .def_property_readonly("remaining",
                                   [](const hold_object& self) -> py::typing::Optional<py::float_> {
                                       return seconds_left(*self.own);
                                   })
            .def_property_readonly("lost",
                                   [](const hold_object& self) { return self.own->lost(monotonic_now()); })
            .def_property_readonly("released", [](const hold_object& self) { return self.own->released(); })
            .def_readwrite("kept", &hold_object::kept, "Until then it is given back with this object.")
            .def("give_back", &hold_object::give_back,
                 "Releases it without waiting for an answer: nobody came for it.");
    hold_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    m.def("next_lost", &next_lost, py::arg("seconds"), "The next watched hold that was lost, or None.");
}

}  // namespace redislock::bindings
