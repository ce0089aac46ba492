// The handlers of all commands, as the command table needs them. Each file defines one family.
#pragma once

#include "memory/commands.hpp"

namespace redislock::memory {

// commands_text.cpp
void run_get(call& which);
void run_set(call& which);
void run_incr(call& which);
void run_decr(call& which);
void run_incrby(call& which);
void run_decrby(call& which);

// commands_list.cpp
void run_lpush(call& which);
void run_rpush(call& which);
void run_ltrim(call& which);
void run_llen(call& which);
void run_lrange(call& which);

// commands_key.cpp
void run_del(call& which);
void run_exists(call& which);
void run_type(call& which);
void run_pttl(call& which);
void run_ttl(call& which);
void run_pexpire(call& which);
void run_expire(call& which);
void run_persist(call& which);
void run_scan(call& which);
void run_dbsize(call& which);
void run_flush(call& which);

// transactions.cpp
void run_watch(call& which);
void run_unwatch(call& which);
void run_multi(call& which);
void run_exec(call& which);
void run_discard(call& which);

// scripts.cpp
void run_eval(call& which);
void run_evalsha(call& which);
void run_script(call& which);

// commands_server.cpp
void run_ping(call& which);
void run_echo(call& which);
void run_time(call& which);
void run_info(call& which);
void run_config(call& which);
void run_client(call& which);
void run_select(call& which);

}  // namespace redislock::memory
