#include "locks/acquire.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "locks/calls.hpp"
#include "locks/scripts.hpp"
#include "wire/server_error.hpp"

namespace redislock::locks {
namespace {

std::string_view flag(bool on) noexcept { return on ? "1" : "0"; }

constexpr nanos cleanup_patience = 30 * second;
// A waiter that hears nothing asks again by itself now and then: a refresh heals what is lost much
// sooner, unless its line was forgotten by a server that started anew.
constexpr nanos longest_silence = 20 * second;
constexpr nanos subscribing_patience = 1 * second;
constexpr nanos handed_lease = 300 * millisecond;  // as in queue.lua
constexpr nanos long_enough = 200 * millisecond;  // of it must be left, to begin before the claim is answered

std::vector<std::int64_t> to_fences(std::string_view text) {
    std::vector<std::int64_t> fences;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        fences.push_back(to_number(text.substr(0, comma)));
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return fences;
}

error unreadable(const wire::reply& said) {
    return {errc::protocol, "a script of locks answered '" + said.text + "', which is not known"};
}

// Leaves the line, or gives back what was taken, whenever the caller leaves without it. It goes out
// behind the request that it undoes and does not wait for the caller.
class leave_on_exit {
public:
    leave_on_exit(engine::context& with, const target& what, const std::string& token)
        : with_(with), what_(what), token_(token) {}
    leave_on_exit(const leave_on_exit&) = delete;
    leave_on_exit& operator=(const leave_on_exit&) = delete;
    ~leave_on_exit() {
        if (!earlier_) return;
        leave(token_);
        if (!stored_.empty() && with_.loop().now() < until_) leave(stored_);
    }
    void arm(engine::slot_ptr request) noexcept { earlier_ = std::move(request); }
    void disarm() noexcept { earlier_ = {}; }
    /// Until then a lock that stores this is certainly ours.
    void arm_stored(std::string_view stored, nanos until) {
        stored_ = stored;
        until_ = until;
    }

private:
    void leave(const std::string& token) {
        auto slot = with_.make_slot();
        call_release(slot->request, what_, token);
        slot->request.use_eval();  // nobody may be there to repeat it where the script is not known
        with_.detach(std::move(slot), cleanup_patience, earlier_.get());
    }

    engine::context& with_;
    const target& what_;
    const std::string& token_;
    std::string stored_;
    nanos until_ = 0;
    engine::slot_ptr earlier_;
};

// One attempt to get a lock, from the first request until it is held or given up.
class attempt {
public:
    attempt(engine::context& with, access& keepers, const std::shared_ptr<const target>& what,
            const terms& rules, const std::string& token)
        : with_(with),
          keepers_(keepers),
          shared_what_(what),
          what_(*what),
          rules_(rules),
          token_(token),
          lease_(std::to_string(rules.lease / millisecond)),
          limit_(std::to_string(what_.limit)),
          guard_(with, what_, token) {}

    engine::task<result<verdict>> run();

private:
    engine::task<result<done>> ask();
    engine::task<result<done>> claim();
    engine::task<result<done>> store();
    engine::task<result<done>> leave();
    result<done> get_in_line();
    engine::task<result<done>> await_turn();
    void fill_acquire(engine::unit& to) const;
    result<done> take_answer(const wire::reply& said);
    void take_cycle(const wire::reply& said);
    bool take_handed(std::string_view words);
    result<verdict> keep();
    nanos left() const noexcept { return rules_.wait == never ? never : rules_.wait - with_.elapsed(); }

    engine::context& with_;
    access& keepers_;
    const std::shared_ptr<const target>& shared_what_;
    const target& what_;
    const terms& rules_;
    const std::string& token_;
    const std::string lease_;
    const std::string limit_;
    leave_on_exit guard_;
    std::string channel_;
    std::string ticket_ = "0";
    std::shared_ptr<engine::signal> words_;
    std::optional<place> place_;
    nanos asked_at_ = 0;
    nanos queued_after_ = 0;  // its ticket is of a later moment
    nanos handed_until_ = 0;  // of a lock that was handed over and is still to be claimed
    std::string fences_;
    verdict verdict_;
    enum class state : std::uint8_t { busy, queued, handed, held, deadlock } state_ = state::busy;
};

void attempt::fill_acquire(engine::unit& to) const {
    to.policy = engine::resend::token;
    const bool waiting = place_.has_value();
    const bool detecting = rules_.find_deadlocks && waiting;
    const auto number = std::to_string(waiting ? place_->number() : 0);
    const std::array<std::string_view, 11> arguments{token_,
                                                     lease_,
                                                     letter_of(what_.how),
                                                     limit_,
                                                     flag(rules_.barging),
                                                     flag(waiting),
                                                     flag(detecting),
                                                     channel_,
                                                     number,
                                                     ticket_,
                                                     what_.packed_names};
    to.evalsha(scripts::acquire, all_keys(what_.locks), arguments);
}

result<done> attempt::take_answer(const wire::reply& said) {
    if (said.is_failure()) {
        if (!place_) guard_.disarm();  // a script that is refused changed nothing; an earlier one may have
        return wire::to_error(said);
    }
    if (said.type == wire::reply::kind::array && !said.items.empty()) {
        take_cycle(said);
        state_ = state::deadlock;
        return done{};
    }
    const std::string_view text = said.text;
    if (text == "busy") {
        state_ = state::busy;
    } else if (text.starts_with("held ")) {
        state_ = state::held;
        fences_ = text.substr(5);
    } else if (text.starts_with("queued ")) {
        state_ = state::queued;
        if (ticket_ == "0") queued_after_ = asked_at_;
        ticket_ = text.substr(7);
    } else {
        return unreadable(said);
    }
    return done{};
}

void attempt::take_cycle(const wire::reply& said) {
    for (std::size_t i = 1; i + 2 < said.items.size(); i += 3) {
        verdict_.cycle.push_back(
            {said.items[i].text, said.items[i + 1].text, to_number(said.items[i + 2].text)});
    }
}

engine::task<result<done>> attempt::ask() {
    with_.allow(rules_.round_trip);
    auto slot = with_.make_slot();
    fill_acquire(slot->request);
    asked_at_ = with_.loop().now();
    guard_.arm(slot);  // from here on it may be ours, known or not
    auto said = co_await with_.send(slot);
    if (!said) {
        if (slot->carrier == nullptr && !place_) guard_.disarm();  // it was never asked for
        co_return std::move(said.error());
    }
    co_return take_answer((*said)[0]);
}

engine::task<result<done>> attempt::claim() {
    with_.allow(rules_.round_trip);
    auto slot = with_.make_slot();
    call_claim(slot->request, what_, token_, lease_, channel_);
    asked_at_ = with_.loop().now();
    guard_.arm(slot);
    auto said = co_await with_.send(slot);
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    if (answer.text.starts_with("held ")) {
        state_ = state::held;
        fences_ = answer.text.substr(5);
    } else {
        state_ = state::busy;  // too late: it stands in line as before, and says so once more
    }
    co_return done{};
}

// Ours by a token of ours: stores what the caller wants stored in its place. What is held already by
// that, it was this that did it, unless our own lease has ended.
engine::task<result<done>> attempt::store() {
    with_.allow(rules_.round_trip);
    const nanos until = deadline_of(asked_at_, rules_.lease);
    auto slot = with_.make_slot();
    call_claim(slot->request, what_, token_, lease_, channel_, rules_.stored_as);
    const nanos asked_at = with_.loop().now();
    guard_.arm(slot);
    guard_.arm_stored(rules_.stored_as, until);
    auto said = co_await with_.send(slot);
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    const bool before = slot->in_doubt && answer.text == "stored" && with_.loop().now() < until;
    if (answer.text.starts_with("held ") || before) {
        asked_at_ = asked_at;
    } else {
        guard_.arm_stored({}, 0);
        state_ = state::busy;
    }
    co_return done{};
}

// Time is over. What was handed over meanwhile goes to the next.
engine::task<result<done>> attempt::leave() {
    with_.allow(rules_.round_trip);
    auto slot = with_.make_slot();
    call_release(slot->request, what_, token_);
    auto said = co_await with_.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    guard_.disarm();
    co_return done{};
}

result<done> attempt::get_in_line() {
    auto opened = keepers_.open();
    if (!opened) return std::move(opened.error());
    channel_ = (*opened)->channel();
    words_ = engine::signal::make(with_.loop());
    place_.emplace(**opened, words_, what_.locks);
    return done{};
}

// "TIME FENCES", of a lock that was handed over at that time of the server. True where it is certainly ours
// long enough to begin with it while the keeper claims it.
//
// The ticket is the server's time in microseconds too, of a moment after `queued_after_`: so much later,
// less 0.1 % for clocks that run differently, it was handed over at the earliest.
bool attempt::take_handed(std::string_view words) {
    const auto blank = words.find(' ');
    if (blank == std::string_view::npos) return false;  // from a refresh, which does not know when
    const nanos now = with_.loop().now();
    const nanos stood =
        (to_number(words) * 1000 - to_number(ticket_)) * microsecond;  // in whole milliseconds
    const nanos handed_at = queued_after_ + std::max<nanos>(stood - stood / 1000, 0);
    if (stood < -millisecond || handed_at > now) return false;  // a clock was set
    handed_until_ = deadline_of(handed_at, handed_lease);
    if (handed_until_ - now < long_enough) return false;
    fences_ = words.substr(blank + 1);
    return true;
}

// "handed TIME FENCES" or "handed FENCES": may be claimed. "again": ask again.
engine::task<result<done>> attempt::await_turn() {
    const nanos wait = std::min(left(), longest_silence);
    if (wait <= 0) co_return done{};
    with_.allow(never);
    auto word = co_await with_.receive(words_, wait);
    if (!word) co_return std::move(word.error());
    if (!*word) {
        if (left() > 0) state_ = state::busy;
        co_return done{};
    }
    std::string text = std::move(**word);
    while (text == "again" && words_->has_words()) text = *words_->take();  // said more than once
    if (text.starts_with("handed ")) {
        if (rules_.stored_as.empty() && take_handed(std::string_view(text).substr(7))) {
            state_ = state::handed;
            co_return done{};
        }
        auto claimed = co_await claim();
        co_return claimed;
    }
    state_ = state::busy;
    co_return done{};
}

engine::task<result<verdict>> attempt::run() {
    if (rules_.wait > 0 && keepers_.listening() != nullptr) {
        auto in_line = get_in_line();
        if (!in_line) co_return std::move(in_line.error());
    }
    for (;;) {
        auto asked = co_await ask();
        if (!asked) co_return std::move(asked.error());
        if (state_ == state::busy && !place_) {
            guard_.disarm();
            if (left() <= 0) co_return std::move(verdict_);
            auto in_line = get_in_line();
            if (!in_line) co_return std::move(in_line.error());
            if (keepers_.listening() == nullptr) {  // a message before that would be missed
                with_.allow(never);
                auto heard = co_await with_.receive(words_, std::min(left(), subscribing_patience));
                if (!heard) co_return std::move(heard.error());
            }
            while (words_->has_words()) words_->take();  // that it listens now
            continue;
        }
        while (state_ == state::queued && left() > 0) {
            auto turn = co_await await_turn();
            if (!turn) co_return std::move(turn.error());
            if (state_ != state::queued) break;
        }
        if (state_ == state::busy && left() > 0) continue;
        if (state_ == state::held && !rules_.stored_as.empty()) {
            auto stored = co_await store();
            if (!stored) co_return std::move(stored.error());
            if (state_ == state::busy && left() > 0) continue;
        }
        if (state_ != state::busy && state_ != state::queued) break;
        auto left_line = co_await leave();
        if (!left_line) co_return std::move(left_line.error());
        co_return std::move(verdict_);
    }
    guard_.disarm();
    if (state_ == state::deadlock) co_return std::move(verdict_);
    co_return keep();
}

// It is ours: from now on the keeper's to claim, to renew, and to tell of its loss.
result<verdict> attempt::keep() {
    const bool handed = state_ == state::handed;
    const nanos deadline = handed ? handed_until_ : deadline_of(asked_at_, rules_.lease);
    const auto& token = rules_.stored_as.empty() ? token_ : rules_.stored_as;
    verdict_.held = std::make_shared<hold>(shared_what_, token, to_fences(fences_), deadline, rules_.lease);
    verdict_.held->announced = rules_.announce;
    const bool renewing = rules_.renew && rules_.lease != no_lease;
    if (!handed && !renewing && (rules_.lease == no_lease || !rules_.announce)) return std::move(verdict_);
    auto opened = keepers_.open();
    if (!opened) {
        guard_.arm(with_.make_slot());
        return std::move(opened.error());
    }
    const nanos until = rules_.max_hold == never ? never : with_.loop().now() + rules_.max_hold;
    if (handed) (*opened)->claim(verdict_.held, renewing, until);
    else (*opened)->keep(verdict_.held, renewing, until);
    return std::move(verdict_);
}

}  // namespace

engine::task<result<verdict>> acquire(engine::context& with, access& keepers,
                                      const std::shared_ptr<const target>& what, const terms& rules,
                                      const std::string& token) {
    attempt own(with, keepers, what, rules, token);
    auto ended = co_await own.run();
    co_return ended;
}

}  // namespace redislock::locks
