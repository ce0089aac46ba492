// A race in slow motion: several buyers withdraw from one account by the core's own coroutines, and
// whoever steps them decides whose round trip comes next. Each buyer has connections of its own, as
// if it were a process. Creates and removes no account.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "accounts/account.hpp"
#include "engine/reactor.hpp"
#include "load/gate.hpp"
#include "types/keys.hpp"
#include "types/status.hpp"

namespace redislock::load {

struct race_settings {
    redislock::strategy strategy = redislock::strategy::naive;
    account_keys account;
    redislock::amount amount = 1;
    std::uint32_t buyers = 2;
    accounts::settings rules;
};

class stepper {
public:
    /// Starts every buyer up to its first round trip. Sends nothing.
    static result<std::unique_ptr<stepper>> make(race_settings asked, const engine::backend_factory& factory,
                                                 clock_source clock = monotonic_now);
    stepper(const stepper&) = delete;
    stepper& operator=(const stepper&) = delete;
    ~stepper();

    /// Lets the buyer's next round trip go, if it stands before one.
    void release(std::size_t buyer);
    /// Goes on for at most `patience`, until the buyer stands before a round trip or has ended: then true.
    bool settle(std::size_t buyer, nanos patience);

    /// What was sent and answered, and what is held.
    const gate& gate_of(std::size_t buyer) const noexcept;
    /// Whether the buyer paused since its last round trip: for a lock that others hold, after a conflict.
    bool paused(std::size_t buyer) const noexcept;
    /// How its withdrawal ended; null while it has not.
    const result<accounts::receipt>* outcome(std::size_t buyer) const noexcept;

    /// Sends the buyers away and waits for at most `patience` until their locks are released.
    void cancel(nanos patience);

    std::vector<engine::log_record> take_log();
    /// For a forked child, which must not touch what it shares with its parent: leak this afterwards.
    void abandon_after_fork() noexcept;

private:
    class racer;

    explicit stepper(race_settings asked);

    race_settings settings_;
    std::vector<std::unique_ptr<racer>> buyers_;
};

}  // namespace redislock::load
