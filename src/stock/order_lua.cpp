// The script strategy: check, take, record and append in one atomic step of the server.
#include "stock/call_script.hpp"
#include "stock/codec.hpp"
#include "stock/order.hpp"

namespace redislock::stock {

outcome order_lua(engine::context& with, const settings& rules, const order& asked) {
    auto slot = with.make_slot();
    call_order(slot->request, rules, asked);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_receipt((*said)[0], rules, asked.record);
}

}  // namespace redislock::stock
