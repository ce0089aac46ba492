// The texts that scripts answer with and that are stored: read as written, and refused otherwise.
#include "accounts/codec.hpp"

#include <gtest/gtest.h>

#include <string>

#include "reply_text.hpp"

namespace redislock::accounts {
namespace {

change asked_for(amount value = 3, std::string id = "id") {
    change made;
    made.keys = *key_scheme::make("p", "")->keys_of("alice");
    made.amount = value;
    made.idempotency_key = std::move(id);
    return made;
}

result<receipt> outcome(const std::string& text) { return decode_outcome(wire::bulk(text), asked_for()); }

errc code_of(const std::string& text) {
    const auto ended = outcome(text);
    EXPECT_FALSE(ended.has_value()) << text;
    return ended ? errc{} : ended.error().code;
}

TEST(codec, reads_every_status) {
    for (std::size_t i = 0; i < status_count; ++i) {
        const auto name = std::string(to_string(static_cast<status>(i)));
        const auto bare = outcome(name);
        ASSERT_TRUE(bare.has_value()) << name;
        EXPECT_EQ(bare->status, static_cast<status>(i));
        EXPECT_FALSE(bare->balance || bare->replayed);
        const auto full = outcome("=" + name + " 9223372036854775807");
        ASSERT_TRUE(full.has_value()) << name;
        EXPECT_EQ(full->balance, max_amount);
        EXPECT_TRUE(full->replayed);
    }
    EXPECT_TRUE(decode_outcome(wire::simple("ok 97"), asked_for()).has_value());
}

TEST(codec, reads_every_refusal) {
    EXPECT_EQ(code_of("corrupt"), errc::corrupt_balance);
    EXPECT_EQ(code_of("mismatch"), errc::idempotency_mismatch);
    EXPECT_EQ(code_of("wrongtype history"), errc::wrong_type);
    EXPECT_EQ(code_of("wrongtype record"), errc::wrong_type);
    EXPECT_NE(outcome("corrupt").error().message.find("p:{alice}:balance"), std::string::npos)
        << "names the key";
    EXPECT_NE(outcome("wrongtype history").error().message.find("p:{alice}:history"), std::string::npos);
    EXPECT_NE(outcome("wrongtype record").error().message.find("p:{alice}:once:id"), std::string::npos);
    EXPECT_NE(outcome("mismatch").error().message.find("'id'"), std::string::npos);
    const auto refused = decode_outcome(wire::refusal_of("OOM command not allowed"), asked_for());
    EXPECT_EQ(refused.error().code, errc::server_refused);
}

TEST(codec, senseless_answers_are_protocol_errors) {
    for (const auto* text : {"", "=", "yes", "ok x", "ok -1", "ok 007", "ok 1 2", "ok 9223372036854775808",
                             "==ok 1", " ok", "OK 1"}) {
        EXPECT_EQ(code_of(text), errc::protocol) << "'" << text << "'";
    }
    EXPECT_LT(outcome(std::string(10'000, 'x')).error().message.size(), 300U);
}

TEST(codec, records_read_back) {
    for (auto ended :
         {receipt{status::ok, 97, 1, 0, false}, receipt{status::insufficient, 0, 1, 0, false},
          receipt{status::missing, {}, 1, 0, false}, receipt{status::ok, max_amount, 1, 0, false}}) {
        const auto text = encode_record("withdraw", 3, ended);
        const auto same = decode_record(text, "withdraw", asked_for());
        ASSERT_TRUE(same.has_value()) << text;
        EXPECT_EQ(same->status, ended.status);
        EXPECT_EQ(same->balance, ended.balance);
        EXPECT_TRUE(same->replayed);
        const auto any = decode_any_record(text);
        ASSERT_TRUE(any.has_value());
        EXPECT_EQ(any->status, ended.status);
        EXPECT_EQ(any->balance, ended.balance);
        EXPECT_TRUE(any->replayed);
    }
    EXPECT_EQ(encode_record("withdraw", 3, receipt{status::ok, 97, 1, 0, false}), "withdraw 3 ok 97");
}

TEST(codec, a_record_of_another_request_is_a_mismatch) {
    for (const auto* text :
         {"withdraw 4 ok 97", "deposit 3 ok 97", "withdraw 33 ok 1", "withdraw 03 ok 1", "", "garbage"}) {
        const auto judged = decode_record(text, "withdraw", asked_for());
        ASSERT_FALSE(judged.has_value()) << text;
        EXPECT_EQ(judged.error().code, errc::idempotency_mismatch) << text;
    }
    EXPECT_EQ(decode_record("withdraw 3 maybe", "withdraw", asked_for()).error().code, errc::protocol);
    EXPECT_FALSE(decode_any_record("withdraw 3"));
    EXPECT_FALSE(decode_any_record("a hash of somebody"));
}

TEST(codec, history_entries_read_back) {
    for (const auto& entry : {history_entry{3, 97, 1'732'222'222'222, "lua", ""},
                              history_entry{-max_amount, max_amount, 0, "deposit", "order 7 of 9"},
                              history_entry{1, 0, -5, "watch", "{a}\r\n\xff"}}) {
        const auto text = encode_entry(entry);
        const auto same = decode_entry(text);
        ASSERT_TRUE(same.has_value()) << text;
        EXPECT_EQ(same->amount, entry.amount);
        EXPECT_EQ(same->balance, entry.balance);
        EXPECT_EQ(same->time_ms, entry.time_ms);
        EXPECT_EQ(same->strategy, entry.strategy);
        EXPECT_EQ(same->idempotency_key, entry.idempotency_key);
    }
    EXPECT_EQ(encode_entry({3, 97, 5, "lua", "k"}), "3 97 5 lua k");
    for (const auto* text : {"", "3", "3 97", "x 97 5 lua", "3 x 5 lua", "3 97 x lua"})
        EXPECT_FALSE(decode_entry(text)) << text;
}

TEST(codec, a_balance_is_an_integer_or_missing_or_corrupt) {
    const auto keys = asked_for().keys;
    EXPECT_EQ(**decode_balance(wire::bulk("97"), keys), 97);
    EXPECT_FALSE(decode_balance(wire::nil(), keys)->has_value());
    for (const auto& said :
         {wire::bulk(""), wire::bulk("12.5"), wire::bulk("-1"), wire::bulk("007"), wire::bulk("abc"),
          wire::bulk("9223372036854775808"), wire::refusal_of("WRONGTYPE Operation against a key")}) {
        const auto judged = decode_balance(said, keys);
        ASSERT_FALSE(judged.has_value()) << wire::to_text(said);
        EXPECT_EQ(judged.error().code, errc::corrupt_balance);
    }
    EXPECT_EQ(decode_balance(wire::refusal_of("NOPERM no"), keys).error().code, errc::no_permission);
}

TEST(codec, server_time_is_milliseconds) {
    EXPECT_EQ(decode_time_ms(wire::list({wire::bulk("1732222222"), wire::bulk("222999")})),
              1'732'222'222'222);
    EXPECT_EQ(decode_time_ms(wire::list({wire::bulk("7")})), 0);
    EXPECT_EQ(decode_time_ms(wire::refusal_of("NOPERM")), 0);
}

}  // namespace
}  // namespace redislock::accounts
