#include "locks/station.hpp"

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

#include "locks/identity.hpp"

namespace redislock::locks {
namespace {

constexpr nanos refresh_every = 250 * millisecond;  // queue.lua passes over who is silent for 750 ms
constexpr std::size_t lines_a_call = 200;
constexpr std::size_t renewals_a_call = 1000;
constexpr nanos shortest_retry = 5 * millisecond;

// Renewed once a third of the lease has passed, so that two renewals may fail.
nanos next_renewal(const hold& which) noexcept {
    const nanos deadline = which.deadline();
    return deadline == never ? never : deadline - which.lease() + which.lease() / 3;
}

}  // namespace

// ---- waiters

station::station(std::unique_ptr<engine::reactor> own)
    : reactor_(std::move(own)), channel_(wake_channel()), waits_(waits_key()) {
    reactor_->loop().listen_for_wake(*this);
}

station::~station() {
    subscription_.reset();
    refresh_alarm_.cancel();
    renew_alarm_.cancel();
    reactor_->loop().stop_listening(*this);
}

std::uint64_t station::enlist(std::shared_ptr<engine::signal> who, const std::vector<lock_keys>& which) {
    bool first = false;
    std::uint64_t number = 0;
    {
        const std::scoped_lock lock(mutex_);
        first = waiters_.empty() && !refreshing_;
        // Unique within the process, since all its stations may hear the same channel.
        static std::atomic<std::uint64_t> last = 0;
        number = ++last;
        auto& own = waiters_[number];
        own.who = std::move(who);
        for (const auto& each : which) {
            own.locks.push_back(each.name);
            join_line(each);
        }
    }
    if (first) reactor_->loop().poller().wake_handle()->wake();
    return number;
}

void station::discharge(std::uint64_t number) {
    const std::scoped_lock lock(mutex_);
    const auto found = waiters_.find(number);
    if (found == waiters_.end()) return;
    for (const auto& each : found->second.locks) leave_line(each);
    waiters_.erase(found);
}

void station::join_line(const lock_keys& which) {
    auto found = lines_.find(which.name);
    if (found == lines_.end()) found = lines_.emplace(which.name, line{which, 0}).first;
    ++found->second.waiting;
}

void station::leave_line(const std::string& lock) {
    const auto found = lines_.find(lock);
    if (found != lines_.end() && --found->second.waiting == 0) lines_.erase(found);
}

void station::on_wake() {
    bool waiting = false;
    std::vector<std::shared_ptr<hold>> handed;
    std::vector<std::shared_ptr<hold>> unclaimed;
    {
        const std::scoped_lock lock(mutex_);
        waiting = !waiters_.empty();
        refreshing_ = refreshing_ || waiting;
        handed.swap(handed_);
        unclaimed.swap(unclaimed_);
    }
    for (auto& each : handed) reactor_->submit(std::make_shared<claim_request>(std::move(each), channel_));
    for (auto& each : unclaimed) reactor_->submit(std::make_shared<give_back_request>(std::move(each)));
    if (waiting) {
        if (!subscription_) subscription_ = reactor_->server().subscribe(channel_, *this);
        if (!refresh_alarm_.armed()) {
            reactor_->loop().timers().arm(refresh_alarm_, reactor_->loop().now() + refresh_every);
        }
    }
    arm_renewal();
}

// "NUMBER WORDS"
void station::on_message(std::string_view payload) {
    std::uint64_t number = 0;
    const char* end = payload.data() + payload.size();
    const auto [at, failed] = std::from_chars(payload.data(), end, number);
    if (failed == std::errc{} && at != end) tell(number, std::string(at + 1, end));
}

void station::on_subscribed() {
    listening_.store(true, std::memory_order_release);
    tell_all("again");
}

void station::on_unsubscribed(const error& /*why*/) {
    if (listening_.exchange(false, std::memory_order_acq_rel)) tell_all("again");
}

void station::tell(std::uint64_t number, std::string word) {
    const std::scoped_lock lock(mutex_);
    const auto found = waiters_.find(number);
    if (found != waiters_.end()) found->second.who->post(std::move(word));
}

void station::tell_all(const std::string& word) {
    const std::scoped_lock lock(mutex_);
    for (const auto& [number, each] : waiters_) each.who->post(word);
}

void station::tell_line(const std::string& which, const std::string& word) {
    const std::scoped_lock lock(mutex_);
    for (const auto& [number, each] : waiters_) {
        if (std::find(each.locks.begin(), each.locks.end(), which) != each.locks.end()) each.who->post(word);
    }
}

void station::refresh() {
    std::vector<lock_keys> lines;
    {
        const std::scoped_lock lock(mutex_);
        refreshing_ = !waiters_.empty();
        if (!refreshing_) return;  // the next one to come wakes us
        lines.reserve(lines_.size());
        for (const auto& [name, each] : lines_) lines.push_back(each.keys);
    }
    reactor_->loop().timers().arm(refresh_alarm_, reactor_->loop().now() + refresh_every);
    if (refreshes_ > 0) return;  // the server is slow: no second one on top
    for (std::size_t from = 0; from < lines.size(); from += lines_a_call) {
        const auto begin = lines.begin() + static_cast<std::ptrdiff_t>(from);
        const auto end =
            lines.begin() + static_cast<std::ptrdiff_t>(std::min(from + lines_a_call, lines.size()));
        reactor_->submit(
            std::make_shared<refresh_request>(std::vector<lock_keys>(begin, end), channel_, waits_));
        ++refreshes_;
    }
}

void station::take_refreshed(refresh_request& done) {
    --refreshes_;
    if (!done.outcome()) return;  // the next one, soon, says the same again
    const auto& answers = *done.outcome();
    for (std::size_t i = 0; i < answers.size() && i < done.lines().size(); ++i) {
        const auto& words = answers[i].items;
        if (words.empty()) continue;
        // Where nothing can be heard, as by an ACL without channels, waiters ask by themselves.
        if (words[0].integer == 0 || !listening()) tell_line(done.lines()[i].name, "again");
        for (const auto& each : std::span(words).subspan(1)) {
            const auto blank = each.text.find(' ');
            std::uint64_t number = 0;
            std::from_chars(each.text.data(), each.text.data() + each.text.size(), number);
            if (blank != std::string::npos) tell(number, "handed" + each.text.substr(blank));
        }
    }
}

// ---- leases

void station::keep(const std::shared_ptr<hold>& which, bool renew, nanos until) {
    bool earlier = false;
    {
        const std::scoped_lock lock(mutex_);
        earlier = schedule_lease(begin_charge(which, renew, until), *which);
    }
    if (earlier) reactor_->loop().poller().wake_handle()->wake();
}

void station::claim(const std::shared_ptr<hold>& which, bool renew, nanos until) {
    {
        const std::scoped_lock lock(mutex_);
        begin_charge(which, renew, until).under_way = true;
        handed_.push_back(which);
    }
    reactor_->loop().poller().wake_handle()->wake();
}

bool station::settle(const hold& which, const std::shared_ptr<engine::signal>& who) {
    const std::scoped_lock lock(mutex_);
    const auto found = charges_.find(&which);
    if (found == charges_.end() || !found->second.under_way) return false;
    found->second.settling.push_back(who);
    return true;
}

bool station::drop(const hold& which, const std::shared_ptr<engine::signal>& who) {
    const std::scoped_lock lock(mutex_);
    const auto found = charges_.find(&which);
    if (found == charges_.end()) return false;
    if (found->second.under_way) {
        if (who) found->second.dropped = who;
        return true;
    }
    end_charge(&which);
    return false;
}

void station::give_back(std::shared_ptr<hold> which) {
    if (!which->release()) return;
    {
        const std::scoped_lock lock(mutex_);
        const auto found = charges_.find(which.get());
        if (found != charges_.end() && !found->second.under_way) end_charge(which.get());
        unclaimed_.push_back(std::move(which));
    }
    reactor_->loop().poller().wake_handle()->wake();
}

void station::reschedule(const hold& which) {
    bool earlier = false;
    {
        const std::scoped_lock lock(mutex_);
        const auto found = charges_.find(&which);
        if (found == charges_.end() || found->second.under_way) return;
        earlier = schedule_lease(found->second, which);
    }
    if (earlier) reactor_->loop().poller().wake_handle()->wake();
}

station::charge& station::begin_charge(const std::shared_ptr<hold>& which, bool renew, nanos until) {
    auto& own = charges_[which.get()];
    own.which = which;
    own.key = which.get();
    own.renew = renew;
    own.until = until;
    return own;
}

bool station::schedule_lease(charge& which, const hold& own) {
    schedule(which, which.renew ? next_renewal(own) : own.deadline());
    return which.next < armed_for_;
}

void station::schedule(charge& which, nanos next) {
    due_.erase({which.next, which.key});
    which.next = next;
    due_.emplace(next, which.key);
}

void station::end_charge(const hold* which) {
    const auto found = charges_.find(which);
    due_.erase({found->second.next, which});
    charges_.erase(found);
}

void station::arm_renewal() {
    nanos next = never;
    {
        const std::scoped_lock lock(mutex_);
        if (!due_.empty()) next = due_.begin()->first;
        armed_for_ = next;
    }
    if (next == never) renew_alarm_.cancel();
    else reactor_->loop().timers().arm(renew_alarm_, next);
}

// Takes along what is due soon, so that thousands of leases cost a few calls.
void station::collect_due(std::vector<std::shared_ptr<hold>>& batch,
                          std::vector<std::shared_ptr<hold>>& gone) {
    const nanos now = reactor_->loop().now();
    const std::scoped_lock lock(mutex_);
    while (!due_.empty()) {
        auto& own = charges_.at(due_.begin()->second);
        auto which = own.which.lock();
        if (!which) {
            end_charge(own.key);
            continue;
        }
        const nanos deadline = which->deadline();
        if (own.next > now + (own.renew ? which->lease() / 30 : 0)) return;
        if (now >= deadline) {
            end_charge(own.key);
            gone.push_back(std::move(which));
        } else if (!own.renew || now >= own.until) {
            own.renew = false;
            schedule(own, deadline);
        } else {
            due_.erase({own.next, own.key});
            own.under_way = true;
            batch.push_back(std::move(which));
        }
    }
}

void station::renew() {
    std::vector<std::shared_ptr<hold>> batch;
    std::vector<std::shared_ptr<hold>> gone;
    collect_due(batch, gone);
    for (const auto& each : gone) {
        if (each->lose() && each->announced) push_loss(each);
    }
    for (std::size_t from = 0; from < batch.size(); from += renewals_a_call) {
        const auto begin = batch.begin() + static_cast<std::ptrdiff_t>(from);
        const auto end =
            batch.begin() + static_cast<std::ptrdiff_t>(std::min(from + renewals_a_call, batch.size()));
        reactor_->submit(std::make_shared<renew_request>(std::vector<std::shared_ptr<hold>>(begin, end)));
    }
    arm_renewal();
}

bool station::take_lease(lease_request& done, std::size_t index) {
    const nanos now = reactor_->loop().now();
    const auto& which = done.holds()[index];
    const auto granted = done.granted(index);
    const std::scoped_lock lock(mutex_);
    const auto found = charges_.find(which.get());
    if (found == charges_.end()) return false;
    auto& own = found->second;
    own.under_way = false;
    // One that came too late has been told to be lost, and stays so.
    const bool lost = granted && (!*granted || now >= which->deadline());
    if (granted && !lost) done.extend(index);
    for (const auto& each : std::exchange(own.settling, {})) each->post("settled");
    if (own.dropped) {
        own.dropped->post("ended");
        charges_.erase(found);
        return false;
    }
    if (lost || (granted && !own.renew && !which->announced)) {
        charges_.erase(found);
        return lost;
    }
    const nanos retry = now + std::max(which->lease() / 10, shortest_retry);
    if (granted && own.renew) schedule(own, next_renewal(*which));
    else schedule(own, granted ? which->deadline() : std::min(retry, which->deadline()));
    return false;
}

void station::take_leases(lease_request& done) {
    for (std::size_t index = 0; index < done.holds().size(); ++index) {
        const auto& each = done.holds()[index];
        if (take_lease(done, index) && each->lose() && each->announced) push_loss(each);
    }
    arm_renewal();
}

void station::pump() {
    do {
        reactor_->pump(0);
        for (const auto& each : reactor_->take_finished()) {
            if (auto* refreshed = dynamic_cast<refresh_request*>(each.get())) take_refreshed(*refreshed);
            else if (auto* leases = dynamic_cast<lease_request*>(each.get())) take_leases(*leases);
        }
        [[maybe_unused]] const auto unread = reactor_->loop().take_log();  // the clients tell the same
    } while (reactor_->has_work());
    reactor_->flush();
}

}  // namespace redislock::locks
