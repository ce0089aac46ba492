// _core.Operation: what Python holds of a request, from its making until its outcome.
#include <new>

#include "bindings/bindings.hpp"

namespace redislock::bindings {
namespace {

struct operation_object {
    PyObject_HEAD request_ptr held;
};

void destroy(PyObject* self) {
    auto* type = Py_TYPE(self);
    reinterpret_cast<operation_object*>(self)->held.~request_ptr();
    PyObject_Free(self);
    Py_DECREF(type);
}

py::handle make_type() {
    static char doc[] = "Something to be done once, by a driver.";
    static PyType_Slot slots[] = {
        {Py_tp_dealloc, reinterpret_cast<void*>(&destroy)}, {Py_tp_doc, doc}, {0, nullptr}};
    static PyType_Spec spec = {"redislock._core.Operation", sizeof(operation_object), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    PyObject* made = PyType_FromSpec(&spec);
    if (made == nullptr) throw py::error_already_set();
    const py::handle type = made;
    py::setattr(type, "__reduce__",
                py::cpp_function(&refuse_pickling, py::name("__reduce__"), py::is_method(type)));
    return type;
}

}  // namespace

py::handle operation_type() {
    static const py::handle type = make_type();  // for the life of the process
    return type;
}

py::object wrap(request_ptr which) {
    auto* type = reinterpret_cast<PyTypeObject*>(operation_type().ptr());
    auto* made = PyObject_New(operation_object, type);
    if (made == nullptr) throw py::error_already_set();
    new (&made->held) request_ptr(std::move(which));
    return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
}

const request_ptr* unwrap_operation(py::handle from) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(from.ptr())) != operation_type().ptr()) return nullptr;
    return &reinterpret_cast<operation_object*>(from.ptr())->held;
}

}  // namespace redislock::bindings
