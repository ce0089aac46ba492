// How values are pickled: as a call of a function that makes them again.
#pragma once

#include "bindings/bindings.hpp"

namespace redislock::bindings {

/// Not by __setstate__: Python would make an empty object first, and pybind11 leaves undefined what is in
/// it. So nothing else makes one, either.
template <class Value, class Taken, class Made>
void make_again(py::module_& m, py::class_<Value>& type, const char* maker, Taken taken, Made made) {
    m.def(maker, made, "What a pickle calls.");
    type.def("__reduce__", [maker, taken](const Value& self) -> py::tuple {
        return py::make_tuple(py::module_::import("redislock._core").attr(maker), taken(self));
    });
    reinterpret_cast<PyTypeObject*>(type.ptr())->tp_new = nullptr;
}

}  // namespace redislock::bindings
