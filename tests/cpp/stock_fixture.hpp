// What tests of stock share: its settings, an order, and how outcomes are shown.
#pragma once

#include <string>

#include "stock/order.hpp"

namespace redislock::stock {

inline settings make_settings() {
    settings rules;
    rules.sku = "a";
    rules.keys = *key_scheme::make("p", "")->stock_of("a");
    return rules;
}

inline order make_order(const settings& rules, bool reserves = false) {
    order asked;
    asked.id = "o1";
    asked.record = rules.keys.record(asked.id);
    asked.quantity = 3;
    asked.reserves = reserves;
    asked.token = "0123456789abcdef";
    return asked;
}

/// "ok 97 3 confirmed (2 attempts)", "retry_later conflict" or "-wrong_type".
inline std::string show(const result<receipt>& ended) {
    if (!ended) return "-" + std::string(to_string(ended.error().code));
    std::string text(to_string(ended->verdict));
    if (!ended->reason.empty()) text += " " + ended->reason;
    if (ended->level) text += " " + std::to_string(*ended->level);
    if (ended->quantity) text += " " + std::to_string(*ended->quantity) + " " + ended->state;
    if (ended->attempts != 1) text += " (" + std::to_string(ended->attempts) + " attempts)";
    return text;
}

}  // namespace redislock::stock
