// Types of Python with nothing around the value that they hold: what pybind11 does for a call, or for making
// an instance, takes longer than what these are for.
#pragma once

#include <new>
#include <utility>

#include "bindings/bindings.hpp"

namespace redislock::bindings {

template <class T>
struct plain_object {
    PyObject_HEAD T held;
};

/// What an object of the type holds.
template <class T>
T& held_by(PyObject* self) noexcept {
    return reinterpret_cast<plain_object<T>*>(self)->held;
}

template <class T>
void destroy_plain(PyObject* self) {
    auto* type = Py_TYPE(self);
    held_by<T>(self).~T();
    PyObject_Free(self);
    Py_DECREF(type);
}

/// Makes a type that Python cannot make instances of. `name` and `methods`, which end in zeros, must live as
/// long as the process.
template <class T>
py::handle make_plain_type(const char* name, const char* doc, PyMethodDef* methods) {
    PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(&destroy_plain<T>)},
                           {Py_tp_doc, const_cast<char*>(doc)},
                           {Py_tp_methods, methods},
                           {0, nullptr}};
    PyType_Spec spec = {name, sizeof(plain_object<T>), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    PyObject* made = PyType_FromSpec(&spec);
    if (made == nullptr) throw py::error_already_set();
    const py::handle type = made;
    py::setattr(type, "__reduce__",
                py::cpp_function(&refuse_pickling, py::name("__reduce__"), py::is_method(type)));
    return type;
}

/// An instance of such a type.
template <class T>
py::object make_plain(py::handle type, T value) {
    auto* made = PyObject_New(plain_object<T>, reinterpret_cast<PyTypeObject*>(type.ptr()));
    if (made == nullptr) throw py::error_already_set();
    new (&made->held) T(std::move(value));
    return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
}

}  // namespace redislock::bindings
