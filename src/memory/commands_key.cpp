// Commands on keys of whatever type: removal, expiry, SCAN.
#include <array>
#include <optional>
#include <string>

#include "memory/glob.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {
namespace {

// `rounding` is added before the division.
wire::reply time_left(call& which, nanos unit, nanos rounding) {
    entry* found = which.server.keys.find(which.word(1));
    if (found == nullptr) return make_integer(-2);
    if (found->expires_at == never) return make_integer(-1);
    return make_integer((found->expires_at - which.server.clock.now() + rounding) / unit);
}

// What is due already is removed.
wire::reply expire_at(call& which, std::int64_t left, nanos when) {
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    if (found == nullptr) return make_integer(0);
    if (left <= 0) which.server.keys.erase(key);
    else which.server.keys.expire_at(key, *found, when);
    return make_integer(1);
}

wire::reply expire(call& which, std::string_view name, nanos unit) {
    const auto duration = parse_number(which.word(2));
    if (!duration) return make_failure(not_an_integer);
    if (which.words.size() > 3) return make_failure("ERR Unsupported option " + std::string(which.word(3)));
    const auto when = which.server.clock.after(*duration, unit);
    if (!when) return make_failure("ERR invalid expire time in '" + std::string(name) + "' command");
    return expire_at(which, *duration, *when);
}

std::string_view type_of(entry* which) noexcept {
    if (which == nullptr) return "none";
    static constexpr std::array<std::string_view, 5> names{"string", "list", "hash", "zset", "stream"};
    return names[which->value.index()];
}

struct scan_options {
    std::string_view pattern = "*";
    std::string_view type;
};

// What is wrong with the options, if anything. COUNT is checked and otherwise ignored.
std::optional<std::string_view> take_options(const call& which, scan_options& options) {
    for (std::size_t i = 2; i < which.words.size(); i += 2) {
        if (i + 1 == which.words.size()) return syntax_error;
        const auto value = which.word(i + 1);
        if (is_word(which.word(i), "MATCH")) {
            options.pattern = value;
        } else if (is_word(which.word(i), "TYPE")) {
            options.type = value;
        } else if (is_word(which.word(i), "COUNT")) {
            const auto count = parse_number(value);
            if (!count) return not_an_integer;
            if (*count < 1) return syntax_error;
        } else {
            return syntax_error;
        }
    }
    return std::nullopt;
}

}  // namespace

wire::reply run_del(call& which) {
    std::int64_t removed = 0;
    for (std::size_t i = 1; i < which.words.size(); ++i) {
        removed += which.server.keys.erase(which.word(i)) ? 1 : 0;
    }
    return make_integer(removed);
}

wire::reply run_exists(call& which) {
    std::int64_t found = 0;
    for (std::size_t i = 1; i < which.words.size(); ++i) {
        found += which.server.keys.find(which.word(i)) != nullptr ? 1 : 0;
    }
    return make_integer(found);
}

wire::reply run_type(call& which) { return make_status(type_of(which.server.keys.find(which.word(1)))); }

// Up, so that what is left is never told as nothing.
wire::reply run_pttl(call& which) { return time_left(which, millisecond, millisecond - 1); }

wire::reply run_ttl(call& which) { return time_left(which, second, second / 2); }

wire::reply run_pexpire(call& which) { return expire(which, "pexpire", millisecond); }

wire::reply run_expire(call& which) { return expire(which, "expire", second); }

wire::reply run_pexpireat(call& which) {
    const auto given = parse_number(which.word(2));
    if (!given) return make_failure(not_an_integer);
    if (which.words.size() > 3) return make_failure("ERR Unsupported option " + std::string(which.word(3)));
    std::int64_t left = 0;
    const std::int64_t now = which.server.clock.wall() / millisecond;
    const auto when = *given >= 0 && !__builtin_sub_overflow(*given, now, &left)
                          ? which.server.clock.after(left, millisecond)
                          : std::nullopt;
    if (!when) return make_failure("ERR invalid expire time in 'pexpireat' command");
    return expire_at(which, left, *when);
}

wire::reply run_pexpiretime(call& which) {
    entry* found = which.server.keys.find(which.word(1));
    if (found == nullptr) return make_integer(-2);
    if (found->expires_at == never) return make_integer(-1);
    const nanos left = found->expires_at - which.server.clock.now();
    return make_integer((which.server.clock.wall() + left + millisecond / 2) / millisecond);
}

wire::reply run_persist(call& which) {
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    const bool had_expiry = found != nullptr && found->expires_at != never;
    if (had_expiry) which.server.keys.expire_at(key, *found, never);
    return make_integer(had_expiry ? 1 : 0);
}

// Everything comes at once, with cursor 0, so that nothing can slip through between two calls.
wire::reply run_scan(call& which) {
    const auto cursor = parse_number(which.word(1));
    if (!cursor || *cursor < 0) return make_failure("ERR invalid cursor");
    scan_options options;
    if (const auto refusal = take_options(which, options)) return make_failure(*refusal);
    auto found = make_array();
    if (*cursor == 0) {
        which.server.keys.for_each([&](std::string_view key, entry& each) {
            if (!options.type.empty() && type_of(&each) != options.type) return;
            if (matches_glob(options.pattern, key)) found.items.push_back(make_text(key));
        });
    }
    auto said = make_array(2);
    said.items.push_back(make_text("0"));
    said.items.push_back(std::move(found));
    return said;
}

wire::reply run_dbsize(call& which) {
    return make_integer(static_cast<std::int64_t>(which.server.keys.size()));
}

wire::reply run_flush(call& which) {
    which.server.keys.clear();
    return make_ok();
}

}  // namespace redislock::memory
