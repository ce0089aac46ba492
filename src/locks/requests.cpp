#include "locks/requests.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "locks/calls.hpp"
#include "locks/scripts.hpp"
#include "wire/server_error.hpp"

namespace redislock::locks {
namespace {

constexpr nanos refresh_patience = 2 * second;
constexpr nanos lease_patience = 5 * second;

// Not beyond the end of any lease, which is to be noticed in time.
nanos patience_of(const std::vector<std::shared_ptr<hold>>& holds) {
    nanos least = lease_patience;
    const nanos now = monotonic_now();
    for (const auto& each : holds) {
        least = std::min(least, each->deadline() - now);
        if (each->lease() != no_lease) least = std::min(least, each->lease() / 3);
    }
    return std::max(least, millisecond);
}

}  // namespace

refresh_request::refresh_request(std::vector<lock_keys> lines, const std::string& channel,
                                 const std::string& waits)
    : operation_of(refresh_patience), lines_(std::move(lines)), channel_(channel), waits_(waits) {}

engine::task<result<std::vector<wire::reply>>> refresh_request::body(engine::context& with) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::token;
    const std::array<std::string_view, 2> arguments{channel_, waits_};
    slot->request.evalsha(scripts::refresh, all_keys(lines_), arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.type != wire::reply::kind::array) co_return error{errc::server_refused, answer.text};
    co_return answer.items;
}

lease_request::lease_request(std::vector<std::shared_ptr<hold>> holds)
    : operation_of(patience_of(holds)), holds_(std::move(holds)) {}

std::optional<bool> lease_request::granted(std::size_t index) {
    if (!outcome()) return std::nullopt;
    return (*outcome())[index];
}

const std::vector<lease_request::wish>& lease_request::ask(nanos now) {
    asked_at_ = now;
    asked_.reserve(holds_.size());
    for (const auto& each : holds_) {
        const auto since = each->changes();  // before the lease is read
        const nanos lease = each->lease();
        asked_.push_back({lease, since, std::to_string(lease / millisecond)});
    }
    return asked_;
}

engine::task<result<std::vector<bool>>> renew_request::body(engine::context& with) {
    const auto& asked = ask(with.loop().now());
    std::vector<std::string_view> keys;
    std::vector<std::string_view> arguments;
    for (std::size_t i = 0; i < holds().size(); ++i) {
        const auto& each = *holds()[i];
        for (const auto& lock : each.what.locks) {
            const bool mutex = each.what.how == kind::mutex;
            keys.insert(keys.end(), {lock.name, mutex ? lock.fence : lock.holders});
            arguments.insert(arguments.end(), {letter_of(each.what.how), each.token, asked[i].milliseconds});
        }
    }
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::token;
    slot->request.evalsha(scripts::renew, keys, arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.type != wire::reply::kind::array || answer.items.size() * 2 != keys.size()) {
        co_return error{errc::server_refused, answer.text};
    }
    std::vector<bool> renewed;
    renewed.reserve(holds().size());
    auto next = answer.items.begin();
    for (const auto& each : holds()) {
        bool all = true;
        for (std::size_t i = 0; i < each->what.locks.size(); ++i, ++next) all = all && next->integer == 1;
        renewed.push_back(all);
    }
    co_return std::move(renewed);
}

engine::task<result<std::vector<bool>>> claim_request::body(engine::context& with) {
    const auto& asked = ask(with.loop().now());
    const auto& which = *holds()[0];
    auto slot = with.make_slot();
    call_claim(slot->request, which.what, which.token, asked[0].milliseconds, channel_);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.is_failure()) co_return wire::to_error(answer);
    co_return std::vector<bool>{answer.text.starts_with("held ")};
}

give_back_request::give_back_request(std::shared_ptr<hold> which)
    : operation_of(lease_patience), which_(std::move(which)) {}

engine::task<result<done>> give_back_request::body(engine::context& with) {
    auto slot = with.make_slot();
    call_release(slot->request, which_->what, which_->token);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());  // its lease ends it
    co_return done{};
}

}  // namespace redislock::locks
