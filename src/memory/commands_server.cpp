// What a server says of itself: PING, TIME, INFO, CONFIG GET, CLIENT.
#include <array>
#include <string>

#include "memory/answers.hpp"
#include "memory/glob.hpp"
#include "memory/handlers.hpp"
#include "types/amount.hpp"

namespace redislock::memory {
namespace {

void refuse_subcommand(call& which, std::string_view command) {
    answer_failure(which.out, "ERR unknown subcommand '" + std::string(which.word(1).substr(0, 128)) +
                                  "'. Try " + std::string(command) + " HELP.");
}

}  // namespace

void run_ping(call& which) {
    if (which.words.size() > 2) return refuse_arity(which, "PING");
    if (which.words.size() == 2) return answer_text(which.out, which.word(1));
    answer_status(which.out, "PONG");
}

void run_echo(call& which) { answer_text(which.out, which.word(1)); }

void run_time(call& which) {
    const nanos now = which.server.clock.wall();
    auto& parts = answer_array(which.out, 2);
    answer_text(parts[0], digits(now / second).view());
    answer_text(parts[1], digits(now % second / microsecond).view());
}

// Nothing is persistent here, and the report does not hide it.
void run_info(call& which) {
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
    answer_text(which.out, text + "\r\n");
}

void run_config(call& which) {
    static constexpr std::array<std::array<std::string_view, 2>, 5> settings{
        {{"appendfsync", "no"},
         {"appendonly", "no"},
         {"maxmemory", "0"},
         {"maxmemory-policy", "noeviction"},
         {"save", ""}}};
    if (!is_word(which.word(1), "GET")) return refuse_subcommand(which, "CONFIG");
    if (which.words.size() < 3) return refuse_arity(which, "CONFIG|GET");
    auto& found = answer_array(which.out);
    for (const auto& [name, value] : settings) {
        for (std::size_t i = 2; i < which.words.size(); ++i) {
            if (!matches_glob(which.word(i), name)) continue;
            answer_text(found.emplace_back(), name);
            answer_text(found.emplace_back(), value);
            break;
        }
    }
}

// There is nothing to kill: no request of a lost client can be on its way in here.
void run_client(call& which) {
    const auto what = which.word(1);
    if (is_word(what, "ID")) {
        answer_integer(which.out, which.by.id);
    } else if (is_word(what, "GETNAME")) {
        if (!which.by.name.empty()) answer_text(which.out, which.by.name);
    } else if (is_word(what, "SETNAME") && which.words.size() == 3) {
        which.by.name = which.word(2);
        answer_ok(which.out);
    } else if (is_word(what, "KILL") && which.words.size() >= 4) {
        answer_integer(which.out, 0);
    } else {
        refuse_subcommand(which, "CLIENT");
    }
}

void run_select(call& which) {
    const auto index = parse_number(which.word(1));
    if (!index) answer_failure(which.out, not_an_integer);
    else if (*index != 0) answer_failure(which.out, "ERR DB index is out of range");
    else answer_ok(which.out);
}

}  // namespace redislock::memory
