// The protocol of the lock strategies, whatever it is that they change: take the lock, look, and commit by a
// script that the server refuses if the lock is no longer ours. So a holder that was stopped past its lease
// changes nothing. Knows nothing of accounts.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "accounts/scripts.hpp"
#include "engine/context.hpp"
#include "engine/task.hpp"
#include "types/random.hpp"
#include "wire/server_error.hpp"

namespace redislock::accounts {

/// Which lock, how long to wait for it, and how long it may be held.
struct lock_terms {
    const std::string& key;
    nanos wait;
    nanos lease;
};

/// Releases the lock whenever its holder leaves without a commit, whatever the reason. It goes out on the
/// connection of the acquire, behind it, and does not wait for the caller.
class release_on_exit {
public:
    release_on_exit(engine::context& with, const lock_terms& terms, std::string_view token)
        : with_(with), terms_(terms), token_(token) {}
    release_on_exit(const release_on_exit&) = delete;
    release_on_exit& operator=(const release_on_exit&) = delete;
    ~release_on_exit() {
        if (!acquire_) return;
        auto slot = with_.make_slot();
        slot->request.policy = engine::resend::token;
        slot->request.evalsha(scripts::release, std::array<std::string_view, 1>{terms_.key},
                              std::array<std::string_view, 1>{token_});
        slot->request.use_eval();  // nobody may be there to repeat it where the script is not known
        with_.detach(std::move(slot), terms_.lease, acquire_.get());
    }
    void arm(engine::slot_ptr acquire) noexcept { acquire_ = std::move(acquire); }
    void disarm() noexcept { acquire_ = {}; }

private:
    engine::context& with_;
    const lock_terms& terms_;
    std::string_view token_;
    engine::slot_ptr acquire_;
};

/// `Work` is what is done under the lock:
///
///     void look(wire::commands& out);              // appends what is read together with taking the lock
///     std::optional<result<Receipt>> looked(const engine::answer& said, std::size_t first);
///                                                  // its replies from `first` on; an outcome ends it here
///     void commit(engine::unit& out, std::string_view token);
///     result<Receipt> committed(const wire::reply& said);
///     Receipt busy();                              // the lock was held by others all the time
///
/// What it refers to must outlive the task.
template <class Receipt, class Work>
engine::task<result<Receipt>> under_lock(engine::context& with, lock_terms terms, Work work) {
    constexpr nanos least_backoff = 1 * millisecond;
    constexpr nanos most_backoff = 32 * millisecond;
    constexpr std::size_t holder = 1;  // the place of its reply, behind that of SET

    const std::string token = random_token();
    release_on_exit guard(with, terms, token);
    std::uint32_t attempts = 0;
    for (bool held = false; !held;) {
        auto slot = with.make_slot();
        slot->request.policy = engine::resend::token;
        slot->request.commands.add("SET", terms.key, token, "NX", "PX", terms.lease / millisecond)
            .add("GET", terms.key);  // a repeated SET says no although the first one was ours
        work.look(slot->request.commands);
        guard.arm(slot);  // from here on it may be ours, known or not
        auto said = co_await with.send(slot);
        ++attempts;
        if (!said) {
            // A refused password must not be tried once more for a lock that was never asked for.
            if (slot->carrier == nullptr) guard.disarm();
            co_return std::move(said.error());
        }
        for (std::size_t i = 0; i <= holder; ++i) {
            if ((*said)[i].is_failure()) co_return wire::to_error((*said)[i]);
        }
        if (auto ended = work.looked(*said, holder + 1)) co_return std::move(*ended);
        held = (*said)[holder].text == token;
        if (held) break;
        guard.disarm();
        const nanos left = terms.wait - with.elapsed();
        if (left <= 0) {
            Receipt busy = work.busy();
            busy.attempts = attempts;
            co_return busy;
        }
        const nanos pause = std::min(left, with.loop().backoff(attempts - 1, least_backoff, most_backoff));
        auto slept = co_await with.sleep(pause);
        if (!slept) co_return std::move(slept.error());
    }

    auto commit = with.make_slot();
    work.commit(commit->request, token);
    auto said = co_await with.send(std::move(commit));
    if (!said) co_return std::move(said.error());
    result<Receipt> ended = work.committed((*said)[0]);
    if (ended) {
        guard.disarm();  // the script released it, or it was no longer ours
        ended->attempts = attempts;
    }
    co_return ended;
}

}  // namespace redislock::accounts
