// Coroutines for operations. A finished task never resumes its caller from its own stack: it puts
// it into the ready queue, which the reactor runs. So stacks stay flat in every build (symmetric
// transfer in a loop of ready awaits overflows where tail calls are off), and operations on
// memory:// interleave at the same places as on a server.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

namespace redislock::engine {

/// Coroutines that can go on, in the order in which they became ready.
class ready_queue {
public:
    void push(std::coroutine_handle<> handle) { waiting_.push_back(handle); }
    bool empty() const noexcept { return waiting_.empty() && next_ == running_.size(); }

    /// Resumes what is ready now; what becomes ready meanwhile waits for the next call.
    void run_batch() {
        if (next_ == running_.size()) {
            running_.clear();
            next_ = 0;
            running_.swap(waiting_);
        }
        while (next_ < running_.size()) running_[next_++].resume();
    }

    /// Forgets everything: for teardown, where frames are destroyed and nothing is resumed.
    void clear() noexcept {
        waiting_.clear();
        running_.clear();
        next_ = 0;
    }

private:
    std::vector<std::coroutine_handle<>> waiting_;
    std::vector<std::coroutine_handle<>> running_;
    std::size_t next_ = 0;
};

/// Called when a task that was started by hand has finished.
struct completion {
    void (*call)(void*) = nullptr;
    void* argument = nullptr;
};

template <class T>
class [[nodiscard]] task {
public:
    struct promise_type;
    using handle = std::coroutine_handle<promise_type>;

    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        void await_suspend(handle self) const noexcept {
            auto& promise = self.promise();
            if (promise.parent) promise.queue->push(promise.parent);
            if (promise.finished.call != nullptr) promise.finished.call(promise.finished.argument);
        }
        void await_resume() const noexcept {}
    };

    struct child_awaiter {
        handle child;
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> parent) const {
            child.promise().queue = parent.promise().queue;
            child.promise().parent = parent;
            child.resume();
        }
        T await_resume() const {
            if (child.promise().failure) std::rethrow_exception(child.promise().failure);
            return std::move(*child.promise().value);
        }
    };

    struct promise_type {
        task get_return_object() noexcept { return task(handle::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        final_awaiter final_suspend() const noexcept { return {}; }
        void return_value(T result) { value.emplace(std::move(result)); }
        void unhandled_exception() noexcept { failure = std::current_exception(); }

        ready_queue* queue = nullptr;
        std::coroutine_handle<> parent;
        completion finished;
        std::optional<T> value;
        std::exception_ptr failure;
    };

    task() noexcept = default;
    task(task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    task& operator=(task&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~task() {
        if (handle_) handle_.destroy();
    }

    /// Runs until the first wait. `finished` is called once, from within the last step.
    void start(ready_queue& queue, completion finished) {
        handle_.promise().queue = &queue;
        handle_.promise().finished = finished;
        handle_.resume();
    }
    bool done() const noexcept { return handle_ && handle_.done(); }
    /// The outcome of a task that is done; rethrows what its body threw.
    T take() {
        auto& promise = handle_.promise();
        if (promise.failure) std::rethrow_exception(promise.failure);
        return std::move(*promise.value);
    }

    auto operator co_await() && noexcept { return child_awaiter{handle_}; }

private:
    explicit task(handle own) noexcept : handle_(own) {}
    handle handle_;
};

}  // namespace redislock::engine
