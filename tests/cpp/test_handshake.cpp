// The first words on a connection, on exact bytes, and what every answer to them means.
#include "wire/handshake.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "reply_text.hpp"

namespace redislock::wire {
namespace {

// The commands of a handshake as a person would type them.
std::string words_of(const options& settings, const greeting& wanted) {
    const auto made = make_handshake(settings, wanted);
    const std::string& bytes = made.bytes();
    std::string text;
    for (std::size_t at = 0; at < bytes.size();) {
        const bool begins = bytes[at] == '*';
        const std::size_t size = begins ? 0 : std::stoul(bytes.substr(at + 1));
        at = bytes.find("\r\n", at) + 2;
        if (begins) {
            if (!text.empty()) text += " | ";
            continue;
        }
        if (!text.empty() && text.back() != ' ') text += ' ';
        text += bytes.substr(at, size);
        at += size + 2;
    }
    return text;
}

options settings_with(std::string username, std::string password) {
    options made;
    made.username = std::move(username);
    made.password = std::move(password);
    return made;
}

greeting resp2() {
    greeting made;
    made.resp3 = false;
    return made;
}

greeting exclusive() {
    greeting made;
    made.exclusive = true;
    return made;
}

reply hello(std::int64_t id) {
    return list({bulk("server"), bulk("redis"), bulk("id"), number(id), bulk("proto"), number(3)});
}

reply info(const std::string& address = "127.0.0.1:5000") {
    return bulk("id=7 addr=" + address + " laddr=10.0.0.1:6379 fd=8 name= db=0");
}

reply denied(const std::string& command) {
    return refusal_of("NOPERM User bob has no permissions to run the '" + command + "' command");
}

result<welcome> judge(const options& settings, const greeting& wanted, std::vector<reply> replies) {
    EXPECT_EQ(make_handshake(settings, wanted).count(), replies.size());
    return read_handshake(settings, wanted, replies);
}

TEST(handshake, is_a_hello_and_a_question_where_nothing_else_is_asked_for) {
    const auto made = make_handshake({}, {});
    EXPECT_EQ(made.bytes(),
              "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
              "*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n");
    EXPECT_EQ(made.count(), 2U);
}

TEST(handshake, authenticates_within_hello) {
    EXPECT_EQ(words_of(settings_with("", "pw"), {}), "HELLO 3 AUTH default pw | CLIENT INFO");
    EXPECT_EQ(words_of(settings_with("bob", "pw"), {}), "HELLO 3 AUTH bob pw | CLIENT INFO");
}

TEST(handshake, a_user_without_a_password_is_not_the_default_user) {
    const std::string info = "*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n";
    const auto made = make_handshake(settings_with("bob", ""), {});
    EXPECT_EQ(made.bytes(), "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$0\r\n\r\n" + info);
    const auto older = make_handshake(settings_with("bob", ""), resp2());
    EXPECT_EQ(older.bytes(),
              "*3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$0\r\n\r\n*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n" + info);
    EXPECT_EQ(older.count(), 3U);
}

TEST(handshake, asks_for_everything_in_one_go) {
    options settings = settings_with("bob", "pw");
    settings.client_name = "till";
    settings.db = 3;
    greeting wanted = exclusive();
    wanted.lost = {{7, "127.0.0.1:5000"}, {8, ""}};
    EXPECT_EQ(words_of(settings, wanted),
              "HELLO 3 AUTH bob pw | CLIENT INFO | CLIENT SETNAME till | SELECT 3 | "
              "CLIENT KILL ID 7 ADDR 127.0.0.1:5000 | CLIENT KILL ID 8 | MULTI | EXEC");
}

TEST(handshake, falls_back_to_the_words_of_resp2) {
    EXPECT_EQ(words_of({}, resp2()), "CLIENT ID | CLIENT INFO");
    EXPECT_EQ(words_of(settings_with("", "pw"), resp2()), "AUTH pw | CLIENT ID | CLIENT INFO");
    options settings = settings_with("bob", "pw");
    settings.client_name = "till";
    settings.db = 1;
    greeting wanted = resp2();
    wanted.exclusive = true;
    EXPECT_EQ(words_of(settings, wanted),
              "AUTH bob pw | CLIENT ID | CLIENT INFO | CLIENT SETNAME till | SELECT 1 | MULTI | EXEC");
}

TEST(handshake, learns_its_id_from_hello_or_from_client_id) {
    const auto three = judge({}, {}, {hello(42), info()});
    ASSERT_TRUE(three.has_value());
    EXPECT_EQ(three->client_id, 42);
    const auto no_client = refusal_of("ERR unknown command 'CLIENT'");
    EXPECT_FALSE(three->downgrade || three->kill_refused);
    EXPECT_EQ(judge({}, resp2(), {number(9), info()})->client_id, 9);
    EXPECT_EQ(judge({}, {}, {list({bulk("proto"), number(3)}), info()})->client_id, 0)
        << "a server that tells no id";
    EXPECT_EQ(judge({}, resp2(), {no_client, no_client})->client_id, 0);
}

// A NAT or a proxy makes it another than the client's own.
TEST(handshake, learns_the_address_under_which_the_server_knows_it) {
    for (const auto* address : {"192.0.2.7:40123", "[2001:db8::1]:40123", "/run/with space/redis.sock:0"})
        EXPECT_EQ(judge({}, {}, {hello(1), info(address)})->address, address);
    EXPECT_EQ(judge({}, {}, {hello(1), bulk("id=7 addr=10.0.0.2:1")})->address, "10.0.0.2:1");
    for (const auto& said : {refusal_of("ERR Unknown subcommand"), denied("client|info"), number(1), nil(),
                             bulk(""), bulk("id=7 laddr=10.0.0.1:6379")}) {
        const auto untold = judge({}, {}, {hello(1), said});
        ASSERT_TRUE(untold.has_value());
        EXPECT_EQ(untold->address, "");
    }
}

TEST(handshake, steps_down_where_hello_is_not_known) {
    for (const auto* words :
         {"ERR unknown command 'HELLO'", "ERR unknown command `HELLO`, with args beginning with: `3`",
          "NOPROTO unsupported protocol version", "NOPROTO sorry, this protocol version is not supported"}) {
        const auto judged = judge({}, {}, {refusal_of(words), info()});
        ASSERT_TRUE(judged.has_value()) << words;
        EXPECT_TRUE(judged->downgrade) << words;
    }
    // What followed HELLO went wrong as well, and does not count.
    options settings = settings_with("bob", "pw");
    settings.db = 1;
    EXPECT_TRUE(
        judge(settings, {},
              {refusal_of("ERR unknown command 'HELLO'"), refusal_of("NOAUTH Authentication required."),
               refusal_of("NOAUTH Authentication required.")})
            ->downgrade);
}

TEST(handshake, a_refused_password_is_one_kind_of_error_in_every_dialect) {
    for (const auto* words :
         {"WRONGPASS invalid username-password pair or user is disabled.",
          "NOAUTH HELLO must be called with the client already authenticated", "ERR invalid password",
          "ERR AUTH <password> called without any password configured for the default user."}) {
        const auto three = judge(settings_with("bob", "hunter2"), {}, {refusal_of(words), refusal_of(words)});
        ASSERT_FALSE(three.has_value()) << words;
        EXPECT_EQ(three.error().code, errc::authentication) << words;
        EXPECT_EQ(three.error().message.find("hunter2"), std::string::npos);
        EXPECT_NE(three.error().message.find("password="), std::string::npos) << "the way out";
        const auto two = judge(settings_with("", "hunter2"), resp2(), {refusal_of(words), number(1), info()});
        ASSERT_FALSE(two.has_value()) << words;
        EXPECT_EQ(two.error().code, errc::authentication) << words;
    }
    const auto forgotten = judge({}, resp2(), {refusal_of("NOAUTH Authentication required."), info()});
    ASSERT_FALSE(forgotten.has_value());
    EXPECT_EQ(forgotten.error().code, errc::authentication);
}

TEST(handshake, a_refused_database_is_a_mistake_in_the_settings) {
    options settings;
    settings.db = 99;
    const auto judged = judge(settings, {}, {hello(1), info(), refusal_of("ERR DB index is out of range")});
    ASSERT_FALSE(judged.has_value());
    EXPECT_EQ(judged.error().code, errc::configuration);
    EXPECT_NE(judged.error().message.find("db=99"), std::string::npos);
}

TEST(handshake, what_the_acl_forbids_is_named) {
    const auto no_hello = judge({}, {}, {denied("hello"), info()});
    ASSERT_FALSE(no_hello.has_value());
    EXPECT_EQ(no_hello.error().code, errc::no_permission);
    EXPECT_NE(no_hello.error().message.find("HELLO"), std::string::npos);
    options named;
    named.client_name = "till";
    const auto no_name = judge(named, {}, {hello(1), info(), denied("client|setname")});
    ASSERT_FALSE(no_name.has_value());
    EXPECT_NE(no_name.error().message.find("CLIENT SETNAME"), std::string::npos);
}

// Where MULTI is forbidden, the commands after it would run at once, outside any transaction.
TEST(handshake, an_exclusive_connection_proves_that_transactions_are_allowed) {
    EXPECT_TRUE(judge({}, exclusive(), {hello(1), info(), simple(), list({})}).has_value());
    const auto no_multi =
        judge({}, exclusive(), {hello(1), info(), denied("multi"), refusal_of("ERR EXEC without MULTI")});
    ASSERT_FALSE(no_multi.has_value());
    EXPECT_EQ(no_multi.error().code, errc::no_permission);
    EXPECT_NE(no_multi.error().message.find("MULTI"), std::string::npos);
    const auto no_exec = judge({}, exclusive(), {hello(1), info(), simple(), denied("exec")});
    ASSERT_FALSE(no_exec.has_value());
    EXPECT_EQ(no_exec.error().code, errc::no_permission);
}

TEST(handshake, killing_lost_connections_fails_without_harm) {
    greeting wanted;
    wanted.lost = {{7, ""}, {8, ""}};
    const auto gone = judge({}, wanted, {hello(1), info(), refusal_of("ERR No such client"), number(1)});
    ASSERT_TRUE(gone.has_value());
    EXPECT_FALSE(gone->kill_refused);
    const auto forbidden = judge({}, wanted, {hello(1), info(), denied("client|kill"), number(1)});
    ASSERT_TRUE(forbidden.has_value());
    EXPECT_TRUE(forbidden->kill_refused);
    EXPECT_EQ(forbidden->client_id, 1);
}

TEST(handshake, a_loading_server_or_another_refusal_is_told_in_its_own_words) {
    const auto loading =
        judge({}, {}, {refusal_of("LOADING Redis is loading the dataset in memory"), info()});
    ASSERT_FALSE(loading.has_value());
    EXPECT_EQ(loading.error().code, errc::server_refused);
    EXPECT_NE(loading.error().message.find("loading the dataset"), std::string::npos);
}

}  // namespace
}  // namespace redislock::wire
