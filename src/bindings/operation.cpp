// _core.Operation: what Python holds of a request, from its making until its outcome.
#include "bindings/bindings.hpp"
#include "bindings/plain_type.hpp"

namespace redislock::bindings {
namespace {

PyMethodDef no_methods[] = {{nullptr, nullptr, 0, nullptr}};

}  // namespace

py::handle operation_type() {
    static const py::handle type = make_plain_type<request_ptr>(
        "redislock._core.Operation", "Something to be done once, by a driver.", no_methods);
    return type;  // for the life of the process
}

py::object wrap(request_ptr which) { return make_plain(operation_type(), std::move(which)); }

const request_ptr* unwrap_operation(py::handle from) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(from.ptr())) != operation_type().ptr()) return nullptr;
    return &held_by<request_ptr>(from.ptr());
}

}  // namespace redislock::bindings
