// _core.ThreadDriver and _core.LoopDriver: what runs operations, for blocking threads and for event
// loops. Choosing between them, and waiting, is Python's.
#include <pybind11/stl.h>

#include <mutex>
#include <utility>

#include "bindings/bindings.hpp"
#include "bindings/without_gil.hpp"
#include "engine/thread_driver.hpp"

namespace redislock::bindings {
namespace {

constexpr nanos signal_slice = 50 * millisecond;

std::unique_ptr<engine::reactor> make_reactor(const address& where) {
    return unwrap(engine::reactor::make(make_factory(where)));
}

[[noreturn]] void raise_closed() { raise({errc::closed, "the client is closed; make a new one"}); }

void refuse_used(const request& which) {
    if (which.started()) throw py::value_error("an operation can be run only once");
}

// For any number of threads at once.
class thread_driver {
public:
    explicit thread_driver(const address& where)
        : driver_(std::make_shared<engine::thread_driver>(make_reactor(where))) {}
    ~thread_driver() { close(); }

    /// `interruptible`: this is the main thread, which looks for signals now and then.
    py::object run(const request_ptr& which, bool interruptible) {
        refuse_used(*which);
        const auto driver = own();  // close() by another thread must not take it away
        if (!driver) raise_closed();
        const nanos slice = interruptible ? signal_slice : never;
        bool finished = false;
        bool started = false;
        {
            const without_gil released;
            started = driver->start(which);
            if (started) finished = driver->wait(*which, slice);
        }
        if (!started) raise_closed();
        // Also when it has finished: a handler that raises right behind this call would have its outcome
        // forgotten, and with it what was taken.
        while (!finished || interruptible) {
            if (interruptible && PyErr_CheckSignals() != 0) {
                {
                    const py::error_scope interruption;  // kept until the operation has ended
                    leave(*driver, *which);
                }
                throw py::error_already_set();
            }
            if (finished) break;
            const without_gil released;
            finished = driver->wait(*which, slice);
        }
        driver->arrived();
        if (driver->has_log()) tell_log(*driver, *which);
        return which->deliver();
    }

    void close() {
        const auto driver = take();
        if (!driver) return;
        const without_gil released;
        driver->close();
    }

    // Leaked on purpose: mutexes in it may be held, and so may the one here.
    void abandon_after_fork() {
        if (!driver_) return;
        driver_->abandon_after_fork();
        static auto& left_behind = *new std::vector<std::shared_ptr<engine::thread_driver>>;
        left_behind.push_back(std::exchange(driver_, nullptr));
    }

private:
    // Where there is no GIL, calls and a close may come at the same time.
    std::shared_ptr<engine::thread_driver> own() {
        const std::scoped_lock lock(mutex_);
        return driver_;
    }
    std::shared_ptr<engine::thread_driver> take() {
        const std::scoped_lock lock(mutex_);
        return std::exchange(driver_, nullptr);
    }

    // Python's logging is code in which a signal handler may raise, and a filter of the user's.
    static void tell_log(engine::thread_driver& driver, request& which) {
        try {
            emit(driver.take_log());
        } catch (py::error_already_set&) {
            which.discard();
            throw;
        }
    }

    // The caller is interrupted: its operation ends now, and cleans up after itself.
    static void leave(engine::thread_driver& driver, request& which) {
        const without_gil released;
        driver.cancel(which);
        if (!driver.wait(which, second)) return;
        driver.arrived();
        which.discard();
    }

    std::mutex mutex_;
    std::shared_ptr<engine::thread_driver> driver_;
};

// For one event loop, used from its thread only.
class loop_driver {
public:
    explicit loop_driver(const address& where) : reactor_(make_reactor(where)) {}
    loop_driver(const loop_driver&) = delete;
    loop_driver& operator=(const loop_driver&) = delete;
    // Nothing is told to anybody: the interpreter may be ending, and an import would fail.
    ~loop_driver() {
        if (!reactor_) return;
        end(*reactor_);
        for (const auto& each : reactor_->take_finished()) {
            drop_waiter(static_cast<request&>(*each));
            static_cast<request&>(*each).discard();
        }
    }

    int fileno() const { return reactor_ ? reactor_->fileno() : -1; }
    std::size_t in_flight() const { return reactor_ ? reactor_->in_flight() : 0; }

    /// Starts the operation; `waiter` comes back with its outcome from `pump`.
    void submit(const request_ptr& which, py::object waiter) {
        refuse_used(*which);
        if (!reactor_) raise_closed();
        which->waiter = waiter.release().ptr();
        reactor_->submit(which);
    }

    /// Sends what is queued, reads what is there; a list of (waiter, value, failed).
    py::list pump() {
        if (!reactor_) return py::list();
        reactor_->pump(0);
        return take();
    }

    /// Only sends what is queued, and whatever finished by that.
    py::list flush() {
        if (!reactor_) return py::list();
        reactor_->flush();
        return take();
    }

    /// The waiter has gone: the operation ends soon and its outcome is not delivered.
    void cancel(const request_ptr& which) {
        drop_waiter(*which);
        if (reactor_) reactor_->cancel(*which);
    }

    /// Ends everything under way; the outcomes are the last that will be delivered.
    py::list close() {
        if (!reactor_) return py::list();
        end(*reactor_);
        py::list last = take();
        reactor_.reset();
        return last;
    }

    void abandon_after_fork() {
        if (!reactor_) return;
        reactor_->abandon_after_fork();
        [[maybe_unused]] auto* leaked = reactor_.release();
    }

private:
    static void end(engine::reactor& which) {
        which.cancel_all(errc::closed);
        which.drain();
    }

    static void drop_waiter(request& which) {
        if (which.waiter != nullptr) Py_DECREF(static_cast<PyObject*>(std::exchange(which.waiter, nullptr)));
    }

    py::list take() {
        py::list out;
        for (const auto& each : reactor_->take_finished()) {
            auto& finished = static_cast<request&>(*each);
            if (finished.waiter == nullptr) {
                finished.discard();
                continue;
            }
            const auto waiter = py::reinterpret_steal<py::object>(
                static_cast<PyObject*>(std::exchange(finished.waiter, nullptr)));
            try {
                out.append(py::make_tuple(waiter, finished.deliver(), false));
            } catch (py::error_already_set& failure) {
                out.append(py::make_tuple(waiter, failure.value(), true));
            }
        }
        if (!reactor_) return out;  // closed meanwhile: by a finalizer that the garbage collector ran
        // What can go on without an event must not wait for one.
        if (reactor_->has_work()) reactor_->loop().poller().wake_handle()->wake();
        if (reactor_->loop().has_log()) emit(reactor_->loop().take_log());
        return out;
    }

    std::unique_ptr<engine::reactor> reactor_;
};

}  // namespace

void register_drivers(py::module_& m) {
    py::class_<thread_driver>(m, "ThreadDriver", py::is_final(), "Runs operations for blocking threads.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&>(), py::arg("options"))
        .def("run", &thread_driver::run, py::arg("operation"), py::arg("interruptible"))
        .def("close", &thread_driver::close)
        .def("abandon_after_fork", &thread_driver::abandon_after_fork);
    py::class_<loop_driver>(m, "LoopDriver", py::is_final(), "Runs operations for one event loop.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&>(), py::arg("options"))
        .def("fileno", &loop_driver::fileno)
        .def_property_readonly("in_flight", &loop_driver::in_flight)
        .def("submit", &loop_driver::submit, py::arg("operation"), py::arg("waiter"))
        .def("pump", &loop_driver::pump)
        .def("flush", &loop_driver::flush)
        .def("cancel", &loop_driver::cancel, py::arg("operation"))
        .def("close", &loop_driver::close)
        .def("abandon_after_fork", &loop_driver::abandon_after_fork);
}

}  // namespace redislock::bindings
