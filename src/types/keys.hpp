// Names of the keys that belong to an account or a stock. All keys of one share a hash tag,
// so that a cluster keeps them in one slot and scripts may touch them together.
#pragma once

#include <string>
#include <string_view>

#include "types/result.hpp"

namespace redislock {

/// The keys of one account.
struct account_keys {
    std::string balance;
    std::string history;
    std::string lock;
    std::string once;  ///< what the record of an idempotency key begins with

    std::string record(std::string_view idempotency_key) const;
};

/// The keys of one stock.
struct stock_keys {
    std::string level;
    std::string holds;   ///< open reservations by the millisecond at which they end
    std::string buyers;  ///< how many each user has
    std::string outbox;  ///< a stream of orders
    std::string lock;
    std::string orders;  ///< what the record of an order begins with

    std::string record(std::string_view order_id) const;
};

/// Turns a user into key names.
///
/// By default they are `prefix:{user}:balance` and so on. The user is percent-encoded where it
/// holds a brace, '%', CR, LF or NUL, so that no user breaks out of the hash tag and no two users
/// share a key.
///
/// With a template ("acct:{user}:bal") existing balance keys are adopted as they are: the user is
/// inserted unchanged, and one with a brace or a control character of the above is refused. The
/// side keys then carry the balance key's own hash tag, or the whole balance key as their tag; where
/// the tag is one that all users share ("{shop}:{user}"), they also begin with "redislock:".
class key_scheme {
public:
    static result<key_scheme> make(std::string_view prefix, std::string_view balance_template);

    result<account_keys> keys_of(std::string_view user) const;

    /// `prefix:{sku}:stock` and so on, with the sku encoded as a user is; a template has no say in it.
    result<stock_keys> stock_of(std::string_view sku) const;

private:
    std::string tag_of(std::string_view name) const;

    std::string prefix_;
    std::string before_;  // the balance template around the user
    std::string after_;
    bool adopts_ = false;
};

/// The name of a key that belongs to another one, in the same slot of a cluster where `name` has a hash tag
/// or no '}': "{n}:redislock:what", or "a{b}c:redislock:t:what". Never the same for two names.
std::string side_key(std::string_view name, std::string_view what);

}  // namespace redislock
