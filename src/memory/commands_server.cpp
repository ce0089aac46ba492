// What a server says of itself: PING, TIME, INFO, CONFIG GET, CLIENT.
#include <array>
#include <string>

#include "memory/glob.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "types/amount.hpp"

namespace redislock::memory {

wire::reply run_ping(call& which) {
    if (which.words.size() > 2) return refuse_arity("PING");
    return which.words.size() == 2 ? make_text(which.word(1)) : make_status("PONG");
}

wire::reply run_echo(call& which) { return make_text(which.word(1)); }

wire::reply run_time(call& which) {
    const nanos now = which.server.clock.wall();
    auto said = make_array(2);
    said.items.push_back(make_text(digits(now / second).view()));
    said.items.push_back(make_text(digits(now % second / microsecond).view()));
    return said;
}

// Nothing is persistent here, and the report does not hide it.
wire::reply run_info(call& which) {
    std::string text = "# Server\r\nserver_name:memory\r\nredis_version:" REDISLOCK_VERSION
                       "\r\nredis_mode:standalone\r\n"
                       "# Clients\r\nconnected_clients:";
    text.append(digits(which.server.clients).view());
    text +=
        "\r\n# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
        "# Persistence\r\nloading:0\r\naof_enabled:0\r\n"
        "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
        "# Keyspace\r\ndb0:keys=";
    text.append(digits(static_cast<std::int64_t>(which.server.keys.size())).view());
    return make_text(text + "\r\n");
}

wire::reply run_config(call& which) {
    static constexpr std::array<std::array<std::string_view, 2>, 5> settings{
        {{"appendfsync", "no"},
         {"appendonly", "no"},
         {"maxmemory", "0"},
         {"maxmemory-policy", "noeviction"},
         {"save", ""}}};
    if (!is_word(which.word(1), "GET")) return refuse_subcommand(which, "CONFIG");
    if (which.words.size() < 3) return refuse_arity("CONFIG|GET");
    auto said = make_array();
    for (const auto& [name, value] : settings) {
        for (std::size_t i = 2; i < which.words.size(); ++i) {
            if (!matches_glob(which.word(i), name)) continue;
            said.items.push_back(make_text(name));
            said.items.push_back(make_text(value));
            break;
        }
    }
    return said;
}

wire::reply run_client(call& which) {
    const auto what = which.word(1);
    if (is_word(what, "ID")) return make_integer(which.by.id);
    if (is_word(what, "GETNAME")) return which.by.name.empty() ? make_nil() : make_text(which.by.name);
    if (is_word(what, "SETNAME") && which.words.size() == 3) {
        which.by.name = which.word(2);
        return make_ok();
    }
    // There is nothing to kill: no request of a lost client can be on its way in here.
    if (is_word(what, "KILL") && which.words.size() >= 4) return make_integer(0);
    return refuse_subcommand(which, "CLIENT");
}

wire::reply run_select(call& which) {
    const auto index = parse_number(which.word(1));
    if (!index) return make_failure(not_an_integer);
    return *index == 0 ? make_ok() : make_failure("ERR DB index is out of range");
}

}  // namespace redislock::memory
