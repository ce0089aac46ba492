// What one operation sees of the engine while it runs: send a unit and await its replies, take an
// exclusive lane, sleep, hear from another thread. Carries the operation's total deadline and its
// cancellation into every wait, so that strategies hold no timing code.
#pragma once

#include <coroutine>
#include <memory>
#include <optional>
#include <string>

#include "engine/channel.hpp"
#include "engine/lane_pool.hpp"
#include "engine/loop.hpp"
#include "engine/signal.hpp"
#include "engine/slot.hpp"
#include "types/result.hpp"

namespace redislock::engine {

class context;

/// What a suspended coroutine waits for. Lives in its frame.
class wait {
public:
    wait(const wait&) = delete;
    wait& operator=(const wait&) = delete;

protected:
    explicit wait(context& owner) noexcept : owner_(owner) {}
    ~wait();
    void suspend(std::coroutine_handle<> handle) noexcept;
    /// Lets the coroutine go on in the next batch.
    void resume();
    bool suspended() const noexcept { return static_cast<bool>(handle_); }

    context& owner_;

private:
    friend class context;
    /// The deadline passed or the caller left: end the wait now.
    virtual void interrupt(errc reason) = 0;
    std::coroutine_handle<> handle_;
};

/// The replies to a unit. Valid until it is destroyed.
class answer {
public:
    explicit answer(slot_ptr from) noexcept : slot_(std::move(from)) {}
    const wire::reply& operator[](std::size_t index) const { return slot_->replies[index]; }
    std::size_t size() const noexcept { return slot_->replies.size(); }
    /// The first error among the replies, if any.
    const wire::reply* failure() const noexcept;

private:
    slot_ptr slot_;
};

class send_wait final : public wait, private slot_listener, private timer {
public:
    send_wait(context& owner, channel& through, slot_ptr what) noexcept
        : wait(owner), channel_(through), slot_(std::move(what)) {}
    ~send_wait() override;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    result<answer> await_resume();

private:
    void on_complete(slot& which) override;
    void on_timer() override;
    void interrupt(errc reason) override;

    channel& channel_;
    slot_ptr slot_;
    bool outstanding_ = false;
};

class lane_wait final : public wait, private lane_waiter {
public:
    lane_wait(context& owner, lane_pool& from) noexcept : wait(owner), pool_(from) {}
    ~lane_wait();

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    result<lane> await_resume();

private:
    void on_lane(std::unique_ptr<channel> granted, bool watching) override;
    void interrupt(errc reason) override;

    lane_pool& pool_;
    lane granted_;
    bool in_line_ = false;
    std::optional<errc> interrupted_;
};

class sleep_wait final : public wait, private timer {
public:
    sleep_wait(context& owner, nanos duration) noexcept : wait(owner), duration_(duration) {}

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    result<done> await_resume();

private:
    void on_timer() override;
    void interrupt(errc reason) override;

    nanos duration_;
    std::optional<errc> interrupted_;
};

class signal_wait final : public wait, private signal_listener, private timer {
public:
    signal_wait(context& owner, std::shared_ptr<signal> from, nanos patience) noexcept
        : wait(owner), from_(std::move(from)), patience_(patience) {}
    ~signal_wait() override;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    result<std::optional<std::string>> await_resume();

private:
    void on_word() override;
    void on_timer() override;
    void interrupt(errc reason) override;
    void stop();

    std::shared_ptr<signal> from_;
    nanos patience_;
    std::optional<errc> interrupted_;
};

/// What an operation has asked of its server.
struct traffic {
    std::uint32_t round_trips = 0;
    std::uint32_t statements = 0;  ///< commands, those inside of MULTI and EXEC included
};

class context final : private timer {
public:
    context(engine::loop& loop, backend& server, lane_pool& lanes) noexcept
        : loop_(loop), backend_(server), lanes_(lanes) {}
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    /// Starts the clock of an operation; `timeout` is its total.
    void begin(nanos timeout);
    /// Stops the clock: no interruption after this.
    void end() noexcept { cancel(); }
    /// Moves the deadline to `timeout` from now: for what waits for others as well as for the server.
    void allow(nanos timeout);
    nanos elapsed() const noexcept { return loop_.now() - begun_at_; }
    nanos timeout() const noexcept { return timeout_; }
    /// Since `begin`. What is sent again after a lost connection counts once.
    const traffic& asked() const noexcept { return asked_; }
    /// For experiments: each answer comes later by this much, as from a server that is farther away.
    void add_latency(nanos of_each_round_trip) noexcept { added_latency_ = of_each_round_trip; }

    /// A unit to fill. Its buffers are reused ones.
    slot_ptr make_slot() { return loop_.slots().take(); }
    send_wait send(slot_ptr what) noexcept { return {*this, backend_.shared(), std::move(what)}; }
    send_wait send(lane& through, slot_ptr what) noexcept {
        return {*this, through.channel(), std::move(what)};
    }
    /// Sends without waiting: for cleanups that outlive their caller. Given up after `patience`.
    /// `earlier` is what it undoes, if anything, and is not overtaken.
    void detach(slot_ptr what, nanos patience, const slot* earlier = nullptr);
    /// Whether a cleanup was sent that may not have been answered yet.
    bool left_cleanup() const noexcept { return left_cleanup_ && loop_.slots().cleanups() > 0; }
    lane_wait exclusive() noexcept { return {*this, lanes_}; }
    sleep_wait sleep(nanos duration) noexcept { return {*this, duration}; }
    /// The next word that is posted to `from`, or nothing where none has come after `patience`. A word
    /// that this wait did not take, because it was interrupted, stays for the next one.
    signal_wait receive(std::shared_ptr<signal> from, nanos patience = never) noexcept {
        return {*this, std::move(from), patience};
    }

    /// A change was written whose answer never came, and the attempt was repeated: from here on
    /// only a recorded outcome may be told, anything else is outcome_unknown.
    bool in_doubt = false;

    /// Ends the current wait, and every later one: the caller is no longer there.
    void interrupt(errc reason);
    error interruption(errc reason, const std::string& condition) const;

    engine::loop& loop() noexcept { return loop_; }
    const backend& server() const noexcept { return backend_; }

private:
    friend class wait;
    friend class send_wait;
    friend class lane_wait;
    friend class sleep_wait;
    friend class signal_wait;
    void on_timer() override { interrupt(errc::timed_out); }

    engine::loop& loop_;
    backend& backend_;
    lane_pool& lanes_;
    wait* current_ = nullptr;
    std::optional<errc> interrupted_;
    nanos begun_at_ = 0;
    nanos timeout_ = 0;
    nanos added_latency_ = 0;
    traffic asked_;
    bool left_cleanup_ = false;
};

}  // namespace redislock::engine
