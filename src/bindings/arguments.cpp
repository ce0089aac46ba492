// Arguments from Python, checked before anything is sent. Each message names its argument.
#include <cmath>
#include <limits>

#include "bindings/bindings.hpp"

namespace redislock::bindings {
namespace {

constexpr std::size_t max_key_length = 1024;

std::string type_name(const py::object& given) {
    return py::str(py::type::handle_of(given).attr("__name__"));
}

[[noreturn]] void wrong_type(const char* name, const char* wanted, const py::object& given) {
    throw py::type_error(std::string(name) + " must be " + wanted + ", not " + type_name(given));
}

bool is_integer(const py::object& given) {
    if (PyLong_CheckExact(given.ptr()) != 0) return true;
    return PyIndex_Check(given.ptr()) != 0 && PyBool_Check(given.ptr()) == 0 && type_name(given) != "bool_";
}

py::object index_of(const py::object& given) {
    auto number = py::reinterpret_steal<py::object>(PyNumber_Index(given.ptr()));
    if (!number) throw py::error_already_set();
    return number;
}

std::string utf8(const py::object& given, const char* name) {
    py::ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(given.ptr(), &size);
    if (text == nullptr) {
        PyErr_Clear();
        throw py::value_error(std::string(name) + " holds characters that UTF-8 cannot express");
    }
    return {text, static_cast<std::size_t>(size)};
}

}  // namespace

std::string to_user(const py::object& given, const char* name) {
    if (PyUnicode_Check(given.ptr()) != 0) return utf8(given, name);
    if (is_integer(given)) return py::str(index_of(given));
    wrong_type(name, "a str or an int", given);
}

amount to_amount(const py::object& given, const char* name, amount least, const char* wanted) {
    if (!is_integer(given)) wrong_type(name, wanted, given);
    const auto number = index_of(given);
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    if (overflow > 0) {
        PyErr_SetString(PyExc_OverflowError, (std::string(name) + " must be at most 2^63-1").c_str());
        throw py::error_already_set();
    }
    if (overflow < 0 || value < least) {
        throw py::value_error(std::string(name) + " must be at least " + std::to_string(least));
    }
    return value;
}

nanos to_nanos(const py::object& given, const char* name, bool zero_allowed) {
    const bool number = PyFloat_Check(given.ptr()) != 0 || is_integer(given);
    if (!number) wrong_type(name, "a number of seconds", given);
    double value = PyFloat_AsDouble(given.ptr());
    if (PyErr_Occurred() != nullptr) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError) == 0) throw py::error_already_set();
        PyErr_Clear();
        value = std::numeric_limits<double>::infinity();
    }
    const bool enough = zero_allowed ? value >= 0 : value > 0;
    if (!std::isfinite(value) || !enough || value > 1e8) {
        throw py::value_error(std::string(name) + " must be a number of seconds " +
                              (zero_allowed ? "from 0" : "above 0") + " to 100 million");
    }
    const auto converted = static_cast<nanos>(value * static_cast<double>(second));
    return converted > 0 || zero_allowed ? converted : 1;
}

std::string to_text(const py::object& given, const char* name) {
    if (PyUnicode_Check(given.ptr()) == 0) wrong_type(name, "a str", given);
    return utf8(given, name);
}

std::string to_idempotency_key(const py::object& given) {
    if (given.is_none()) return {};
    auto key = to_text(given, "idempotency_key");
    if (key.empty()) throw py::value_error("idempotency_key must not be empty; leave it out to go without");
    if (key.size() > max_key_length) throw py::value_error("idempotency_key must be at most 1024 bytes long");
    return key;
}

strategy to_strategy(const py::object& given) {
    const auto found = parse_strategy(to_text(given, "strategy"));
    if (!found) throw py::value_error("strategy must be one of lua, lock, watch, naive");
    return *found;
}

}  // namespace redislock::bindings
