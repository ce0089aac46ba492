// What the files of this layer share. The only layer that includes pybind11.
//
// The GIL, once for all: operations, settings and results are touched only with it held; a driver
// for threads gives it up while it blocks; the core below never touches Python, so no coroutine
// frame holds a Python object.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/account.hpp"
#include "engine/operation.hpp"
#include "engine/reactor.hpp"
#include "memory/server.hpp"
#include "types/result.hpp"
#include "wire/options.hpp"

namespace redislock::load {
class histogram;
}

namespace redislock::bindings {

namespace py = pybind11;

/// Where to connect, parsed and checked. `memory` keeps a nameless memory server alive that the
/// drivers of one client share.
struct address {
    wire::options settings;
    std::shared_ptr<memory::server> memory;
};

/// An operation that can tell its outcome to Python.
class request : public engine::operation {
public:
    using engine::operation::operation;
    /// The value, or raises the error as its Python exception. GIL held.
    virtual py::object deliver() = 0;
    /// It has finished, and nobody will come for its outcome. GIL held or not.
    virtual void discard() {}
};

using request_ptr = std::shared_ptr<request>;

/// The type of what Python holds of a request: `_core.Operation`. It is made for every call, so it is
/// a plain object around the pointer, without pybind11's registry of instances.
py::handle operation_type();
py::object wrap(request_ptr which);
/// Null where this is no Operation.
const request_ptr* unwrap_operation(py::handle from);

/// Throws the Python exception for this kind of failure (`redislock._errors`).
[[noreturn]] void raise(const error& failure);
/// Makes it without throwing.
py::object make_exception(const error& failure);

template <class T>
T unwrap(result<T> from) {
    if (!from) raise(from.error());
    return std::move(*from);
}

/// Makes backends for one address; the choice between sockets and memory is here.
engine::backend_factory make_factory(const address& where);

/// Text from a server, which may be any bytes.
py::str readable(const std::string& text);

/// Hands log records to the logger "redislock". What its filters raise is only reported. GIL held.
void emit(const std::vector<engine::log_record>& records);

/// Arguments, checked, with errors that name them.
std::string to_user(const py::object& given, const char* name = "user");
amount to_amount(const py::object& given, const char* name, amount least,
                 const char* wanted = "an int in the smallest unit, like cents");
nanos to_nanos(const py::object& given, const char* name, bool zero_allowed);
std::string to_idempotency_key(const py::object& given);
std::string to_text(const py::object& given, const char* name);
strategy to_strategy(const py::object& given);

/// A member of `redislock._status.Status`, so that signatures say so.
class status_member : public py::object {
public:
    using py::object::object;
    explicit status_member(const py::object& from) : py::object(from) {}
};
status_member status_object(status value);

/// A member of `redislock._status.StockStatus`.
class verdict_member : public py::object {
public:
    using py::object::object;
    explicit verdict_member(const py::object& from) : py::object(from) {}
};

/// The fields of a `Latency`, in seconds.
py::dict summarize(const load::histogram& latencies);

/// The __reduce__ of what cannot be pickled. Without it protocols 0 and 1 would otherwise call pybind11's
/// base class, which ends the process; logging's SocketHandler speaks protocol 1.
inline py::tuple refuse_pickling(const py::object& self) {
    throw py::type_error("cannot pickle '" + std::string(Py_TYPE(self.ptr())->tp_name) + "' object");
}

void register_options(py::module_& m);
void register_results(py::module_& m);
void register_accounts(py::module_& m);
void register_coordination(py::module_& m);
void register_drivers(py::module_& m);
void register_histogram(py::module_& m);
void register_load(py::module_& m);
void register_race(py::module_& m);
void register_memory(py::module_& m);
void register_hold(py::module_& m);
void register_locks(py::module_& m);
void register_stock(py::module_& m);
void register_outbox(py::module_& m);
void register_stock_result(py::module_& m);

}  // namespace redislock::bindings

template <>
struct pybind11::detail::handle_type_name<redislock::bindings::status_member> {
    static constexpr auto name = const_name("redislock._status.Status");
};

template <>
struct pybind11::detail::handle_type_name<redislock::bindings::verdict_member> {
    static constexpr auto name = const_name("redislock._status.StockStatus");
};

template <>
class pybind11::detail::type_caster<redislock::bindings::request_ptr> {
public:
    static constexpr auto name = const_name("redislock._core.Operation");
    template <class>
    using cast_op_type = const redislock::bindings::request_ptr&;

    bool load(handle from, bool /*convert*/) {
        held_ = redislock::bindings::unwrap_operation(from);
        return held_ != nullptr;
    }
    explicit operator const redislock::bindings::request_ptr&() const noexcept { return *held_; }
    static handle cast(redislock::bindings::request_ptr from, return_value_policy /*policy*/,
                       handle /*parent*/) {
        return redislock::bindings::wrap(std::move(from)).release();
    }

private:
    const redislock::bindings::request_ptr* held_ = nullptr;
};
