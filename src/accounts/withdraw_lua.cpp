// The script strategy: check, deduct, history and record in one atomic step of the server.
#include "accounts/call_script.hpp"
#include "accounts/codec.hpp"
#include "accounts/withdraw.hpp"

namespace redislock::accounts {

outcome withdraw_lua(engine::context& with, const settings& rules, const change& asked) {
    auto slot = with.make_slot();
    call_withdraw(slot->request, strategy::lua, rules, asked);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_outcome((*said)[0], asked);
}

outcome withdraw(strategy how, engine::context& with, const settings& rules, const change& asked) {
    switch (how) {
        case strategy::lock: return withdraw_lock(with, rules, asked);
        case strategy::watch: return withdraw_watch(with, rules, asked);
        case strategy::naive: return withdraw_naive(with, rules, asked);
        case strategy::lua: break;
    }
    return withdraw_lua(with, rules, asked);
}

}  // namespace redislock::accounts
