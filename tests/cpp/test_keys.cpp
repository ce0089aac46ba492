// Names of keys: what they are, that no two accounts share one, and that a cluster keeps all keys of
// an account in one slot.
#include "types/keys.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <set>
#include <string>
#include <vector>

namespace redislock {
namespace {

using namespace std::string_literals;

key_scheme scheme_of(std::string_view prefix, std::string_view balance_template = {}) {
    auto made = key_scheme::make(prefix, balance_template);
    EXPECT_TRUE(made.has_value());
    return *made;
}

// What Redis Cluster hashes of a key, from its specification.
std::string hashed_part(const std::string& key) {
    const auto open = key.find('{');
    if (open == std::string::npos) return key;
    const auto close = key.find('}', open + 1);
    if (close == std::string::npos || close == open + 1) return key;
    return key.substr(open + 1, close - open - 1);
}

std::vector<std::string> all_of(const account_keys& keys) {
    return {keys.balance,          keys.history,         keys.lock,
            keys.record("a"),      keys.record("a}b{"),  keys.record("balance"),
            keys.record(":once:"), keys.record("{user}")};
}

// Every text of up to three of these characters: what breaks tags, what encoding adds, what stems end in.
std::vector<std::string> nasty_users() {
    const std::string alphabet = "{}%25B7D:a\r\n\0"s;
    std::vector<std::string> users{""};
    for (std::size_t begin = 0, length = 0; length < 3; ++length) {
        const std::size_t end = users.size();
        for (; begin < end; ++begin) {
            for (char c : alphabet) users.push_back(users[begin] + c);
        }
    }
    users.erase(users.begin());
    return users;
}

TEST(keys, of_a_stock_share_a_slot_and_nothing_with_an_account) {
    for (const auto& name : nasty_users()) {
        const auto stock = *scheme_of("shop").stock_of(name);
        const auto account = all_of(*scheme_of("shop").keys_of(name));
        std::set<std::string> names(account.begin(), account.end());
        for (const auto& key :
             {stock.level, stock.holds, stock.buyers, stock.outbox, stock.lock, stock.record(":holds")}) {
            EXPECT_TRUE(names.insert(key).second) << key;
            EXPECT_EQ(hashed_part(key), hashed_part(account.front()));
        }
    }
    EXPECT_EQ(scheme_of("shop").stock_of("tee")->outbox, "shop:{tee}:outbox");
    EXPECT_EQ(scheme_of("shop", "acct:{user}").stock_of("tee")->level, "shop:{tee}:stock");
    EXPECT_FALSE(scheme_of("shop").stock_of("").has_value());
}

TEST(keys, are_named_after_prefix_and_user) {
    const auto keys = *scheme_of("shop").keys_of("alice");
    EXPECT_EQ(keys.balance, "shop:{alice}:balance");
    EXPECT_EQ(keys.history, "shop:{alice}:history");
    EXPECT_EQ(keys.lock, "shop:{alice}:lock");
    EXPECT_EQ(keys.record("order-7"), "shop:{alice}:once:order-7");
    EXPECT_EQ(scheme_of("").keys_of("alice")->balance, "{alice}:balance");
}

TEST(keys, encode_only_what_would_break_the_tag) {
    const auto scheme = scheme_of("p");
    EXPECT_EQ(scheme.keys_of("a{b}c")->balance, "p:{a%7Bb%7Dc}:balance");
    EXPECT_EQ(scheme.keys_of("100%")->balance, "p:{100%25}:balance");
    EXPECT_EQ(scheme.keys_of("a\r\nb\0c"s)->balance, "p:{a%0D%0Ab%00c}:balance");
    EXPECT_EQ(scheme.keys_of("j\xc3\xb6rg / 1:2")->balance, "p:{j\xc3\xb6rg / 1:2}:balance");
}

TEST(keys, of_two_accounts_never_meet) {
    const auto scheme = scheme_of("p");
    std::set<std::string> seen;
    std::size_t made = 0;
    for (const auto& user : nasty_users()) {
        for (const auto& key : all_of(*scheme.keys_of(user))) {
            seen.insert(key);
            ++made;
        }
    }
    EXPECT_EQ(seen.size(), made);
}

TEST(keys, of_an_account_stay_in_one_slot) {
    const auto scheme = scheme_of("p");
    for (const auto& user : nasty_users()) {
        const auto keys = *scheme.keys_of(user);
        for (const auto& key : all_of(keys)) EXPECT_EQ(hashed_part(key), hashed_part(keys.balance)) << key;
    }
}

TEST(keys, adopted_balances_keep_their_names) {
    const auto plain = *scheme_of("ignored", "acct:{user}:bal").keys_of("alice");
    EXPECT_EQ(plain.balance, "acct:alice:bal");
    const auto tagged = *scheme_of("", "acct:{{user}}:bal").keys_of("alice");
    EXPECT_EQ(tagged.balance, "acct:{alice}:bal");
    EXPECT_EQ(scheme_of("", "{user}").keys_of("alice")->balance, "alice");
    EXPECT_EQ(scheme_of("", "100%:{user}").keys_of("%41")->balance, "100%:%41") << "inserted unchanged";
}

TEST(keys, adopted_accounts_stay_in_one_slot_and_never_meet) {
    for (const auto* text : {"acct:{user}:bal", "acct:{{user}}:bal", "{user}", "{shop}:{user}",
                             "{user}:{shop}", "{shop}:{user}:bal", "{{user}}"}) {
        const auto scheme = scheme_of("", text);
        std::set<std::string> seen;
        std::size_t made = 0;
        for (const auto* user : {"alice", "alice:history", "alice:lock", "alice:once:a", "bal", ":",
                                 "alice:bal", "alice:bal:history", "redislock:alice", "%"}) {
            const auto keys = *scheme.keys_of(user);
            for (const auto& key : all_of(keys)) {
                seen.insert(key);
                ++made;
                EXPECT_EQ(hashed_part(key), hashed_part(keys.balance)) << text << " " << key;
            }
        }
        EXPECT_EQ(seen.size(), made) << text;
    }
}

TEST(keys, what_cannot_be_adopted_is_refused) {
    const auto scheme = scheme_of("", "acct:{user}");
    for (const auto& user : {"a{b"s, "a}b"s, "a\rb"s, "a\nb"s, "a\0b"s}) {
        const auto refused = scheme.keys_of(user);
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, errc::invalid_argument);
        EXPECT_NE(refused.error().message.find("user"), std::string::npos);
    }
    for (const auto* text :
         {"acct", "{user}:{user}", "{User}", "user", "acct:{user", "x{}y{user}", "a}b{user}", "x{{user}"}) {
        const auto refused = key_scheme::make("", text);
        ASSERT_FALSE(refused.has_value()) << text;
        EXPECT_EQ(refused.error().code, errc::configuration);
        EXPECT_NE(refused.error().message.find("balance_key"), std::string::npos);
    }
}

TEST(keys, an_empty_user_or_a_prefix_with_braces_is_refused) {
    EXPECT_EQ(scheme_of("p").keys_of("").error().code, errc::invalid_argument);
    EXPECT_EQ(scheme_of("", "a:{user}").keys_of("").error().code, errc::invalid_argument);
    for (const auto* prefix : {"{", "}", "a{b}", "{a}:"}) {
        const auto refused = key_scheme::make(prefix, "");
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, errc::configuration);
        EXPECT_NE(refused.error().message.find("prefix"), std::string::npos);
    }
}

TEST(keys, a_side_key_is_in_the_slot_of_what_it_belongs_to) {
    EXPECT_EQ(side_key("a", "x"), "{a}:redislock:x");
    EXPECT_EQ(side_key("a{b}c", "x"), "a{b}c:redislock:t:x");
    EXPECT_EQ(side_key("{a}", "x"), "{a}:redislock:t:x");
    EXPECT_EQ(side_key("{a", "x"), "{{a}:redislock:x");
    EXPECT_EQ(side_key("a{}{b}", "x"), "{a{}{b}}:redislock:x");
}

}  // namespace
}  // namespace redislock
