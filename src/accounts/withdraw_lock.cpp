// The lock strategy: take the account's lock, look, and commit by a script that the server refuses
// if the lock is no longer ours. So a holder that was stopped past its lease changes nothing.
#include <algorithm>

#include "accounts/call_script.hpp"
#include "accounts/codec.hpp"
#include "accounts/scripts.hpp"
#include "accounts/withdraw.hpp"
#include "types/random.hpp"
#include "wire/server_error.hpp"

namespace redislock::accounts {
namespace {

constexpr nanos least_backoff = 1 * millisecond;
constexpr nanos most_backoff = 32 * millisecond;

// Replies of the acquiring unit, in order.
enum acquired : std::size_t { set_reply, holder, balance, record };

void fill_acquire(engine::unit& target, const settings& rules, const change& asked, std::string_view token) {
    target.policy = engine::resend::token;
    target.commands.add("SET", asked.keys.lock, token, "NX", "PX", rules.lock_lease / millisecond)
        .add("GET", asked.keys.lock)  // a repeated SET says no although the first one was ours
        .add("GET", asked.keys.balance);
    if (!asked.idempotency_key.empty()) target.commands.add("GET", asked.keys.record(asked.idempotency_key));
}

// Releases the lock whenever its holder leaves without a commit, whatever the reason. It goes out
// on the connection of the acquire, behind it, and does not wait for the caller.
class release_on_exit {
public:
    release_on_exit(engine::context& with, const settings& rules, const change& asked, std::string_view token)
        : with_(with), rules_(rules), asked_(asked), token_(token) {}
    release_on_exit(const release_on_exit&) = delete;
    release_on_exit& operator=(const release_on_exit&) = delete;
    ~release_on_exit() {
        if (!acquire_) return;
        auto slot = with_.make_slot();
        slot->request.policy = engine::resend::token;
        slot->request.evalsha(scripts::release, std::array<std::string_view, 1>{asked_.keys.lock},
                              std::array<std::string_view, 1>{token_});
        slot->request.use_eval();  // nobody may be there to repeat it where the script is not known
        with_.detach(std::move(slot), rules_.lock_lease, acquire_.get());
    }
    void arm(engine::slot_ptr acquire) noexcept { acquire_ = std::move(acquire); }
    void disarm() noexcept { acquire_ = {}; }

private:
    engine::context& with_;
    const settings& rules_;
    const change& asked_;
    std::string_view token_;
    engine::slot_ptr acquire_;
};

}  // namespace

outcome withdraw_lock(engine::context& with, const settings& rules, const change& asked) {
    const std::string token = random_token();
    release_on_exit guard(with, rules, asked, token);
    std::uint32_t attempts = 0;
    for (bool held = false; !held;) {
        auto slot = with.make_slot();
        fill_acquire(slot->request, rules, asked, token);
        guard.arm(slot);  // from here on it may be ours, known or not
        auto said = co_await with.send(slot);
        ++attempts;
        if (!said) {
            // A refused password must not be tried once more for a lock that was never asked for.
            if (slot->carrier == nullptr) guard.disarm();
            co_return std::move(said.error());
        }
        if (const auto* failure = said->failure(); failure != nullptr && failure != &(*said)[balance]) {
            co_return wire::to_error(*failure);
        }
        if (said->size() > record && !(*said)[record].is_nil()) {
            co_return decode_record((*said)[record].text, "withdraw", asked);
        }
        held = (*said)[holder].text == token;
        if (held) break;
        guard.disarm();
        const nanos left = rules.lock_wait - with.elapsed();
        if (left <= 0) {
            receipt busy;
            busy.status = status::lock_busy;
            busy.attempts = attempts;
            co_return busy;
        }
        const nanos pause = std::min(left, with.loop().backoff(attempts - 1, least_backoff, most_backoff));
        auto slept = co_await with.sleep(pause);
        if (!slept) co_return std::move(slept.error());
    }

    auto commit = with.make_slot();
    call_withdraw(commit->request, strategy::lock, rules, asked, token);
    auto said = co_await with.send(std::move(commit));
    if (!said) co_return std::move(said.error());
    auto ended = decode_outcome((*said)[0], asked);
    if (ended) {
        guard.disarm();  // the script released it, or it was no longer ours
        ended->attempts = attempts;
    }
    co_return ended;
}

}  // namespace redislock::accounts
