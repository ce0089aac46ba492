// What the keeper does for one server: listens for what is handed over, says that this process still
// waits, renews leases and notices losses.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/reactor.hpp"
#include "engine/signal.hpp"
#include "engine/timers.hpp"
#include "locks/hold.hpp"
#include "locks/requests.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

class station final : private engine::subscriber, private engine::wakeable {
public:
    explicit station(std::unique_ptr<engine::reactor> own);
    station(const station&) = delete;
    station& operator=(const station&) = delete;
    ~station();

    // ---- from any thread

    bool listening() const noexcept { return listening_.load(std::memory_order_acquire); }
    const std::string& channel() const noexcept { return channel_; }

    /// A waiter in the line of one of these locks; the number is what messages name it by.
    std::uint64_t enlist(std::shared_ptr<engine::signal> who, const std::vector<lock_keys>& which);
    void discharge(std::uint64_t number);

    /// Renews a hold until `until`, or only notices the end of its lease.
    void keep(const std::shared_ptr<hold>& which, bool renew, nanos until);
    /// The same for one that was handed over, whose lease is short until the server knows that it came.
    void claim(const std::shared_ptr<hold>& which, bool renew, nanos until);
    /// True where the server was asked for a lease and has not answered: `who` gets a word when it has.
    bool settle(const hold& which, const std::shared_ptr<engine::signal>& who);
    /// No renewal begins after this. True where one is on its way: `who` gets a word when it has ended, and
    /// without it nothing was done.
    bool drop(const hold& which, const std::shared_ptr<engine::signal>& who);
    /// Releases what nobody came for.
    void give_back(std::shared_ptr<hold> which);
    /// Another lease begins; the next renewal goes by it.
    void reschedule(const hold& which);

    // ---- in the keeper's thread

    const engine::poller& poller() const noexcept { return reactor_->loop().poller(); }
    void pump();
    void abandon_after_fork() noexcept { reactor_->abandon_after_fork(); }

private:
    class alarm final : public engine::timer {
    public:
        alarm(station& owner, void (station::*call)()) noexcept : owner_(owner), call_(call) {}

    private:
        void on_timer() override { (owner_.*call_)(); }
        station& owner_;
        void (station::*call_)();
    };

    struct waiter {
        std::shared_ptr<engine::signal> who;
        std::vector<std::string> locks;
    };
    struct line {
        lock_keys keys;
        std::size_t waiting = 0;
    };
    struct charge {
        std::weak_ptr<hold> which;  // nobody's any more: no longer renewed, its lease just ends
        const hold* key = nullptr;
        bool renew = false;
        nanos until = never;
        nanos next = 0;
        bool under_way = false;
        std::shared_ptr<engine::signal> dropped;  // who waits for its end
        std::vector<std::shared_ptr<engine::signal>> settling;
    };

    void on_message(std::string_view payload) override;
    void on_subscribed() override;
    void on_unsubscribed(const error& why) override;
    void on_wake() override;
    void tell_all(const std::string& word);
    void tell(std::uint64_t number, std::string word);
    void tell_line(const std::string& which, const std::string& word);
    void join_line(const lock_keys& which);
    void leave_line(const std::string& lock);

    void refresh();
    void take_refreshed(refresh_request& done);
    void renew();
    void take_leases(lease_request& done);
    /// What is to be done with it now; true where it turned out to be lost.
    bool take_lease(lease_request& done, std::size_t index);
    charge& begin_charge(const std::shared_ptr<hold>& which, bool renew, nanos until);
    void schedule(charge& which, nanos next);
    /// For what the hold says now; true where the thread has to be woken for it.
    bool schedule_lease(charge& which, const hold& own);
    void end_charge(const hold* which);
    void collect_due(std::vector<std::shared_ptr<hold>>& batch, std::vector<std::shared_ptr<hold>>& gone);
    void arm_renewal();

    std::unique_ptr<engine::reactor> reactor_;
    const std::string channel_;
    const std::string waits_;
    std::atomic<bool> listening_ = false;
    std::unique_ptr<engine::subscription> subscription_;
    alarm refresh_alarm_{*this, &station::refresh};
    alarm renew_alarm_{*this, &station::renew};
    std::size_t refreshes_ = 0;  // under way

    std::mutex mutex_;  // of all below
    std::unordered_map<std::uint64_t, waiter> waiters_;
    std::unordered_map<std::string, line> lines_;
    bool refreshing_ = false;  // it listens, and the alarm is set: a waiter need not wake the thread
    std::unordered_map<const hold*, charge> charges_;
    std::set<std::pair<nanos, const hold*>> due_;
    nanos armed_for_ = never;                       // only what is due before that has to wake the thread
    std::vector<std::shared_ptr<hold>> handed_;     // to be claimed
    std::vector<std::shared_ptr<hold>> unclaimed_;  // to be given back
};

}  // namespace redislock::locks
