// _core.LocalMutex.
#include "bindings/local_mutex.hpp"

#include <cmath>

#include "bindings/plain_type.hpp"
#include "types/random.hpp"

namespace redislock::bindings {
namespace {

// A module that was imported to its end or not, or null.
py::object find_module(PyObject* name) {
    PyObject* modules = PyImport_GetModuleDict();
    PyObject* found = nullptr;
#if PY_VERSION_HEX >= 0x030D0000
    if (PyDict_GetItemRef(modules, name, &found) < 0) throw py::error_already_set();
#else
    found = PyDict_GetItemWithError(modules, name);
    if (found == nullptr && PyErr_Occurred() != nullptr) throw py::error_already_set();
    Py_XINCREF(found);
#endif
    return py::reinterpret_steal<py::object>(found);
}

PyObject* interned(const char* text) {
    PyObject* made = PyUnicode_InternFromString(text);
    if (made == nullptr) throw py::error_already_set();
    return made;  // for the life of the process
}

py::object attribute(PyObject* of, PyObject* name) {
    auto found = py::reinterpret_steal<py::object>(PyObject_GetAttr(of, name));
    if (!found) throw py::error_already_set();
    return found;
}

void set_attribute(PyObject* of, PyObject* name, PyObject* value) {
    if (PyObject_SetAttr(of, name, value) < 0) throw py::error_already_set();
}

bool is_something(PyObject* answer) {
    if (answer == nullptr) throw py::error_already_set();
    return !py::reinterpret_steal<py::object>(answer).is_none();
}

// Whether a thread calls. A greenlet leaves its hub to others whenever it calls, and who blocks an event
// loop is warned.
bool called_by_thread() {
    static PyObject* const gevent = interned("gevent");
    static PyObject* const asyncio = interned("asyncio");
    static PyObject* const get_loop = interned("_get_running_loop");
    if (find_module(gevent)) {
        const auto waiters = py::module_::import("redislock._waiters");
        if (!waiters.attr("hub_of_this_thread")().is_none()) return false;
    }
    static std::atomic<PyObject*> find_loop = nullptr;  // found once
    PyObject* find = find_loop.load();
    if (find == nullptr) {
        const auto loops = find_module(asyncio);
        if (!loops) return true;
        find = PyObject_GetAttr(loops.ptr(), get_loop);
        if (find == nullptr) {  // it is being imported
            PyErr_Clear();
            return true;
        }
        find_loop = find;
    }
    return !is_something(PyObject_CallNoArgs(find));
}

std::string make_token(const local_mutex& which, PyObject* who) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(who, &size);
    if (text == nullptr) throw py::error_already_set();
    if (size == 0) return random_token();  // everybody's
    return locks::make_token({text, static_cast<std::size_t>(size)}, which.client_name);
}

// The hold of the time before becomes this one's where nobody but the state knows it: making another would
// be a good part of the price. Where there is no GIL, nobody can tell who knows it.
bool reuse([[maybe_unused]] const local_mutex& which, [[maybe_unused]] PyObject* state,
           [[maybe_unused]] PyObject* name, [[maybe_unused]] const std::shared_ptr<locks::hold>& held) {
#ifndef Py_GIL_DISABLED
    const auto before = attribute(state, name);
    auto* own = find_hold(before);
    if (Py_REFCNT(before.ptr()) != 2 || own == nullptr || !own->kept || own->keepers != which.keepers)
        return false;
    own->own = held;
    return true;
#else
    return false;
#endif
}

// Nothing of Python's runs between the taking and the noting: no signal is handled meanwhile.
bool take(const local_mutex& which, PyObject* state, PyObject* who) {
    static PyObject* const hold_name = interned("hold");
    static PyObject* const token_name = interned("token");
    if (which.closed->load() || !called_by_thread()) return false;
    auto held =
        locks::take_at_once(*which.server, *which.keepers, which.what, which.rules, make_token(which, who));
    if (!held) return false;
    try {
        const py::bytes token(held->token);
        if (!reuse(which, state, hold_name, held)) {
            const auto made = py::cast(hold_object(held, which.keepers, false));
            set_attribute(state, hold_name, made.ptr());
        }
        set_attribute(state, token_name, token.ptr());
    } catch (...) {
        hold_object(held, which.keepers, false).give_back();
        throw;
    }
    return true;
}

// By its token too: whoever shares the state may have taken it anew meanwhile, into the same hold.
bool give_back(const local_mutex& which, PyObject* state, PyObject* token) {
    static PyObject* const hold_name = interned("hold");
    static PyObject* const token_name = interned("token");
    static PyObject* const watch_name = interned("watch");
    if (PyBytes_Check(token) == 0 || which.closed->load()) return false;
    const auto given = attribute(state, hold_name);
    const auto* found = find_hold(given);
    if (found == nullptr) return false;
    const auto own = found->own;
    const std::string_view expected(PyBytes_AS_STRING(token),
                                    static_cast<std::size_t>(PyBytes_GET_SIZE(token)));
    if (own->token != expected) return false;
    if (!locks::give_back_at_once(*which.server, *which.keepers, *own)) return false;
    if (attribute(state, token_name).ptr() != token) return true;
    set_attribute(state, watch_name, Py_None);
    set_attribute(state, token_name, Py_None);
    return true;
}

template <class Do>
PyObject* answer(Do what) {
    try {
        return PyBool_FromLong(what() ? 1 : 0);
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

// What a wait may be; who gives anything else is told so elsewhere.
bool is_time(PyObject* given) {
    return given == Py_None || PyLong_Check(given) != 0 ||
           (PyFloat_Check(given) != 0 && !std::isnan(PyFloat_AS_DOUBLE(given)));
}

PyObject* call_take(PyObject* self, PyObject* const* given, Py_ssize_t count) {
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "take needs 8 arguments");
        return nullptr;
    }
    const auto& which = held_by<local_mutex>(self);
    const bool unchanged = given[2] == which.timeout.ptr() && given[3] == which.auto_renew.ptr() &&
                           given[4] == which.max_hold.ptr() && given[5] == Py_None && is_time(given[6]) &&
                           is_time(given[7]);
    return answer([&] { return unchanged && take(which, given[0], given[1]); });
}

PyObject* call_give_back(PyObject* self, PyObject* const* given, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "give_back needs 2 arguments");
        return nullptr;
    }
    return answer([&] { return give_back(held_by<local_mutex>(self), given[0], given[1]); });
}

PyMethodDef methods[] = {
    {"take", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call_take)), METH_FASTCALL,
     "take(self: object, state: object, who: str, timeout: object, auto_renew: object, max_hold: object, "
     "on_lost: object, wait: object, own_wait: object) -> bool\n\n"
     "Takes it and notes it down in a state, or returns False: take it by an operation."},
    {"give_back", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call_give_back)), METH_FASTCALL,
     "give_back(self: object, state: object, token: bytes) -> bool\n\n"
     "Gives back what a state holds, or returns False: give it back by an operation."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

py::handle local_mutex_type() {
    static const py::handle type = make_plain_type<local_mutex>(
        "redislock._core.LocalMutex",
        "A mutex of memory://, taken and given back at once where nobody else wants it.", methods);
    return type;  // for the life of the process
}

py::object wrap(local_mutex which) { return make_plain(local_mutex_type(), std::move(which)); }

}  // namespace redislock::bindings
