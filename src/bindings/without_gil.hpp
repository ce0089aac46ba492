// Gives the GIL up for a scope, in a way that survives the end of the interpreter.
//
// A daemon thread may come back from a long wait while Python shuts down. Before Python 3.14
// PyEval_RestoreThread then ends the thread by unwinding its stack, and a destructor on the way
// turns that into std::terminate: the whole program would abort at its exit. So such a thread is
// held here until the process is gone, which is what Python 3.14 does by itself.
// https://docs.python.org/3/c-api/init.html#c.PyEval_RestoreThread
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

namespace redislock::bindings {

class without_gil {
public:
    without_gil() noexcept : state_(PyEval_SaveThread()) {}
    without_gil(const without_gil&) = delete;
    without_gil& operator=(const without_gil&) = delete;
    ~without_gil() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {  // only the unwinding that ends a thread comes this way
            for (;;) pause();
        }
    }

private:
    PyThreadState* state_;
};

}  // namespace redislock::bindings
