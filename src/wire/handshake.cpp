#include "wire/handshake.hpp"

#include "wire/server_error.hpp"

namespace redislock::wire {
namespace {

// The commands of a handshake in the order in which they are sent.
enum class step : std::uint8_t { hello, auth, client_id, client_info, set_name, select, kill, multi, exec };

// A user without a password is a user all the same: the server may ask none of it, and whoever named
// it must not be served as another.
bool authenticates(const options& settings) noexcept {
    return !settings.username.empty() || !settings.password.empty();
}

std::vector<step> steps_of(const options& settings, const greeting& wanted) {
    std::vector<step> steps;
    if (wanted.resp3) {
        steps.push_back(step::hello);
    } else {
        if (authenticates(settings)) steps.push_back(step::auth);
        steps.push_back(step::client_id);
    }
    steps.push_back(step::client_info);
    if (!settings.client_name.empty()) steps.push_back(step::set_name);
    if (settings.db != 0) steps.push_back(step::select);
    steps.insert(steps.end(), wanted.lost.size(), step::kill);
    if (wanted.exclusive) {
        steps.push_back(step::multi);
        steps.push_back(step::exec);
    }
    return steps;
}

void add_hello(commands& out, const options& settings) {
    if (!authenticates(settings)) {
        out.add("HELLO", "3");
    } else {
        const std::string_view user =
            settings.username.empty() ? "default" : std::string_view(settings.username);
        out.add("HELLO", "3", "AUTH", user, settings.password);
    }
}

void add_auth(commands& out, const options& settings) {
    if (settings.username.empty()) out.add("AUTH", settings.password);
    else out.add("AUTH", settings.username, settings.password);
}

// A server that knows no HELLO, or only protocol 2.
bool refuses_hello(const reply& answer) {
    return answer.failed_with("NOPROTO") ||
           (answer.failed_with("ERR") && answer.text.find("unknown command") != std::string::npos);
}

std::int64_t id_in_hello(const reply& answer) {
    for (std::size_t i = 0; i + 1 < answer.items.size(); i += 2) {
        if (answer.items[i].text == "id") return answer.items[i + 1].integer;
    }
    return 0;
}

// "id=3 addr=10.0.0.7:5000 laddr=..."; a unix socket's path may hold spaces.
std::string address_in_info(std::string_view text) {
    constexpr std::string_view before = " addr=";
    const auto begin = text.find(before);
    if (begin == std::string_view::npos) return {};
    const auto rest = text.substr(begin + before.size());
    return std::string(rest.substr(0, rest.find(" laddr=")));
}

error refused(std::string_view command, const reply& answer, const options& settings) {
    if (answer.failed_with("NOAUTH") || answer.failed_with("WRONGPASS") ||
        answer.text.find("invalid password") != std::string::npos ||
        answer.text.find("without any password configured") != std::string::npos) {
        return {errc::authentication, "the server at " + settings.redacted() +
                                          " refused the user name or password (" + answer.text +
                                          "); give them in the URL or as username= and password="};
    }
    if (command == "SELECT") {
        return {errc::configuration,
                "the server refused db=" + std::to_string(settings.db) + ": " + answer.text};
    }
    auto failure = to_error(answer);
    failure.message = std::string(command) + " refused at " + settings.redacted() + ": " + failure.message;
    return failure;
}

std::string_view name_of(step which) noexcept {
    switch (which) {
        case step::hello: return "HELLO";
        case step::auth: return "AUTH";
        case step::client_id: return "CLIENT ID";
        case step::client_info: return "CLIENT INFO";
        case step::set_name: return "CLIENT SETNAME";
        case step::select: return "SELECT";
        case step::kill: return "CLIENT KILL";
        case step::multi: return "MULTI";
        case step::exec: return "EXEC";
    }
    return "";
}

}  // namespace

void add_kill(commands& out, const lost_client& lost) {
    if (lost.address.empty()) out.add("CLIENT", "KILL", "ID", lost.id);
    else out.add("CLIENT", "KILL", "ID", lost.id, "ADDR", lost.address);
}

commands make_handshake(const options& settings, const greeting& wanted) {
    commands out;
    std::size_t killed = 0;
    for (step each : steps_of(settings, wanted)) {
        switch (each) {
            case step::hello: add_hello(out, settings); break;
            case step::auth: add_auth(out, settings); break;
            case step::client_id: out.add("CLIENT", "ID"); break;
            case step::client_info: out.add("CLIENT", "INFO"); break;
            case step::set_name: out.add("CLIENT", "SETNAME", settings.client_name); break;
            case step::select: out.add("SELECT", settings.db); break;
            case step::kill: add_kill(out, wanted.lost[killed++]); break;
            case step::multi: out.add("MULTI"); break;
            case step::exec: out.add("EXEC"); break;
        }
    }
    return out;
}

result<welcome> read_handshake(const options& settings, const greeting& wanted,
                               std::span<const reply> replies) {
    welcome answer;
    const auto steps = steps_of(settings, wanted);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const reply& said = replies[i];
        if (steps[i] == step::kill) {  // "No such client" is the good case: nothing of it is left
            answer.kill_refused = answer.kill_refused || said.failed_with("NOPERM");
            continue;
        }
        if (steps[i] == step::hello && said.is_failure() && refuses_hello(said)) {
            answer.downgrade = true;
            return answer;
        }
        // Servers before 6.2 lack CLIENT INFO, and an ACL may forbid it.
        if (steps[i] == step::client_info) {
            if (said.is_text()) answer.address = address_in_info(said.text);
            continue;
        }
        // Servers before 5.0 lack CLIENT ID; without it a lost connection cannot be killed by name.
        if (steps[i] == step::client_id && said.is_failure() && !said.failed_with("NOAUTH")) continue;
        if (said.is_failure()) return refused(name_of(steps[i]), said, settings);
        if (steps[i] == step::hello) answer.client_id = id_in_hello(said);
        if (steps[i] == step::client_id) answer.client_id = said.integer;
    }
    return answer;
}

}  // namespace redislock::wire
