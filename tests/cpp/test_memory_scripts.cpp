// Scripts on memory://: conversions, the sandbox, errors in a server's words, and bounds.
#include <gtest/gtest.h>

#include "memory/decimals.hpp"
#include "memory/sha1.hpp"
#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

class memory_scripts : public ::testing::Test {
public:
    memory_scripts() { reset_time(); }

    std::string eval(std::string_view body) { return c("EVAL", body, 1, "k1", "a1", "a2"); }
    /// The same without the place of an error.
    std::string eval_bare(std::string_view body) {
        const std::string said = eval(body);
        return said.substr(0, said.find(" script: "));
    }

    std::shared_ptr<server> home = std::make_shared<server>(fake_clocks);
    test_client c{home};
};

TEST(sha1, is_that_of_the_standard) {
    EXPECT_EQ(sha1_of(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_EQ(sha1_of("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(sha1_of(std::string(1'000'000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    EXPECT_EQ(sha1_of(std::string(55, 'a')), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    EXPECT_EQ(sha1_of(std::string(56, 'a')), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
}

TEST(decimals, are_written_as_servers_do) {
    EXPECT_EQ(to_decimal(3), "3");
    EXPECT_EQ(to_decimal(-0.0), "0");
    EXPECT_EQ(to_decimal(0.1), "0.1");
    EXPECT_EQ(to_decimal(1.0 / 3), "0.3333333333333333");
    EXPECT_EQ(to_decimal(123456789012345678.0), "123456789012345680");
    EXPECT_EQ(to_decimal(1e17), "100000000000000000");
    EXPECT_EQ(to_decimal(1e21), "1e+21");
    EXPECT_EQ(to_decimal(1e-7), "1e-7");
    EXPECT_EQ(to_decimal(-0.0001), "-0.0001");
    EXPECT_EQ(to_decimal(1.5e300), "1.5e+300");
    EXPECT_EQ(to_decimal(-1.0 / 0.0), "-inf");
    EXPECT_EQ(parse_decimal("1.5"), 1.5);
    EXPECT_EQ(parse_decimal("-inf"), -1.0 / 0.0);
    for (const char* text : {"", " 1", "1 ", "nan", "1,5", "x", "1e999"}) {
        EXPECT_EQ(parse_decimal(text), std::nullopt) << text;
    }
}

TEST_F(memory_scripts, turn_lua_values_into_replies) {
    EXPECT_EQ(eval("return 'text'"), "'text'");
    EXPECT_EQ(eval("return -1.9"), "-1");
    EXPECT_EQ(eval("return 1e100"), "-9223372036854775808");
    EXPECT_EQ(eval("return 0/0"), "-9223372036854775808");
    EXPECT_EQ(eval("return true"), "1");
    EXPECT_EQ(eval("return false"), "nil");
    EXPECT_EQ(eval("return nil"), "nil");
    EXPECT_EQ(eval("return"), "nil");
    EXPECT_EQ(eval(""), "nil");
    EXPECT_EQ(eval("return {1, 2, nil, 4}"), "[1, 2]");
    EXPECT_EQ(eval("return {1.9, 'a', true, false, {}, {{1}}}"), "[1, 'a', 1, nil, [], [[1]]]");
    EXPECT_EQ(eval("return {a = 1}"), "[]");
    EXPECT_EQ(eval("return {ok = 'fine'}"), "fine");
    EXPECT_EQ(eval("return {err = 'BAD\\nthing'}"), "-BAD thing");
    EXPECT_EQ(eval("return {1, print_nothing and 1, function() end, 3}").substr(0, 4), "-ERR");
    EXPECT_EQ(eval("return {1, function() end, 3}"), "[1, nil, 3]");
    EXPECT_EQ(eval("local t = {} t[1] = t return t").find("reached lua stack limit") == std::string::npos,
              false);
    EXPECT_EQ(eval("return {KEYS[1], #KEYS, ARGV[1], ARGV[2], #ARGV}"), "['k1', 1, 'a1', 'a2', 2]");
    EXPECT_EQ(eval("return 'a\\0b'"), "'" + std::string("a\0b", 3) + "'");
}

TEST_F(memory_scripts, turn_replies_into_lua_values) {
    EXPECT_EQ(eval("return tostring(redis.call('GET', 'k'))"), "'false'");
    EXPECT_EQ(eval("return redis.call('set', KEYS[1], 1.5).ok"), "'OK'");
    EXPECT_EQ(eval("return redis.call('GET', KEYS[1])"), "'1.5'");
    EXPECT_EQ(eval("return type(redis.call('exists', 'k1'))"), "'number'");
    EXPECT_EQ(eval("return redis.call('rpush', 'l', 'a', 2)"), "2");
    EXPECT_EQ(eval("return redis.call('lrange', 'l', 0, -1)"), "['a', '2']");
    EXPECT_EQ(eval("return redis.pcall('get', 'l').err").substr(0, 11), "'WRONGTYPE ");
    EXPECT_EQ(eval("return redis.pcall('get', 'l')"),
              "-WRONGTYPE Operation against a key holding the wrong kind of value");
    EXPECT_EQ(eval("return redis.call('echo', 2^53)"), "'9007199254740992'");
    EXPECT_EQ(eval("return redis.call('time')"), "['1735689600', '12345']");
}

TEST_F(memory_scripts, tell_errors_as_a_server_does) {
    const std::string where = " script: " + sha1_of("error('x')") + ", on @user_script:1.";
    EXPECT_EQ(eval("error('x')"), "-ERR user_script:1: x" + where);
    EXPECT_EQ(eval_bare("error('x', 0)"), "-ERR x");
    EXPECT_EQ(eval_bare("error({err = 'MY x'})"), "-MY x");
    EXPECT_EQ(eval_bare("error({a = 1})"), "-ERR unknown error");
    EXPECT_EQ(eval_bare("error()"), "-ERR nil");
    EXPECT_EQ(eval("return 1 +"),
              "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'");
    EXPECT_EQ(eval_bare("redis.call('rpush', 'l', 1) return redis.call('get', 'l')"),
              "-WRONGTYPE Operation against a key holding the wrong kind of value");
    EXPECT_EQ(eval_bare("return redis.call('foo')"), "-ERR Unknown command called from script");
    EXPECT_EQ(eval_bare("return redis.call('get')"), "-ERR Wrong number of args calling command from script");
    EXPECT_EQ(eval_bare("return redis.call()"), "-ERR Please specify at least one argument for this call");
    EXPECT_EQ(eval_bare("return redis.call('get', {})"),
              "-ERR Command arguments must be strings or integers");
    EXPECT_NE(eval("\n\nerror('x')").find("on @user_script:3."), std::string::npos);
    EXPECT_EQ(eval("return {pcall(redis.call, 'get')}"),
              "[nil, 'ERR Wrong number of args calling command from script']");
    EXPECT_EQ(eval("return redis.error_reply('MY text')"), "-MY text");
    EXPECT_EQ(eval("return redis.error_reply('-MY text')"), "-MY text");
    EXPECT_EQ(eval("return redis.status_reply('fine')"), "fine");
    EXPECT_EQ(eval("return xpcall(function() error('x', 0) end, function(e) return e .. '!' end)"), "nil");
    EXPECT_EQ(c("EVAL", "return 1", "x"), "-ERR value is not an integer or out of range");
    EXPECT_EQ(c("EVAL", "return 1", 1), "-ERR Number of keys can't be greater than number of args");
    EXPECT_EQ(c("EVAL", "return 1", -1), "-ERR Number of keys can't be negative");
}

TEST_F(memory_scripts, cannot_use_what_is_not_for_scripts) {
    for (const char* command :
         {"EVAL', 'return 1', '0", "EVALSHA', 'x', '0", "SCRIPT', 'FLUSH", "MULTI", "EXEC", "DISCARD",
          "WATCH', 'k", "UNWATCH", "CLIENT', 'ID", "CONFIG', 'GET', 'save"}) {
        EXPECT_EQ(eval_bare("return redis.call('" + std::string(command) + "')"),
                  "-ERR This command is not allowed from script")
            << command;
    }
}

TEST_F(memory_scripts, cannot_change_what_others_see) {
    const std::string refused = "-ERR user_script:1: Attempt to modify a readonly table";
    for (const char* body : {"x = 1", "_G.x = 1", "string.foo = 1", "redis.call = 1", "KEYS = {}",
                             "redis = nil", "table.concat = nil"}) {
        EXPECT_EQ(eval_bare(body), refused) << body;
    }
    EXPECT_EQ(eval_bare("return x"),
              "-ERR user_script:1: Script attempted to access nonexistent global variable 'x'");
    for (const char* name : {"print", "dofile", "loadfile", "io", "os", "require", "package", "debug",
                             "getfenv", "setfenv", "newproxy", "load"}) {
        EXPECT_NE(eval("return " + std::string(name)).find("nonexistent global variable"), std::string::npos)
            << name;
    }
    EXPECT_EQ(eval("rawset(_G, 'x', 1)").substr(0, 4), "-ERR");
    EXPECT_EQ(eval("setmetatable(_G, nil)").substr(0, 4), "-ERR");
    EXPECT_EQ(eval("getmetatable('').__index.foo = 1").substr(0, 4), "-ERR");
    EXPECT_EQ(eval("return redis.foo"), "nil");
    EXPECT_EQ(eval("local t = {} rawset(t, 1, 5) return t"), "[5]");
    EXPECT_EQ(eval("return ('x'):rep(3) .. string.format('%.0f', 2^53) .. table.concat({1, 2}, ',')"),
              "'xxx90071992547409921,2'");
    EXPECT_EQ(eval("return loadstring('return 5')()"), "5");
    EXPECT_EQ(eval("return loadstring('\\27Lua')"), "nil");
    EXPECT_EQ(eval("\x1bLua").substr(0, 4), "-ERR");
    EXPECT_EQ(eval("return loadstring(string.dump(function() return 1 end))"), "nil");
}

TEST_F(memory_scripts, are_known_by_their_sha1) {
    const std::string body = "return ARGV[1]";
    const std::string sha1 = sha1_of(body);
    EXPECT_EQ(c("EVALSHA", sha1, 0, "x"), "-NOSCRIPT No matching script. Please use EVAL.");
    EXPECT_EQ(c("SCRIPT", "EXISTS", sha1), "[0]");
    EXPECT_EQ(c("SCRIPT", "LOAD", body), "'" + sha1 + "'");
    EXPECT_EQ(c("EVALSHA", sha1, 0, "x"), "'x'");
    std::string capitals = sha1;
    for (char& each : capitals) each = static_cast<char>(std::toupper(each));
    EXPECT_EQ(c("EVALSHA", capitals, 0, "y"), "'y'");
    EXPECT_EQ(c("SCRIPT", "EXISTS", sha1, capitals), "[1, 1]");
    EXPECT_EQ(c("FLUSHALL"), "OK");
    EXPECT_EQ(c("SCRIPT", "EXISTS", sha1), "[1]");
    EXPECT_EQ(c("SCRIPT", "FLUSH"), "OK");
    EXPECT_EQ(c("EVALSHA", sha1, 0, "x"), "-NOSCRIPT No matching script. Please use EVAL.");
    EXPECT_EQ(c("EVAL", body, 0, "z"), "'z'");
    EXPECT_EQ(c("EVALSHA", sha1, 0, "x"), "'x'");
    EXPECT_EQ(c("SCRIPT", "LOAD", "return +").substr(0, 27), "-ERR Error compiling script");
}

TEST_F(memory_scripts, touch_what_is_watched) {
    test_client other(home);
    EXPECT_EQ(c("WATCH", "k"), "OK");
    EXPECT_EQ(other("EVAL", "return redis.call('set', KEYS[1], 1)", 1, "k"), "OK");
    EXPECT_EQ(c("MULTI"), "OK");
    EXPECT_EQ(c("EVAL", "return 1", 0), "QUEUED");
    EXPECT_EQ(c("EXEC"), "nil");
    EXPECT_EQ(c("MULTI"), "OK");
    EXPECT_EQ(c("EVAL", "return {redis.call('get', KEYS[1]), ARGV[1]}", 1, "k", "a"), "QUEUED");
    EXPECT_EQ(c("EXEC"), "[['1', 'a']]");
}

class bounded_scripts : public ::testing::Test {
public:
    std::shared_ptr<server> home =
        std::make_shared<server>(clocks{}, script_limits{30 * millisecond, std::size_t{8} << 20});
    test_client c{home};
};

TEST_F(bounded_scripts, end_after_their_time_whatever_they_catch) {
    for (const char* body :
         {"while true do end", "while true do pcall(function() while true do end end) end",
          "local f f = function() return f() end return f()", "repeat local s = ('x'):rep(100) until false",
          "while true do xpcall(function() while true do end end, function(e) while true do end end) end",
          "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end"}) {
        EXPECT_EQ(c("EVAL", body, 0).substr(0, 4), "-ERR") << body;
    }
    EXPECT_NE(c("EVAL", "while true do end", 0).find("ran for too long"), std::string::npos);
    EXPECT_EQ(c("EVAL", "return 1", 0), "1");
    EXPECT_EQ(c("PING"), "PONG");
}

TEST_F(bounded_scripts, end_where_memory_ends) {
    for (const char* body :
         {"return string.rep('x', 100000000)", "local t = {} while true do t[#t + 1] = {} end",
          "local function f() return f() + 1 end return f()", "return ('x'):rep(1e6):rep(1e6)"}) {
        EXPECT_EQ(c("EVAL", body, 0).substr(0, 4), "-ERR") << body;
        EXPECT_EQ(c("EVAL", "return 1", 0), "1");
    }
}

}  // namespace
}  // namespace redislock::memory
