// What a server says of itself, and which of its settings endanger money.
// https://redis.io/docs/latest/commands/info/
#include <array>

#include "accounts/ledger.hpp"

namespace redislock::accounts {
namespace {

using facts = std::map<std::string, std::string>;

facts parse_info(std::string_view text) {
    facts found;
    while (!text.empty()) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || line.front() == '#') continue;
        found.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
    return found;
}

std::string value_of(const facts& from, const std::string& name, const char* otherwise = "") {
    const auto found = from.find(name);
    return found == from.end() ? otherwise : found->second;
}

void name_server(health_report& report, const facts& info) {
    for (const auto& [product, field] :
         {std::pair{"valkey", "valkey_version"}, std::pair{"dragonfly", "dragonfly_version"},
          std::pair{"redis", "redis_version"}}) {
        if (!info.contains(field)) continue;
        report.server = value_of(info, "server_name", product);
        report.version = value_of(info, field);
        return;
    }
    report.server = "unknown";
}

void warn(health_report& report, const facts& info, const std::string& save) {
    const std::string policy = value_of(info, "maxmemory_policy", "noeviction");
    const std::string memory = value_of(info, "maxmemory", "0");
    if (policy != "noeviction" && memory != "0") {
        report.warnings.push_back("maxmemory-policy is " + policy +
                                  ": balances, records and locks may be evicted; use noeviction");
    }
    if (value_of(info, "aof_enabled", "1") == "0") {
        report.warnings.emplace_back(
            save.empty() ? "no persistence: neither AOF nor snapshots; a restart loses every balance"
                         : "no append-only file: a crash loses what came after the last snapshot; use "
                           "appendonly yes with appendfsync always");
    }
    if (report.role != "master" && !report.role.empty()) {
        report.warnings.push_back("this server is a " + report.role +
                                  ": it refuses writes; connect to its master");
    }
}

void keep_details(health_report& report, const facts& info, const std::string& save) {
    static constexpr std::array<const char*, 7> kept{
        "maxmemory", "maxmemory_policy", "aof_enabled", "role", "connected_clients", "os", "redis_mode"};
    for (const char* name : kept) {
        if (info.contains(name)) report.details[name] = value_of(info, name);
    }
    report.details["save"] = save;
}

}  // namespace

engine::task<result<health_report>> health(engine::context& with) {
    health_report report;
    for (int round = 0; round < 2; ++round) {  // the first one may include the connecting
        auto ping = with.make_slot();
        ping->request.policy = engine::resend::read;
        ping->request.commands.add("PING");
        const nanos begun = with.loop().now();
        auto pong = co_await with.send(std::move(ping));
        if (!pong) {
            report.error = pong.error().message;
            co_return report;
        }
        if (const auto* failure = pong->failure()) {
            report.error = failure->text;
            co_return report;
        }
        report.latency = with.loop().now() - begun;
    }
    report.reachable = true;
    auto ask = with.make_slot();
    ask->request.policy = engine::resend::read;
    ask->request.commands.add("INFO").add("CONFIG", "GET", "save");
    auto said = co_await with.send(std::move(ask));
    if (!said) {
        report.warnings.push_back("INFO got no answer: " + said.error().message);
        co_return report;
    }
    if ((*said)[0].is_failure()) {
        report.warnings.push_back("INFO is not allowed, so the settings are unknown: " + (*said)[0].text);
        co_return report;
    }
    const auto info = parse_info((*said)[0].text);
    const auto& config = (*said)[1];
    // Where CONFIG is forbidden, as on managed servers, snapshots are assumed to be on.
    const std::string save = config.items.size() == 2 ? config.items[1].text : std::string("unknown");
    name_server(report, info);
    report.role = value_of(info, "role");
    warn(report, info, save);
    keep_details(report, info, save);
    co_return report;
}

}  // namespace redislock::accounts
