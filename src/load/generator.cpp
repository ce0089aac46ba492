#include "load/generator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "accounts/ledger.hpp"
#include "accounts/withdraw.hpp"

namespace redislock::load {
namespace {

constexpr std::uint32_t most_users = 100'000;
constexpr nanos drain_grace = 500 * millisecond;  // beyond the timeout, which every withdrawal has
constexpr nanos least_pause = 1 * millisecond;
constexpr nanos most_pause = 100 * millisecond;
constexpr nanos most_rtt = 10 * second;
constexpr double least_rate = 0.001;
constexpr double most_rate = 10e6;

// Meets every further withdrawal as well, so going on would only hammer the server.
bool is_hopeless(errc code) noexcept {
    return code == errc::authentication || code == errc::no_permission || code == errc::configuration ||
           code == errc::redirected || code == errc::closed;
}

// An answer that makes no sense promises nothing either.
bool may_have_been_applied(errc code) noexcept {
    return code == errc::outcome_unknown || code == errc::protocol;
}

std::optional<error> find_mistake(const settings& asked) {
    const auto wrong = [](const char* text) { return error{errc::invalid_argument, text}; };
    if (asked.users < 1 || asked.users > most_users) return wrong("users must be from 1 to 100000");
    if (asked.accounts.empty()) return wrong("accounts must be at least 1");
    if (asked.accounts.size() > 0xFFFFFFFFU) return wrong("accounts must be fewer than 2^32");
    if (asked.amount < 1) return wrong("amount must be at least 1");
    if (asked.jitter < 0) return wrong("jitter must not be negative");
    if (asked.amount > max_amount - asked.jitter) return wrong("amount plus jitter must not exceed 2^63-1");
    if (asked.warmup < 0) return wrong("warmup must not be negative");
    if (asked.count == 0 && asked.duration <= 0) return wrong("duration must be more than 0 seconds");
    if (asked.timeout <= 0) return wrong("timeout must be more than 0 seconds");
    if (asked.rtt < 0 || asked.rtt > most_rtt) return wrong("rtt must be from 0 to 10 seconds");
    if (asked.rate != 0 && (asked.rate < least_rate || asked.rate > most_rate))
        return wrong("rate must be from 0.001 to 10 million a second");
    return std::nullopt;
}

}  // namespace

std::string_view to_string(phase value) noexcept {
    static constexpr std::array<std::string_view, 5> names{"fresh", "warming", "measuring", "draining",
                                                           "over"};
    return names[static_cast<std::size_t>(value)];
}

/// A virtual user: its row of draws, and the withdrawal that it is in.
class generator::user final : public engine::operation_of<done> {
public:
    user(generator& run, std::uint32_t its_number, std::uint64_t seed)
        : operation_of(never),
          number(its_number),
          draws(seed),
          with(run.reactor_->loop(), run.reactor_->server(), run.reactor_->lanes()),
          run_(run) {}

    const std::uint32_t number;
    bool gone = false;
    random_source draws;
    engine::context with;  // of the withdrawal under way: its clock and its deadline
    accounts::change asked;
    std::optional<std::size_t> account;
    nanos due = 0;      // of an open loop: when the withdrawal was to begin
    bool idle = false;  // of an open loop: until then
    bool measured = false;
    bool busy = false;
    std::uint32_t faults_in_a_row = 0;

private:
    engine::task<result<done>> body(engine::context& own) override { return live(own, run_, *this); }

    generator& run_;
};

result<std::unique_ptr<generator>> generator::make(load::settings asked,
                                                   const engine::backend_factory& factory,
                                                   clock_source clock) {
    if (auto mistake = find_mistake(asked)) return std::move(*mistake);
    auto reactor = engine::reactor::make(factory, clock);
    if (!reactor) return std::move(reactor.error());
    return std::unique_ptr<generator>(new generator(std::move(asked), std::move(*reactor)));
}

generator::generator(load::settings asked, std::unique_ptr<engine::reactor> reactor)
    : settings_(std::move(asked)),
      accounts_(settings_.keys, settings_.accounts.size()),
      amounts_(settings_.amount, settings_.jitter),
      seeds_(settings_.seed),
      reactor_(std::move(reactor)) {
    reactor_->loop().wait_alone();
    seen_.money.resize(settings_.accounts.size());
}

generator::~generator() = default;

// ---- one user

engine::task<result<done>> generator::live(engine::context& own, generator& run, user& who) {
    who.with.add_latency(run.settings_.rtt);
    while (run.is_wanted(who)) {
        if (run.settings_.rate > 0) {
            who.due = run.due_next();
            const nanos early = who.due - own.loop().now();
            if (early > 0) {
                if (run.phase_ == phase::draining) break;
                who.idle = true;
                auto slept = co_await own.sleep(early);
                who.idle = false;
                if (!slept) break;
            }
        }
        if (!run.begin_next(who)) break;
        who.with.begin(run.settings_.timeout);
        auto ended =
            co_await accounts::withdraw(run.settings_.strategy, who.with, run.settings_.rules, who.asked);
        const auto settled = accounts::settle(who.with, std::move(ended));
        who.with.end();
        const nanos pause = run.end_one(who, settled);
        if (pause > 0) {
            auto slept = co_await own.sleep(pause);
            if (!slept) break;
        }
    }
    who.gone = true;
    co_return done{};
}

nanos generator::due_next() noexcept {
    const double after = static_cast<double>(slots_++) / settings_.rate * static_cast<double>(second);
    return started_at_ + static_cast<nanos>(after);
}

// How many are due by that moment and were not claimed by any user yet.
std::uint64_t generator::backlog(nanos when) const noexcept {
    if (settings_.rate == 0) return 0;
    const double passed = static_cast<double>(when - started_at_) / static_cast<double>(second);
    const double due = std::ceil(passed * settings_.rate);
    return due > static_cast<double>(slots_) ? static_cast<std::uint64_t>(due) - slots_ : 0;
}

std::uint64_t generator::missed() const noexcept {
    if (settings_.count > 0) return 0;
    const bool goes_on = phase_ == phase::measuring;
    return turned_away_ + backlog(goes_on ? reactor_->loop().now() : measured_until_);
}

bool generator::is_wanted(const user& who) const noexcept { return who.number < settings_.users; }

bool generator::may_begin(const user& who) const noexcept {
    if (phase_ == phase::warming || phase_ == phase::measuring) return true;
    return phase_ == phase::draining && who.due < measured_until_ && reactor_->loop().now() < late_until_;
}

bool generator::begin_next(user& who) {
    if (!is_wanted(who)) return false;
    if (!may_begin(who)) {
        if (settings_.rate > 0 && who.due < measured_until_) ++turned_away_;
        return false;
    }
    who.measured = phase_ != phase::warming && (settings_.rate == 0 || who.due >= measured_from_);
    if (who.measured) {
        if (settings_.count > 0 && begun_ == settings_.count) return false;
        ++begun_;
    }
    const std::size_t account = accounts_.pick(who.draws);
    if (who.account != account) who.asked.keys = settings_.accounts[account];
    who.account = account;
    who.asked.amount = amounts_.pick(who.draws);
    who.busy = true;
    ++in_flight_;
    return true;
}

nanos generator::end_one(user& who, const result<accounts::receipt>& ended) {
    who.busy = false;
    --in_flight_;
    nanos took = ended ? ended->elapsed : who.with.elapsed();
    const bool ok = ended && ended->status == status::ok;
    if (settings_.rate > 0) {
        if (who.measured && ok) seen_.service.record(took);
        took = reactor_->loop().now() - who.due;
    }
    if (who.measured) {
        ++seen_.operations;
        seen_.all.record(took);
        if (ok) seen_.ok.record(took);
    }
    if (!ended) {
        count_fault(who, ended.error());
        return reactor_->loop().backoff(std::min(who.faults_in_a_row++, 10U), least_pause, most_pause);
    }
    who.faults_in_a_row = 0;
    if (who.measured) {
        seen_.answered.record(took);
        ++seen_.statuses[static_cast<std::size_t>(ended->status)];
        seen_.attempts += ended->attempts;
        seen_.round_trips += who.with.asked().round_trips;
        seen_.statements += who.with.asked().statements;
    }
    if (ok) {
        account_money& money = seen_.money[*who.account];
        money.taken.add(who.asked.amount);
        ++money.taken_count;
        if (phase_ == phase::measuring) ++seen_.ok_in_window;
    }
    return 0;
}

void generator::count_fault(user& who, const error& why) {
    fault_count& kind = seen_.faults[why.code];
    if (kind.count++ == 0) kind.first = why.message;
    if (may_have_been_applied(why.code)) {
        account_money& money = seen_.money[*who.account];
        money.unknown.add(who.asked.amount);
        ++money.unknown_count;
    }
    if (is_hopeless(why.code) && !fatal_) {
        fatal_ = why;
        stop();
    }
}

// ---- the run

void generator::start() {
    phase_ = phase::warming;
    entered_at_ = started_at_ = reactor_->loop().now();
    boundary_ = entered_at_ + settings_.warmup;
    advance(entered_at_);
    users_.reserve(settings_.users);
    for (std::uint32_t i = 0; i < settings_.users; ++i) employ(i);
}

void generator::employ(std::uint32_t number) {
    if (number == users_.size()) users_.emplace_back();
    auto& place = users_[number];
    if (place && !place->gone) return;  // was about to leave, and stays
    place = std::make_shared<user>(*this, number, seeds_.next());
    reactor_->submit(place);
}

void generator::set_users(std::uint32_t wanted) {
    const std::uint32_t before = std::exchange(settings_.users, std::min(wanted, most_users));
    if (phase_ != phase::warming && phase_ != phase::measuring) return;
    reactor_->take_finished();  // who left keeps nothing
    for (std::uint32_t i = before; i < settings_.users; ++i) employ(i);
}

tally generator::take_seen() {
    tally fresh;
    fresh.money.resize(settings_.accounts.size());
    return std::exchange(seen_, std::move(fresh));
}

bool generator::step(nanos budget) {
    if (phase_ == phase::fresh) start();
    nanos now = reactor_->loop().now();
    const nanos until = now + budget;
    do {
        advance(now);
        if (phase_ == phase::over) break;
        const nanos patience = std::min(until, boundary_) - now;
        reactor_->pump(std::max<nanos>(patience, 0));
        now = reactor_->loop().now();
    } while (now < until);
    advance(now);
    return phase_ != phase::over;
}

void generator::advance(nanos now) {
    if (phase_ == phase::warming && now >= boundary_) {
        phase_ = phase::measuring;
        entered_at_ = measured_from_ = measured_until_ = now;
        boundary_ = settings_.count > 0 ? never : now + settings_.duration;
        slots_ += backlog(now);  // what the warm-up still owes must not stand before what is measured
        return;
    }
    if (phase_ == phase::measuring) {
        const bool all_ended = settings_.count > 0 && seen_.operations == settings_.count;
        if (all_ended || now >= boundary_) {
            enter_draining(now);
            // Leaving out what was due in the window would hide a server that stalls at its end.
            if (settings_.rate > 0 && !all_ended) {
                late_until_ = now + elapsed();
                boundary_ += elapsed();
            }
        }
    }
    if (phase_ == phase::draining) {
        if (reactor_->in_flight() == 0) {
            reactor_->take_finished();
            phase_ = phase::over;
        } else if (now >= boundary_) {
            abort();
        }
    }
}

void generator::enter_draining(nanos now) {
    if (phase_ == phase::measuring) measured_until_ = now;
    phase_ = phase::draining;
    entered_at_ = now;
    boundary_ = now + settings_.timeout + drain_grace;
    for (const auto& each : users_) {
        if (each->idle && each->due >= now) reactor_->cancel(*each);  // it is due after the end
    }
}

void generator::stop() {
    if (phase_ == phase::fresh) phase_ = phase::over;
    const nanos now = reactor_->loop().now();
    if (phase_ == phase::warming || phase_ == phase::measuring) enter_draining(now);
    late_until_ = 0;
    boundary_ = std::min(boundary_, now + settings_.timeout + drain_grace);
}

void generator::abort() {
    stop();
    phase_ = phase::over;
    for (const auto& each : users_) {
        if (!each->busy) continue;
        each->busy = false;
        count_fault(*each, {errc::outcome_unknown, "the run ended before the answer came"});
    }
    in_flight_ = 0;
}

nanos generator::elapsed() const noexcept {
    if (phase_ == phase::measuring) return reactor_->loop().now() - measured_from_;
    return measured_until_ - measured_from_;
}

double generator::progress() const noexcept {
    if (phase_ == phase::over || phase_ == phase::draining) return 1;
    if (phase_ == phase::fresh) return 0;
    const auto warm = static_cast<double>(settings_.warmup);
    const auto passed = static_cast<double>(reactor_->loop().now() - entered_at_);
    if (settings_.count > 0) {
        if (phase_ == phase::warming) return 0;
        return static_cast<double>(seen_.operations) / static_cast<double>(settings_.count);
    }
    const double all = warm + static_cast<double>(settings_.duration);
    return std::min(1.0, (phase_ == phase::warming ? passed : warm + passed) / all);
}

}  // namespace redislock::load
