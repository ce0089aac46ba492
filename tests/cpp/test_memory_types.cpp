// Hashes and sorted sets on memory://, in the words of a real server.
#include <gtest/gtest.h>

#include "memory_fixture.hpp"

namespace redislock::memory {
namespace {

constexpr const char* wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";

class memory_types : public ::testing::Test {
public:
    memory_types() { reset_time(); }

    std::shared_ptr<server> home = std::make_shared<server>(fake_clocks);
    test_client c{home};
};

TEST_F(memory_types, keep_hashes) {
    EXPECT_EQ(c("HSET", "h", "a", 1, "b", 2), "2");
    EXPECT_EQ(c("HSET", "h", "a", 3, "c", 4), "1");
    EXPECT_EQ(c("HSET", "h", "a"), "-ERR wrong number of arguments for 'hset' command");
    EXPECT_EQ(c("HMGET", "h", "a", "x", "c"), "['3', nil, '4']");
    EXPECT_EQ(c("HGET", "h", "b"), "'2'");
    EXPECT_EQ(c("HLEN", "h"), "3");
    EXPECT_EQ(c("HEXISTS", "h", "a"), "1");
    EXPECT_EQ(c("HINCRBY", "h", "a", -5), "-2");
    EXPECT_EQ(c("HINCRBY", "other", "n", 1), "1");
    EXPECT_EQ(c("TYPE", "h"), "hash");
    EXPECT_EQ(c("GET", "h"), wrong);
    EXPECT_EQ(c("LPUSH", "h", "x"), wrong);
    EXPECT_EQ(c("HDEL", "h", "a", "b", "x"), "2");
    EXPECT_EQ(c("HGETALL", "h"), "['c', '4']");
    EXPECT_EQ(c("HDEL", "h", "c"), "1");
    EXPECT_EQ(c("EXISTS", "h"), "0");
    EXPECT_EQ(c("SET", "t", "x"), "OK");
    EXPECT_EQ(c("HSET", "t", "a", 1), wrong);
}

TEST_F(memory_types, keep_sorted_sets) {
    EXPECT_EQ(c("ZADD", "z", 2, "b", 1, "a", 2, "c", "1.5", "d"), "4");
    EXPECT_EQ(c("ZRANGE", "z", 0, -1), "['a', 'd', 'b', 'c']");
    EXPECT_EQ(c("ZADD", "z", "GT", "CH", 1, "b", 5, "a"), "1");
    EXPECT_EQ(c("ZADD", "z", "NX", 9, "a"), "0");
    EXPECT_EQ(c("ZADD", "z", "XX", 9, "new"), "0");
    EXPECT_EQ(c("ZSCORE", "z", "d"), "'1.5'");
    EXPECT_EQ(c("ZRANK", "z", "a"), "3");
    EXPECT_EQ(c("ZRANGE", "z", "(1.5", "+inf", "BYSCORE", "LIMIT", 1, 1), "['c']");
    EXPECT_EQ(c("ZRANGE", "z", "+inf", "-inf", "BYSCORE", "REV"), "['a', 'c', 'b', 'd']");
    EXPECT_EQ(c("ZRANGEBYSCORE", "z", 2, 2, "WITHSCORES"), "[['b', '2'], ['c', '2']]");
    EXPECT_EQ(c("EVAL", "return redis.call('zrange', 'z', 0, 0, 'withscores')", 0), "['d', '1.5']");
    EXPECT_EQ(c("ZCOUNT", "z", 2, "(5"), "2");
    EXPECT_EQ(c("ZPOPMIN", "z"), "['d', '1.5']");
    EXPECT_EQ(c("ZREMRANGEBYSCORE", "z", "-inf", 2), "2");
    EXPECT_EQ(c("TYPE", "z"), "zset");
    EXPECT_EQ(c("ZREM", "z", "a", "x"), "1");
    EXPECT_EQ(c("EXISTS", "z"), "0");
    EXPECT_EQ(c("ZADD", "z", "x", "a"), "-ERR value is not a valid float");
    EXPECT_EQ(c("ZADD", "z", "inf", "a"), "1");
    EXPECT_EQ(c("ZINCRBY", "z", "-inf", "a"), "-ERR resulting score is not a number (NaN)");
    EXPECT_EQ(c("ZRANGE", "z", "x", 1, "BYSCORE"), "-ERR min or max is not a float");
}

TEST_F(memory_types, tell_watchers_and_expire) {
    for (const char* change : {"HSET", "ZADD"}) {
        EXPECT_EQ(c("DEL", "k").substr(0, 1).empty(), false);
        EXPECT_EQ(c("WATCH", "k"), "OK");
        EXPECT_EQ(test_client(home)(change, "k", 1, "m"), "1");
        EXPECT_EQ(c("MULTI"), "OK");
        EXPECT_EQ(c("EXEC"), "nil");
        EXPECT_EQ(c("PEXPIRE", "k", 10), "1");
        advance(10 * millisecond);
        EXPECT_EQ(c("EXISTS", "k"), "0");
    }
    EXPECT_EQ(c("SET", "k", "v"), "OK");
    EXPECT_EQ(c("PEXPIREAT", "k", 1735689600112), "1");
    const auto when = std::stoll(c("PEXPIRETIME", "k"));
    EXPECT_NEAR(static_cast<double>(when), 1735689600112.0, 1.0);
    EXPECT_EQ(c("SET", "k", "w", "GET"), "'v'");
    EXPECT_EQ(c("SET", "k", "x", "NX", "GET"), "'w'");
    EXPECT_EQ(c("MGET", "k", "nothing"), "['w', nil]");
}

}  // namespace
}  // namespace redislock::memory
