// The handlers of all commands, as the command table needs them. Each file defines one family.
#pragma once

#include "memory/commands.hpp"

namespace redislock::memory {

// commands_text.cpp
wire::reply run_get(call& which);
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

// commands_key.cpp
wire::reply run_del(call& which);
wire::reply run_exists(call& which);
wire::reply run_type(call& which);
wire::reply run_pttl(call& which);
wire::reply run_ttl(call& which);
wire::reply run_pexpire(call& which);
wire::reply run_expire(call& which);
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
