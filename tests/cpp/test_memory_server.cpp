// Every command of the miniature server, in the words of a real one.
#include <gtest/gtest.h>

#include <thread>

#include "accounts/scripts.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

constexpr const char* wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
constexpr const char* no_integer = "-ERR value is not an integer or out of range";

class memory_server : public ::testing::Test {
public:
    memory_server() { reset_time(); }

    std::shared_ptr<server> home = std::make_shared<server>(fake_clocks);
    test_client c{home};
};

TEST_F(memory_server, greets) {
    EXPECT_EQ(c("PING"), "PONG");
    EXPECT_EQ(c("ping", "hello"), "'hello'");
    EXPECT_EQ(c("PING", "a", "b"), "-ERR wrong number of arguments for 'ping' command");
    EXPECT_EQ(c("ECHO", "hello"), "'hello'");
    EXPECT_EQ(c("SELECT", 0), "OK");
    EXPECT_EQ(c("SELECT", 1), "-ERR DB index is out of range");
}

TEST_F(memory_server, refuses_what_it_does_not_know) {
    EXPECT_EQ(c("FROBNICATE", "a", "b"),
              "-ERR unknown command 'FROBNICATE', with args beginning with: 'a' 'b' ");
    EXPECT_EQ(c("GET"), "-ERR wrong number of arguments for 'get' command");
    EXPECT_EQ(c("LPUSH", "k"), "-ERR wrong number of arguments for 'lpush' command");
    EXPECT_EQ(c("A_NAME_LONGER_THAN_ANY"),
              "-ERR unknown command 'A_NAME_LONGER_THAN_ANY', with args beginning with: ");
}

TEST_F(memory_server, refuses_bytes_that_are_no_request) {
    for (const char* bytes : {"PING\r\n", "*0\r\n", "*1\r\n$4\r\nPI", "*1\r\n$4\r\nPINGxx", "*1\r\n$-1\r\n",
                              "*x\r\n", "*1\r\n$99999999999999999999\r\n", "*1", "*1\r\n"}) {
        const auto replies = c.send(bytes);
        ASSERT_EQ(replies.size(), 1U) << bytes;
        EXPECT_TRUE(replies[0].failed_with("ERR")) << bytes;
    }
    EXPECT_EQ(c("PING"), "PONG");
}

TEST_F(memory_server, answers_a_pipeline_in_order) {
    wire::commands request;
    request.add("SET", "k", 1).add("GETT").add("INCRBY", "k", 2).add("GET", "k");
    const auto replies = c.send(request.bytes());
    ASSERT_EQ(replies.size(), 4U);
    EXPECT_EQ(show(replies[0]), "OK");
    EXPECT_TRUE(replies[1].is_failure());
    EXPECT_EQ(show(replies[2]), "3");
    EXPECT_EQ(show(replies[3]), "'3'");
}

TEST_F(memory_server, sets_and_gets) {
    EXPECT_EQ(c("GET", "k"), "nil");
    EXPECT_EQ(c("SET", "k", "v"), "OK");
    EXPECT_EQ(c("GET", "k"), "'v'");
    EXPECT_EQ(c("SET", "k", "w", "NX"), "nil");
    EXPECT_EQ(c("SET", "k", "w", "xx"), "OK");
    EXPECT_EQ(c("GET", "k"), "'w'");
    EXPECT_EQ(c("SET", "other", "w", "XX"), "nil");
    EXPECT_EQ(c("SET", "other", "w", "NX"), "OK");
    const std::string binary("a\r\n\0b", 5);
    EXPECT_EQ(c("SET", binary, binary), "OK");
    EXPECT_EQ(c("GET", binary), "'" + binary + "'");
    EXPECT_EQ(c("LPUSH", "list", "x"), "1");
    EXPECT_EQ(c("GET", "list"), wrong);
    EXPECT_EQ(c("SET", "list", "x"), "OK");
    EXPECT_EQ(c("TYPE", "list"), "string");
}

TEST_F(memory_server, refuses_bad_options_of_set) {
    EXPECT_EQ(c("SET", "k", "v", "NX", "XX"), "-ERR syntax error");
    EXPECT_EQ(c("SET", "k", "v", "PX"), "-ERR syntax error");
    EXPECT_EQ(c("SET", "k", "v", "PX", 1, "EX", 1), "-ERR syntax error");
    EXPECT_EQ(c("SET", "k", "v", "SOON"), "-ERR syntax error");
    EXPECT_EQ(c("SET", "k", "v", "PX", "x"), no_integer);
    EXPECT_EQ(c("SET", "k", "v", "PX", 0), "-ERR invalid expire time in 'set' command");
    EXPECT_EQ(c("SET", "k", "v", "EX", -1), "-ERR invalid expire time in 'set' command");
    EXPECT_EQ(c("EXISTS", "k"), "0");
}

TEST_F(memory_server, expires) {
    EXPECT_EQ(c("PTTL", "k"), "-2");
    EXPECT_EQ(c("SET", "k", "v", "PX", 1500), "OK");
    EXPECT_EQ(c("PTTL", "k"), "1500");
    EXPECT_EQ(c("TTL", "k"), "2");
    advance(1499 * millisecond);
    EXPECT_EQ(c("PTTL", "k"), "1");
    EXPECT_EQ(c("GET", "k"), "'v'");
    advance(1 * millisecond);
    EXPECT_EQ(c("GET", "k"), "nil");
    EXPECT_EQ(c("PTTL", "k"), "-2");
    EXPECT_EQ(c("SET", "k", "w", "NX", "EX", 1), "OK");
    EXPECT_EQ(c("INCRBY", "n", 5), "5");
    EXPECT_EQ(c("PTTL", "n"), "-1");
    EXPECT_EQ(c("SET", "k", "w", "KEEPTTL"), "OK");
    EXPECT_EQ(c("PTTL", "k"), "1000");
    EXPECT_EQ(c("SET", "k", "w"), "OK");
    EXPECT_EQ(c("PTTL", "k"), "-1");
}

TEST_F(memory_server, changes_expiry) {
    EXPECT_EQ(c("PEXPIRE", "k", 10), "0");
    EXPECT_EQ(c("SET", "k", 5), "OK");
    EXPECT_EQ(c("PEXPIRE", "k", 10), "1");
    EXPECT_EQ(c("PEXPIRE", "k", "x"), no_integer);
    EXPECT_EQ(c("PEXPIRE", "k", max_amount), "-ERR invalid expire time in 'pexpire' command");
    EXPECT_EQ(c("EXPIRE", "k", max_amount / 2), "-ERR invalid expire time in 'expire' command");
    EXPECT_EQ(c("INCRBY", "k", 1), "6");
    EXPECT_EQ(c("PTTL", "k"), "10");
    EXPECT_EQ(c("PERSIST", "k"), "1");
    EXPECT_EQ(c("PERSIST", "k"), "0");
    EXPECT_EQ(c("PTTL", "k"), "-1");
    EXPECT_EQ(c("EXPIRE", "k", 2), "1");
    EXPECT_EQ(c("PTTL", "k"), "2000");
    EXPECT_EQ(c("PEXPIRE", "k", -max_amount - 1), "1");
    EXPECT_EQ(c("EXISTS", "k"), "0");
    EXPECT_EQ(c("LPUSH", "l", "a"), "1");
    EXPECT_EQ(c("PEXPIRE", "l", 5), "1");
    advance(5 * millisecond);
    EXPECT_EQ(c("LLEN", "l"), "0");
    EXPECT_EQ(c("SET", "k", "v", "PX", max_amount), "-ERR invalid expire time in 'set' command");
    EXPECT_EQ(c("SET", "k", "v", "PX", max_amount / 2), "OK");
    advance(1'000'000 * second);
    EXPECT_EQ(c("GET", "k"), "'v'");
}

TEST_F(memory_server, forgets_what_expired_without_being_asked) {
    for (int i = 0; i < 10'000; ++i) {
        c("SET", "record:" + std::to_string(i), "x", "PX", 1000);
        advance(1 * millisecond);
    }
    const int kept = std::stoi(c("DBSIZE"));
    EXPECT_GE(kept, 1000);  // alive
    EXPECT_LT(kept, 4000);
}

TEST_F(memory_server, counts) {
    EXPECT_EQ(c("INCR", "n"), "1");
    EXPECT_EQ(c("DECR", "n"), "0");
    EXPECT_EQ(c("DECRBY", "n", 7), "-7");
    EXPECT_EQ(c("GET", "n"), "'-7'");
    EXPECT_EQ(c("INCRBY", "n", "1.5"), no_integer);
    EXPECT_EQ(c("INCRBY", "n", "007"), no_integer);
    EXPECT_EQ(c("INCRBY", "n", "9223372036854775808"), no_integer);
    EXPECT_EQ(c("DECRBY", "n", "-9223372036854775808"), "-ERR decrement would overflow");
    EXPECT_EQ(c("SET", "n", "9223372036854775807"), "OK");
    EXPECT_EQ(c("INCRBY", "n", 1), "-ERR increment or decrement would overflow");
    EXPECT_EQ(c("GET", "n"), "'9223372036854775807'");
    for (const char* text : {"007", "+1", " 1", "1 ", "-0", "", "1e3", "99999999999999999999"}) {
        EXPECT_EQ(c("SET", "n", text), "OK");
        EXPECT_EQ(c("INCRBY", "n", 1), no_integer) << text;
    }
    EXPECT_EQ(c("LPUSH", "list", "x"), "1");
    EXPECT_EQ(c("DECRBY", "list", 1), wrong);
}

TEST_F(memory_server, keeps_lists) {
    EXPECT_EQ(c("LLEN", "l"), "0");
    EXPECT_EQ(c("LRANGE", "l", 0, -1), "[]");
    EXPECT_EQ(c("LTRIM", "l", 0, 1), "OK");
    EXPECT_EQ(c("LPUSH", "l", "b", "a"), "2");
    EXPECT_EQ(c("RPUSH", "l", "c", "d", "e", "f"), "6");
    EXPECT_EQ(c("LRANGE", "l", 0, -1), "['a', 'b', 'c', 'd', 'e', 'f']");
    EXPECT_EQ(c("LRANGE", "l", -2, 100), "['e', 'f']");
    EXPECT_EQ(c("LRANGE", "l", -100, 0), "['a']");
    EXPECT_EQ(c("LRANGE", "l", 4, 2), "[]");
    EXPECT_EQ(c("LRANGE", "l", "x", 2), no_integer);
    EXPECT_EQ(c("LTRIM", "l", 1, -2), "OK");
    EXPECT_EQ(c("LRANGE", "l", 0, -1), "['b', 'c', 'd', 'e']");
    EXPECT_EQ(c("TYPE", "l"), "list");
    EXPECT_EQ(c("LTRIM", "l", 5, 9), "OK");
    EXPECT_EQ(c("EXISTS", "l"), "0");
    EXPECT_EQ(c("SET", "t", "x"), "OK");
    for (const char* command : {"LPUSH", "RPUSH"}) EXPECT_EQ(c(command, "t", "x"), wrong);
    for (const char* command : {"LRANGE", "LTRIM"}) EXPECT_EQ(c(command, "t", 0, 1), wrong);
    EXPECT_EQ(c("LLEN", "t"), wrong);
}

TEST_F(memory_server, keeps_a_bounded_list_in_order_for_long) {
    for (int i = 0; i < 1000; ++i) {
        c("LPUSH", "l", i);
        c("LTRIM", "l", 0, 4);
    }
    EXPECT_EQ(c("LRANGE", "l", 0, -1), "['999', '998', '997', '996', '995']");
    for (int i = 0; i < 100; ++i) c("RPUSH", "l", i);
    EXPECT_EQ(c("LRANGE", "l", 0, 5), "['999', '998', '997', '996', '995', '0']");
    EXPECT_EQ(c("LRANGE", "l", -1, -1), "['99']");
    EXPECT_EQ(c("LTRIM", "l", 3, 6), "OK");
    EXPECT_EQ(c("LRANGE", "l", 0, -1), "['996', '995', '0', '1']");
}

TEST_F(memory_server, removes) {
    EXPECT_EQ(c("SET", "a", 1), "OK");
    EXPECT_EQ(c("LPUSH", "b", 1), "1");
    EXPECT_EQ(c("EXISTS", "a", "b", "c", "a"), "3");
    EXPECT_EQ(c("DEL", "a", "b", "c"), "2");
    EXPECT_EQ(c("SET", "a", 1), "OK");
    EXPECT_EQ(c("UNLINK", "a", "a"), "1");
    EXPECT_EQ(c("TYPE", "a"), "none");
    EXPECT_EQ(c("SET", "a", 1), "OK");
    EXPECT_EQ(c("FLUSHALL"), "OK");
    EXPECT_EQ(c("DBSIZE"), "0");
}

TEST_F(memory_server, scans) {
    EXPECT_EQ(c("SCAN", 0), "['0', []]");
    c("SET", "p:{1}:balance", 1);
    c("LPUSH", "p:{1}:history", 1);
    c("SET", "q", 1);
    EXPECT_EQ(c("SCAN", 0, "MATCH", "p:*balance", "COUNT", 1000), "['0', ['p:{1}:balance']]");
    EXPECT_EQ(c("SCAN", 0, "TYPE", "list"), "['0', ['p:{1}:history']]");
    EXPECT_EQ(c("SCAN", 0, "MATCH", "?"), "['0', ['q']]");
    EXPECT_EQ(c("SCAN", 0, "MATCH", "[a-o]"), "['0', []]");
    EXPECT_EQ(c("SCAN", 0, "MATCH", "[^a-o]"), "['0', ['q']]");
    EXPECT_EQ(c("SCAN", 0, "MATCH", "\\q"), "['0', ['q']]");
    EXPECT_EQ(c("SCAN", "x"), "-ERR invalid cursor");
    EXPECT_EQ(c("SCAN", 0, "COUNT", 0), "-ERR syntax error");
    EXPECT_EQ(c("SCAN", 0, "MATCH"), "-ERR syntax error");
}

TEST_F(memory_server, tells_the_time) {
    EXPECT_EQ(c("TIME"), "['1735689600', '12345']");
    advance(1 * second);
    EXPECT_EQ(c("TIME"), "['1735689601', '12345']");
}

TEST_F(memory_server, tells_of_itself) {
    const std::string info = c("INFO");
    EXPECT_NE(info.find("server_name:memory\r\n"), std::string::npos);
    EXPECT_NE(info.find("role:master\r\n"), std::string::npos);
    EXPECT_EQ(c("CONFIG", "GET", "save"), "['save', '']");
    EXPECT_EQ(c("CONFIG", "GET", "maxmemory*"), "['maxmemory', '0', 'maxmemory-policy', 'noeviction']");
    EXPECT_EQ(c("CONFIG", "GET", "nonsense"), "[]");
    EXPECT_EQ(c("CONFIG", "SET", "save", ""), "-ERR unknown subcommand 'SET'. Try CONFIG HELP.");
    EXPECT_EQ(c("CLIENT", "ID"), "1");
    EXPECT_EQ(test_client(home)("CLIENT", "ID"), "2");
    EXPECT_EQ(c("CLIENT", "GETNAME"), "nil");
    EXPECT_EQ(c("CLIENT", "SETNAME", "me"), "OK");
    EXPECT_EQ(c("CLIENT", "GETNAME"), "'me'");
    EXPECT_EQ(c("CLIENT", "KILL", "ID", 77), "0");
}

TEST_F(memory_server, knows_its_scripts_by_text_and_by_sha1) {
    const auto& init = accounts::scripts::init;
    EXPECT_EQ(c("EVALSHA", init.sha1, 2, "b", "h", 10, 0), "'ok 10'");
    EXPECT_EQ(c("SCRIPT", "FLUSH"), "OK");
    EXPECT_EQ(c("EVALSHA", init.sha1, 2, "b", "h", 10, 0), "-NOSCRIPT No matching script. Please use EVAL.");
    EXPECT_EQ(c("SCRIPT", "EXISTS", init.sha1, "x"), "[0, 0]");
    EXPECT_EQ(c("EVAL", init.body, 2, "b", "h", 11, 0), "'ok 11'");
    EXPECT_EQ(c("EVALSHA", init.sha1, 2, "b", "h", 12, 0), "'ok 12'");
    EXPECT_EQ(c("SCRIPT", "LOAD", accounts::scripts::release.body),
              "'" + std::string(accounts::scripts::release.sha1) + "'");
    EXPECT_EQ(c("SCRIPT", "EXISTS", accounts::scripts::release.sha1, init.sha1), "[1, 1]");
    EXPECT_EQ(c("EVAL", "return 1", 0), "1");
    EXPECT_EQ(c("EVALSHA", init.sha1, -1, "b"), "-ERR Number of keys can't be negative");
    EXPECT_EQ(c("EVALSHA", init.sha1, 3, "b"), "-ERR Number of keys can't be greater than number of args");
    EXPECT_EQ(c("EVALSHA", init.sha1, "x", "b"), no_integer);
    EXPECT_EQ(c("EVALSHA", init.sha1, 1, "b").substr(0, 4), "-ERR");
}

TEST(memory_registry, gives_one_server_to_a_name_and_a_private_one_to_none) {
    EXPECT_EQ(server::named("test-registry"), server::named("test-registry"));
    EXPECT_NE(server::named("test-registry"), server::named("test-registry-2"));
    EXPECT_NE(server::named(""), server::named(""));
}

TEST(memory_registry, serves_threads) {
    const auto home = server::named("");
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([home] {
            test_client mine(home);
            for (int n = 0; n < 1000; ++n) mine("INCRBY", "n", 1);
        });
    }
    for (auto& each : threads) each.join();
    EXPECT_EQ(test_client(home)("GET", "n"), "'4000'");
}

}  // namespace
}  // namespace redislock::memory
