#include "wire/server_error.hpp"

#include <array>

namespace redislock::wire {

error to_error(const reply& failure) {
    if (failure.failed_with("MOVED") || failure.failed_with("ASK")) {
        return {errc::redirected, "the server is part of a cluster and another node holds this key (" +
                                      failure.text +
                                      "); connect to that node: redirections are not followed"};
    }
    if (failure.failed_with("NOAUTH") || failure.failed_with("WRONGPASS")) {
        return {errc::authentication, "the server refused the user name or password: " + failure.text};
    }
    // Within a script the ACL speaks in other words: these are of Redis 7.0, and of Redis 7.2 and Valkey.
    if (failure.failed_with("NOPERM") || failure.text.find("NOPERM") != std::string::npos ||
        failure.text.find("ACL failure in script") != std::string::npos ||
        failure.text.find("The user executing the script can't") != std::string::npos) {
        return {errc::no_permission, "the server's ACL forbids a command that is needed: " + failure.text};
    }
    if (failure.failed_with("WRONGTYPE")) {
        return {errc::wrong_type, "a key holds another type than this operation needs: " + failure.text};
    }
    return {errc::server_refused, "the server refused and applied nothing: " + failure.text};
}

bool asks_to_come_back(const reply& failure) noexcept {
    if (!failure.is_failure()) return false;
    // EXEC, where the state has changed since its commands were queued, names it behind its own code.
    constexpr std::string_view discarded = "EXECABORT Transaction discarded because of: ";
    reply cause = failure;
    if (cause.text.starts_with(discarded)) cause.text.erase(0, discarded.size());
    for (std::string_view code : std::array<std::string_view, 3>{"READONLY", "LOADING", "MASTERDOWN"}) {
        if (cause.failed_with(code)) return true;
    }
    // Servers before 7.0 wrap what a script met: "ERR Error running script ...: -READONLY ...".
    return failure.text.find("-READONLY") != std::string::npos ||
           failure.text.find("-LOADING") != std::string::npos;
}

}  // namespace redislock::wire
