// Something to be done once: a coroutine, its context and its outcome. What is submitted to a
// reactor and comes back finished.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/context.hpp"
#include "engine/task.hpp"

namespace redislock::engine {

class reactor;

class operation {
public:
    explicit operation(nanos timeout) noexcept : timeout_(timeout) {}
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    virtual ~operation() = default;

    bool started() const noexcept { return context_.has_value(); }
    bool finished() const noexcept { return finished_; }
    /// Whether something of it is still to be cleaned up at the server.
    bool left_cleanup() const noexcept { return context_ && context_->left_cleanup(); }
    void* waiter = nullptr;  ///< the driver's: who waits for it

private:
    friend class reactor;
    /// Creates the coroutine and runs it to its first wait.
    virtual void launch(context& with, ready_queue& queue, completion finished) = 0;
    /// Keeps the outcome and destroys the frame.
    virtual void collect() = 0;
    virtual void destroy_frame() noexcept = 0;

    nanos timeout_;
    reactor* home_ = nullptr;
    std::size_t position_ = 0;  // among the reactor's live operations
    std::optional<context> context_;
    bool finished_ = false;
};

/// An operation whose coroutine ends in `result<T>`. `body` is called once with the context and makes
/// the coroutine. `Base` is `operation` or derived from it.
template <class T, class Base = operation>
class operation_of : public Base {
public:
    using Base::Base;
    /// Valid once finished.
    result<T>& outcome() noexcept { return *outcome_; }

private:
    virtual task<result<T>> body(context& with) = 0;
    void launch(context& with, ready_queue& queue, completion finished) final {
        task_ = body(with);
        task_.start(queue, finished);
    }
    // Below the bindings failures are values, so this is memory that ran out, or a mistake of ours:
    // the operation's alone, and not that of all who share the reactor.
    void collect() final {
        try {
            outcome_.emplace(task_.take());
        } catch (const std::exception& failure) {
            outcome_.emplace(error{errc::outcome_unknown, std::string("the operation broke off (") +
                                                              failure.what() +
                                                              "): it may or may not have been applied"});
        }
        task_ = {};
    }
    void destroy_frame() noexcept final { task_ = {}; }

    task<result<T>> task_;
    std::optional<result<T>> outcome_;
};

}  // namespace redislock::engine
