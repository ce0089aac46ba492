#include "locks/holding.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "locks/calls.hpp"
#include "locks/scripts.hpp"
#include "wire/server_error.hpp"

namespace redislock::locks {
namespace {

constexpr nanos keeper_patience = 500 * millisecond;

std::string_view flag(bool on) noexcept { return on ? "1" : "0"; }

}  // namespace

engine::task<result<bool>> release(engine::context& with, access& keepers, hold& which) {
    if (auto* at = keepers.opened()) {
        auto words = engine::signal::make(with.loop());
        // A renewal on its way should not reach the key after its release. It would do no harm: where
        // the keeper's connection hangs, it is not waited for.
        if (at->drop(which, words)) {
            auto ended = co_await with.receive(words, keeper_patience);
            if (!ended) co_return std::move(ended.error());
        }
    }
    auto slot = with.make_slot();
    call_release(slot->request, which.what, which.token);
    auto said = co_await with.send(slot);
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    const bool repeated = slot->in_doubt;
    const bool ours = answer.integer == 1 || (repeated && with.loop().now() < which.deadline());
    if (ours) which.release();
    else which.lose();
    co_return ours;
}

engine::task<result<bool>> release(engine::context& with, const target& what, const std::string& token) {
    auto slot = with.make_slot();
    call_release(slot->request, what, token);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    co_return answer.integer == 1;
}

engine::task<result<bool>> extend(engine::context& with, const target& what, const std::string& token,
                                  nanos lease, bool adding) {
    std::vector<std::string_view> keys;
    for (const auto& each : what.locks) keys.insert(keys.end(), {each.name, each.holders});
    const auto wanted = std::to_string(lease / millisecond);
    const std::array<std::string_view, 4> arguments{token, letter_of(what.how), wanted, flag(adding)};
    auto slot = with.make_slot();
    // A repetition would add twice.
    slot->request.policy = adding ? engine::resend::once : engine::resend::token;
    slot->request.evalsha(scripts::extend, keys, arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    co_return answer.integer == 1;
}

engine::task<result<bool>> extend(engine::context& with, access& keepers, hold& which, nanos lease,
                                  bool adding) {
    if (auto* at = keepers.opened()) {
        auto words = engine::signal::make(with.loop());
        // What is on its way could arrive later, and set the lease that it asks for.
        if (at->settle(which, words)) {
            auto settled = co_await with.receive(words, keeper_patience);
            if (!settled) co_return std::move(settled.error());
        }
    }
    const nanos asked_at = with.loop().now();
    const auto before = which.changes();
    auto extended = co_await extend(with, which.what, which.token, lease, adding);
    if (!extended) co_return extended;
    if (!*extended) {
        which.lose();
        co_return false;
    }
    // What was left is known to be at least what the local deadline says.
    const nanos left =
        adding && which.deadline() != never ? std::max<nanos>(which.deadline() - asked_at, 0) : 0;
    which.extended(asked_at, left + lease, before);
    which.renew_for(left + lease);
    if (auto* at = keepers.opened()) at->reschedule(which);
    co_return true;
}

engine::task<result<std::optional<std::string>>> holder(engine::context& with, const std::string& name) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("GET", name);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    if (answer.is_nil()) co_return std::optional<std::string>{};
    co_return std::optional<std::string>(answer.text);
}

engine::task<result<bool>> wait_lost(engine::context& with, std::shared_ptr<hold> which, nanos patience) {
    auto words = engine::signal::make(with.loop());
    which->watch(words);
    with.allow(never);
    const nanos until = patience == never ? never : with.loop().now() + patience;
    for (;;) {
        const nanos now = with.loop().now();
        if (which->released()) co_return false;
        if (which->lost(now)) co_return true;
        if (now >= until) co_return false;
        // Renewed or not, nobody else needs to tell that a deadline has passed.
        const nanos next = std::min(until, which->deadline());
        auto word =
            co_await with.receive(words, next == never ? never : std::max<nanos>(next - now, millisecond));
        if (!word) co_return std::move(word.error());
    }
}

}  // namespace redislock::locks
