#include "memory/commands.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "memory/handlers.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {
namespace {

// In the order of their names, for the binary search.
constexpr std::array<command, 68> table{{
    {"CLIENT", -2, run_client, place::outside_scripts},
    {"CONFIG", -2, run_config, place::outside_scripts},
    {"DBSIZE", 1, run_dbsize},
    {"DECR", 2, run_decr},
    {"DECRBY", 3, run_decrby},
    {"DEL", -2, run_del},
    {"DISCARD", 1, run_discard, place::outside_queues},
    {"ECHO", 2, run_echo},
    {"EVAL", -3, run_eval, place::outside_scripts},
    {"EVALSHA", -3, run_evalsha, place::outside_scripts},
    {"EXEC", 1, run_exec, place::outside_queues},
    {"EXISTS", -2, run_exists},
    {"EXPIRE", -3, run_expire},
    {"FLUSHALL", -1, run_flush},
    {"FLUSHDB", -1, run_flush},
    {"GET", 2, run_get},
    {"HDEL", -3, run_hdel},
    {"HEXISTS", 3, run_hexists},
    {"HGET", 3, run_hget},
    {"HGETALL", 2, run_hgetall},
    {"HINCRBY", 4, run_hincrby},
    {"HLEN", 2, run_hlen},
    {"HMGET", -3, run_hmget},
    {"HSET", -4, run_hset},
    {"INCR", 2, run_incr},
    {"INCRBY", 3, run_incrby},
    {"INFO", -1, run_info},
    {"LLEN", 2, run_llen},
    {"LPUSH", -3, run_lpush},
    {"LRANGE", 4, run_lrange},
    {"LTRIM", 4, run_ltrim},
    {"MGET", -2, run_mget},
    {"MULTI", 1, run_multi, place::outside_queues},
    {"PERSIST", 2, run_persist},
    {"PEXPIRE", -3, run_pexpire},
    {"PEXPIREAT", -3, run_pexpireat},
    {"PEXPIRETIME", 2, run_pexpiretime},
    {"PING", -1, run_ping},
    {"PTTL", 2, run_pttl},
    {"PUBLISH", 3, run_publish},
    {"PUBSUB", -2, run_pubsub},
    {"RPUSH", -3, run_rpush},
    {"SCAN", -2, run_scan},
    {"SCRIPT", -2, run_script, place::outside_scripts},
    {"SELECT", 2, run_select},
    {"SET", -3, run_set},
    {"TIME", 1, run_time},
    {"TTL", 2, run_ttl},
    {"TYPE", 2, run_type},
    {"UNLINK", -2, run_del},
    {"UNWATCH", 1, run_unwatch, place::outside_scripts},
    {"WATCH", -2, run_watch, place::outside_queues},
    {"XADD", -5, run_xadd},
    {"XDEL", -3, run_xdel},
    {"XLEN", 2, run_xlen},
    {"XRANGE", -4, run_xrange},
    {"XTRIM", -4, run_xtrim},
    {"ZADD", -4, run_zadd},
    {"ZCARD", 2, run_zcard},
    {"ZCOUNT", 4, run_zcount},
    {"ZINCRBY", 4, run_zincrby},
    {"ZPOPMIN", -2, run_zpopmin},
    {"ZRANGE", -4, run_zrange},
    {"ZRANGEBYSCORE", -4, run_zrangebyscore},
    {"ZRANK", 3, run_zrank},
    {"ZREM", -3, run_zrem},
    {"ZREMRANGEBYSCORE", 4, run_zremrangebyscore},
    {"ZSCORE", 3, run_zscore},
}};
static_assert(std::is_sorted(table.begin(), table.end(),
                             [](const command& a, const command& b) { return a.name < b.name; }));

constexpr std::size_t longest_name = 16;

char to_capital(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

wire::reply refuse_unknown(const call& which) {
    std::string text = "ERR unknown command '";
    text.append(which.word(0).substr(0, 128)).append("', with args beginning with: ");
    for (std::size_t i = 1; i < which.words.size() && text.size() < 256; ++i) {
        text.append("'").append(which.word(i).substr(0, 128)).append("' ");
    }
    return make_failure(text);
}

wire::reply run_or_queue(call& which, std::string_view raw) {
    const command* found = find_command(which.word(0));
    if (found == nullptr || !found->takes(which.words.size())) {
        which.by.refused = which.by.queueing;
        return found == nullptr ? refuse_unknown(which) : refuse_arity(found->name);
    }
    if (!which.by.queueing || found->where == place::outside_queues) return found->run(which);
    which.by.queued.append(raw);
    ++which.by.queued_count;
    return make_status("QUEUED");
}

}  // namespace

const command* find_command(std::string_view name) noexcept {
    if (name.size() > longest_name) return nullptr;
    std::array<char, longest_name> text{};
    std::transform(name.begin(), name.end(), text.begin(), to_capital);
    const std::string_view wanted(text.data(), name.size());
    const auto* found =
        std::lower_bound(table.begin(), table.end(), wanted,
                         [](const command& each, std::string_view key) { return each.name < key; });
    return found != table.end() && found->name == wanted ? found : nullptr;
}

bool is_word(std::string_view given, std::string_view capitals) noexcept {
    return std::equal(given.begin(), given.end(), capitals.begin(), capitals.end(),
                      [](char a, char b) { return to_capital(a) == b; });
}

wire::reply refuse_arity(std::string_view name) {
    std::string lower(name);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return make_failure("ERR wrong number of arguments for '" + lower + "' command");
}

wire::reply refuse_subcommand(const call& which, std::string_view name) {
    std::string text = "ERR unknown subcommand '";
    text.append(which.word(1).substr(0, 128)).append("'. Try ").append(name).append(" HELP.");
    return make_failure(text);
}

void execute(state& server, client& by, std::string_view bytes, std::vector<wire::reply>& replies) {
    request_reader reader(bytes);
    call one{server, by, server.words};
    for (;;) {
        const auto got = reader.next(server.words);
        if (got == request_reader::outcome::end) return;
        if (got == request_reader::outcome::malformed) {
            replies.push_back(make_failure("ERR Protocol error: these bytes are no request"));
            return;
        }
        replies.push_back(run_or_queue(one, reader.raw()));
    }
}

}  // namespace redislock::memory
