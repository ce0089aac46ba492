// The load generator: many virtual users in one reactor, each of which begins its next withdrawal
// when the last one has ended (a closed loop) or, with a rate, when the next one is due (an open
// loop, whose latencies count from then: https://github.com/giltene/wrk2#readme). Nothing outside this
// process is asked per operation, neither Python nor another thread. Creates and removes no account.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "accounts/account.hpp"
#include "engine/reactor.hpp"
#include "load/draw.hpp"
#include "load/tally.hpp"
#include "types/keys.hpp"
#include "types/status.hpp"

namespace redislock::load {

struct settings {
    redislock::strategy strategy = redislock::strategy::lua;
    std::uint32_t users = 64;  ///< withdrawals in flight
    std::vector<account_keys> accounts;
    distribution keys = distribution::hot;
    redislock::amount amount = 3;
    redislock::amount jitter = 0;  ///< each amount is off by up to this much, and at least 1
    nanos warmup = 1 * second;     ///< not measured, but counted in the money
    nanos duration = 5 * second;   ///< of the measured window, unless `count` is set
    std::uint64_t count = 0;       ///< measured withdrawals in all; 0: by duration
    std::uint64_t seed = 0;        ///< of accounts and amounts; each user draws a row of its own
    nanos timeout = 5 * second;    ///< total, per withdrawal
    nanos rtt = 0;                 ///< added to each round trip
    double rate = 0;               ///< withdrawals to begin a second, in all; 0: a closed loop
    accounts::settings rules;
};

/// How far a run has got.
enum class phase : std::uint8_t {
    fresh,
    warming,
    measuring,
    draining,  ///< nothing new begins; what is under way ends, at the latest with its timeout
    over,
};

std::string_view to_string(phase value) noexcept;

class generator {
public:
    /// Fails where a setting makes no sense, in the words of the argument. Opens no connection.
    static result<std::unique_ptr<generator>> make(load::settings asked,
                                                   const engine::backend_factory& factory,
                                                   clock_source clock = monotonic_now);
    generator(const generator&) = delete;
    generator& operator=(const generator&) = delete;
    ~generator();

    /// Goes on for about this long; the first call starts the users. False once the run is over.
    bool step(nanos budget);
    /// Changes how many users there are, from now on; 0 is a pause. Whoever is too many ends its
    /// withdrawal and begins no other.
    void set_users(std::uint32_t wanted);
    /// All that was counted since the last time. For a run without `count`, which ends by it.
    tally take_seen();
    /// Begins no more withdrawals: the run drains. Steps go on until it is over.
    void stop();
    /// Ends the run at once. What is under way has an unknown outcome.
    void abort();

    load::phase phase() const noexcept { return phase_; }
    /// Of the measured window, so far.
    nanos elapsed() const noexcept;
    /// How much of the run is done, from 0 to 1.
    double progress() const noexcept;
    const tally& seen() const noexcept { return seen_; }
    const load::settings& settings() const noexcept { return settings_; }
    /// Users within a withdrawal.
    std::uint32_t in_flight() const noexcept { return in_flight_; }
    /// The most users that ever waited for one of the exclusive connections at once.
    std::size_t longest_line() const noexcept { return reactor_->lanes().longest_line(); }
    /// Of an open loop: withdrawals that were due within the window and never began, since all users
    /// were busy, also for as long again after it.
    std::uint64_t missed() const noexcept;
    /// What ended the run early, if anything did: a fault that every further withdrawal would meet.
    const std::optional<error>& fatal() const noexcept { return fatal_; }
    std::vector<engine::log_record> take_log() noexcept { return reactor_->loop().take_log(); }

    /// For a forked child, which must not touch what it shares with its parent: leak this afterwards.
    void abandon_after_fork() noexcept { reactor_->abandon_after_fork(); }

private:
    class user;

    generator(load::settings asked, std::unique_ptr<engine::reactor> reactor);

    static engine::task<result<done>> live(engine::context& own, generator& run, user& who);
    nanos due_next() noexcept;
    std::uint64_t backlog(nanos when) const noexcept;
    bool may_begin(const user& who) const noexcept;
    bool begin_next(user& who);
    bool is_wanted(const user& who) const noexcept;
    void employ(std::uint32_t number);
    /// Keeps the books; answers how long the user should pause.
    nanos end_one(user& who, const result<accounts::receipt>& ended);
    void count_fault(user& who, const error& why);
    void start();
    void advance(nanos now);
    void enter_draining(nanos now);

    load::settings settings_;
    account_picker accounts_;
    amount_picker amounts_;
    tally seen_;
    load::phase phase_ = phase::fresh;
    std::uint64_t begun_ = 0;        // withdrawals of the measured window
    std::uint64_t slots_ = 0;        // of an open loop, claimed by users
    std::uint64_t turned_away_ = 0;  // of them, those that came too late to begin
    nanos started_at_ = 0;           // when the first of them was due
    std::uint32_t in_flight_ = 0;
    nanos entered_at_ = 0;    // the phase
    nanos boundary_ = never;  // when it ends by itself
    nanos measured_from_ = 0;
    nanos measured_until_ = 0;
    nanos late_until_ = 0;  // of an open loop: until when what was due in the window may begin
    std::optional<error> fatal_;
    random_source seeds_;
    std::vector<std::shared_ptr<user>> users_;  // those beyond settings_.users are leaving, or have left
    std::unique_ptr<engine::reactor> reactor_;  // last: its coroutines refer to all of the above
};

}  // namespace redislock::load
