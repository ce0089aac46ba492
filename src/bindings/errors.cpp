// The one table that turns kinds of failure into Python exceptions.
#include "bindings/bindings.hpp"

namespace redislock::bindings {
namespace {

const char* class_of(errc code) {
    switch (code) {
        case errc::configuration: return "ConfigurationError";
        case errc::connection_failed:
        case errc::lane_lost: return "ConnectionError";
        case errc::timed_out: return "TimeoutError";
        case errc::outcome_unknown: return "OutcomeUnknownError";
        case errc::protocol: return "ProtocolError";
        case errc::authentication: return "AuthenticationError";
        case errc::no_permission: return "PermissionDeniedError";
        case errc::server_refused: return "ServerError";
        case errc::redirected: return "RedirectedError";
        case errc::corrupt_balance: return "CorruptBalanceError";
        case errc::wrong_type: return "WrongTypeError";
        case errc::idempotency_mismatch: return "IdempotencyMismatchError";
        case errc::closed: return "ClosedError";
        case errc::invalid_argument: return nullptr;  // a plain ValueError
        case errc::cancelled: return "OperationCancelledError";
    }
    return "Error";
}

}  // namespace

py::str readable(const std::string& text) {
    PyObject* decoded =
        PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "backslashreplace");
    if (decoded == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::str>(decoded);
}

py::object make_exception(const error& failure) {
    const char* name = class_of(failure.code);
    const py::object type = name == nullptr ? py::reinterpret_borrow<py::object>(PyExc_ValueError)
                                            : py::object(py::module_::import("redislock._errors").attr(name));
    return type(readable(failure.message));
}

void raise(const error& failure) {
    const py::object exception = make_exception(failure);
    PyErr_SetObject(py::type::handle_of(exception).ptr(), exception.ptr());
    throw py::error_already_set();
}

void emit(const std::vector<engine::log_record>& records) {
    if (records.empty()) return;
    const py::object log = py::module_::import("redislock._log").attr("emit");
    for (const auto& each : records) {
        try {
            log(static_cast<int>(each.level), readable(each.text));
        } catch (py::error_already_set& failure) {
            // A filter or handler that raises must not take the place of somebody's outcome.
            if (!failure.matches(PyExc_Exception)) throw;
            failure.discard_as_unraisable("the logger 'redislock'");
        }
    }
}

}  // namespace redislock::bindings
