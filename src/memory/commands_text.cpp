// Commands on texts: GET, SET and the counters.
#include <limits>
#include <optional>

#include "memory/answers.hpp"
#include "memory/handlers.hpp"
#include "types/amount.hpp"

namespace redislock::memory {
namespace {

constexpr std::int64_t least_integer = std::numeric_limits<std::int64_t>::min();

struct set_options {
    bool only_new = false;
    bool only_existing = false;
    bool keeps_ttl = false;
    std::string_view duration;  ///< of EX or PX, as given
    nanos unit = 0;             ///< 0: neither was given
    nanos expires_at = never;
};

// What contradicts an option before it is a syntax error, like a value that is none.
bool take_options(call& which, set_options& options) {
    for (std::size_t i = 3; i < which.words.size(); ++i) {
        const auto word = which.word(i);
        const nanos unit = is_word(word, "EX") ? second : is_word(word, "PX") ? millisecond : 0;
        if (is_word(word, "NX") && !options.only_existing) {
            options.only_new = true;
        } else if (is_word(word, "XX") && !options.only_new) {
            options.only_existing = true;
        } else if (is_word(word, "KEEPTTL") && options.unit == 0) {
            options.keeps_ttl = true;
        } else if (unit != 0 && (options.unit == 0 || options.unit == unit) && !options.keeps_ttl &&
                   i + 1 < which.words.size()) {
            options.unit = unit;
            options.duration = which.word(++i);
        } else {
            answer_failure(which.out, syntax_error);
            return false;
        }
    }
    return true;
}

bool take_expiry(call& which, set_options& options) {
    if (options.unit == 0) return true;
    const auto duration = parse_number(options.duration);
    const auto when =
        duration && *duration > 0 ? which.server.clock.after(*duration, options.unit) : std::nullopt;
    if (!when) {
        answer_failure(which.out, duration ? "ERR invalid expire time in 'set' command" : not_an_integer);
        return false;
    }
    options.expires_at = *when;
    return true;
}

void add(call& which, std::int64_t step) {
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    std::int64_t value = 0;
    if (found != nullptr) {
        if (found->text() == nullptr) return answer_failure(which.out, wrong_type);
        const auto stored = parse_number(*found->text());
        if (!stored) return answer_failure(which.out, not_an_integer);
        value = *stored;
    }
    if (__builtin_add_overflow(value, step, &value)) {
        return answer_failure(which.out, "ERR increment or decrement would overflow");
    }
    if (found == nullptr) {
        which.server.keys.set(key, digits(value).view());
    } else {
        found->text()->assign(digits(value).view());
        which.server.keys.touch(key);
    }
    answer_integer(which.out, value);
}

}  // namespace

void run_get(call& which) {
    entry* found = which.server.keys.find(which.word(1));
    if (found == nullptr) return;
    if (found->text() == nullptr) return answer_failure(which.out, wrong_type);
    answer_text(which.out, *found->text());
}

void run_set(call& which) {
    set_options options;
    if (!take_options(which, options) || !take_expiry(which, options)) return;
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    if ((options.only_new && found != nullptr) || (options.only_existing && found == nullptr)) return;
    if (options.keeps_ttl && found != nullptr) options.expires_at = found->expires_at;
    which.server.keys.set(key, which.word(2), options.expires_at);
    answer_ok(which.out);
}

void run_incr(call& which) { add(which, 1); }

void run_decr(call& which) { add(which, -1); }

void run_incrby(call& which) {
    const auto step = parse_number(which.word(2));
    if (!step) return answer_failure(which.out, not_an_integer);
    add(which, *step);
}

void run_decrby(call& which) {
    const auto step = parse_number(which.word(2));
    if (!step) return answer_failure(which.out, not_an_integer);
    if (*step == least_integer) return answer_failure(which.out, "ERR decrement would overflow");
    add(which, -*step);
}

}  // namespace redislock::memory
