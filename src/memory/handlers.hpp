// The handlers of all commands, as the command table needs them. Each file defines one family.
#pragma once

#include <optional>

#include "memory/commands.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {

/// What the command's key holds; null where it does not exist, nothing where it is of another type.
template <class Value>
std::optional<Value*> value_at(call& which) {
    entry* found = which.server.keys.find(which.word(1));
    if (found == nullptr) return nullptr;
    if (found->as<Value>() == nullptr) return std::nullopt;
    return found->as<Value>();
}

/// After something was taken out of what the command's key holds: an empty value is none.
template <class Value>
void settle(call& which, const Value& left) {
    if (left.size() == 0) which.server.keys.erase(which.word(1));
    else which.server.keys.touch(which.word(1));
}

/// HDEL and ZREM: takes out each of the words behind the key, and tells how many there were.
template <class Value>
wire::reply remove_each(call& which) {
    const auto held = value_at<Value>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr) return make_integer(0);
    std::int64_t removed = 0;
    for (std::size_t i = 2; i < which.words.size(); ++i) {
        const auto found = (*held)->find(which.word(i));
        if (found == (*held)->end()) continue;
        (*held)->erase(found);
        ++removed;
    }
    if (removed > 0) settle(which, **held);
    return make_integer(removed);
}

// commands_text.cpp
wire::reply run_get(call& which);
wire::reply run_mget(call& which);
wire::reply run_set(call& which);
wire::reply run_incr(call& which);
wire::reply run_decr(call& which);
wire::reply run_incrby(call& which);
wire::reply run_decrby(call& which);

// commands_list.cpp
wire::reply run_lpush(call& which);
wire::reply run_rpush(call& which);
wire::reply run_ltrim(call& which);
wire::reply run_llen(call& which);
wire::reply run_lrange(call& which);

// commands_hash.cpp
wire::reply run_hset(call& which);
wire::reply run_hget(call& which);
wire::reply run_hmget(call& which);
wire::reply run_hgetall(call& which);
wire::reply run_hdel(call& which);
wire::reply run_hlen(call& which);
wire::reply run_hexists(call& which);
wire::reply run_hincrby(call& which);

// commands_sorted_set.cpp
wire::reply run_zadd(call& which);
wire::reply run_zincrby(call& which);
wire::reply run_zrem(call& which);
wire::reply run_zscore(call& which);
wire::reply run_zcard(call& which);
wire::reply run_zrank(call& which);
wire::reply run_zpopmin(call& which);

// commands_score_range.cpp
wire::reply run_zrange(call& which);
wire::reply run_zrangebyscore(call& which);
wire::reply run_zcount(call& which);
wire::reply run_zremrangebyscore(call& which);

// commands_stream.cpp
wire::reply run_xadd(call& which);
wire::reply run_xlen(call& which);
wire::reply run_xrange(call& which);
wire::reply run_xdel(call& which);
wire::reply run_xtrim(call& which);

// commands_key.cpp
wire::reply run_del(call& which);
wire::reply run_exists(call& which);
wire::reply run_type(call& which);
wire::reply run_pttl(call& which);
wire::reply run_ttl(call& which);
wire::reply run_pexpire(call& which);
wire::reply run_expire(call& which);
wire::reply run_pexpireat(call& which);
wire::reply run_pexpiretime(call& which);
wire::reply run_persist(call& which);
wire::reply run_scan(call& which);
wire::reply run_dbsize(call& which);
wire::reply run_flush(call& which);

// transactions.cpp
wire::reply run_watch(call& which);
wire::reply run_unwatch(call& which);
wire::reply run_multi(call& which);
wire::reply run_exec(call& which);
wire::reply run_discard(call& which);

// commands_publish.cpp
wire::reply run_publish(call& which);
wire::reply run_pubsub(call& which);

// scripts.cpp
wire::reply run_eval(call& which);
wire::reply run_evalsha(call& which);
wire::reply run_script(call& which);

// commands_server.cpp
wire::reply run_ping(call& which);
wire::reply run_echo(call& which);
wire::reply run_time(call& which);
wire::reply run_info(call& which);
wire::reply run_config(call& which);
wire::reply run_client(call& which);
wire::reply run_select(call& which);

}  // namespace redislock::memory
