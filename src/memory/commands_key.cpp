// Commands on keys of whatever type: removal, expiry, SCAN.
#include <optional>

#include "memory/answers.hpp"
#include "memory/glob.hpp"
#include "memory/handlers.hpp"

namespace redislock::memory {
namespace {

void answer_time_left(call& which, nanos unit) {
    entry* found = which.server.keys.find(which.word(1));
    if (found == nullptr) return answer_integer(which.out, -2);
    if (found->expires_at == never) return answer_integer(which.out, -1);
    const nanos left = found->expires_at - which.server.clock.now();
    // TTL rounds to the nearest second; PTTL up, since what is left is more than it could say.
    answer_integer(which.out, (left + (unit == millisecond ? unit - 1 : unit / 2)) / unit);
}

void expire(call& which, std::string_view name, nanos unit) {
    const auto duration = parse_number(which.word(2));
    if (!duration) return answer_failure(which.out, not_an_integer);
    if (which.words.size() > 3) {
        return answer_failure(which.out, "ERR Unsupported option " + std::string(which.word(3)));
    }
    const auto when = *duration > 0 ? which.server.clock.after(*duration, unit) : which.server.clock.now();
    if (!when) {
        return answer_failure(which.out, "ERR invalid expire time in '" + std::string(name) + "' command");
    }
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    answer_integer(which.out, found != nullptr ? 1 : 0);
    if (found == nullptr) return;
    if (*duration <= 0) which.server.keys.erase(key);
    else which.server.keys.expire_at(key, *found, *when);
}

std::string_view type_of(entry* which) noexcept {
    if (which == nullptr) return "none";
    return which->text() != nullptr ? "string" : "list";
}

struct scan_options {
    std::string_view pattern = "*";
    std::string_view type;
};

bool take_options(call& which, scan_options& options) {
    for (std::size_t i = 2; i < which.words.size(); i += 2) {
        if (i + 1 == which.words.size()) {
            answer_failure(which.out, syntax_error);
            return false;
        }
        const auto value = which.word(i + 1);
        if (is_word(which.word(i), "MATCH")) {
            options.pattern = value;
        } else if (is_word(which.word(i), "TYPE")) {
            options.type = value;
        } else if (is_word(which.word(i), "COUNT")) {
            const auto count = parse_number(value);
            if (count && *count >= 1) continue;
            answer_failure(which.out, count ? syntax_error : not_an_integer);
            return false;
        } else {
            answer_failure(which.out, syntax_error);
            return false;
        }
    }
    return true;
}

}  // namespace

void run_del(call& which) {
    std::int64_t removed = 0;
    for (std::size_t i = 1; i < which.words.size(); ++i)
        removed += which.server.keys.erase(which.word(i)) ? 1 : 0;
    answer_integer(which.out, removed);
}

void run_exists(call& which) {
    std::int64_t found = 0;
    for (std::size_t i = 1; i < which.words.size(); ++i) {
        found += which.server.keys.find(which.word(i)) != nullptr ? 1 : 0;
    }
    answer_integer(which.out, found);
}

void run_type(call& which) { answer_status(which.out, type_of(which.server.keys.find(which.word(1)))); }

void run_pttl(call& which) { answer_time_left(which, millisecond); }

void run_ttl(call& which) { answer_time_left(which, second); }

void run_pexpire(call& which) { expire(which, "pexpire", millisecond); }

void run_expire(call& which) { expire(which, "expire", second); }

void run_persist(call& which) {
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    const bool had_expiry = found != nullptr && found->expires_at != never;
    if (had_expiry) which.server.keys.expire_at(key, *found, never);
    answer_integer(which.out, had_expiry ? 1 : 0);
}

// Everything comes at once, with cursor 0: COUNT is a hint, and nothing can slip through between
// two calls.
void run_scan(call& which) {
    const auto cursor = parse_number(which.word(1));
    if (!cursor || *cursor < 0) return answer_failure(which.out, "ERR invalid cursor");
    scan_options options;
    if (!take_options(which, options)) return;
    auto& parts = answer_array(which.out, 2);
    answer_text(parts[0], "0");
    auto& found = answer_array(parts[1]);
    if (*cursor != 0) return;
    which.server.keys.for_each([&](std::string_view key, entry& each) {
        if (!options.type.empty() && type_of(&each) != options.type) return;
        if (matches_glob(options.pattern, key)) answer_text(found.emplace_back(), key);
    });
}

void run_dbsize(call& which) {
    answer_integer(which.out, static_cast<std::int64_t>(which.server.keys.size()));
}

void run_flush(call& which) {
    which.server.keys.clear();
    answer_ok(which.out);
}

}  // namespace redislock::memory
