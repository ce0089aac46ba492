// Commands on texts: GET, SET and the counters.
#include <limits>
#include <optional>

#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "types/amount.hpp"

namespace redislock::memory {
namespace {

constexpr std::int64_t least_integer = std::numeric_limits<std::int64_t>::min();

struct set_options {
    bool only_new = false;
    bool only_existing = false;
    bool keeps_ttl = false;
    bool wants_old = false;
    std::string_view duration;  ///< of EX or PX, as given
    nanos unit = 0;             ///< 0: neither was given
    nanos expires_at = never;
};

nanos unit_of(std::string_view option) noexcept {
    if (is_word(option, "EX")) return second;
    return is_word(option, "PX") ? millisecond : 0;
}

// False where the options contradict each other or are none.
bool take_options(const call& which, set_options& options) {
    for (std::size_t i = 3; i < which.words.size(); ++i) {
        const auto word = which.word(i);
        const nanos unit = unit_of(word);
        if (is_word(word, "NX") && !options.only_existing) {
            options.only_new = true;
        } else if (is_word(word, "XX") && !options.only_new) {
            options.only_existing = true;
        } else if (is_word(word, "KEEPTTL") && options.unit == 0) {
            options.keeps_ttl = true;
        } else if (is_word(word, "GET")) {
            options.wants_old = true;
        } else if (unit != 0 && (options.unit == 0 || options.unit == unit) && !options.keeps_ttl &&
                   i + 1 < which.words.size()) {
            options.unit = unit;
            options.duration = which.word(++i);
        } else {
            return false;
        }
    }
    return true;
}

wire::reply add(call& which, std::int64_t step) {
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    std::int64_t value = 0;
    if (found != nullptr) {
        if (found->text() == nullptr) return make_failure(wrong_type);
        const auto stored = parse_number(*found->text());
        if (!stored) return make_failure(not_an_integer);
        value = *stored;
    }
    if (__builtin_add_overflow(value, step, &value)) {
        return make_failure("ERR increment or decrement would overflow");
    }
    if (found == nullptr) {
        which.server.keys.set(key, digits(value).view());
    } else {
        found->text()->assign(digits(value).view());
        which.server.keys.touch(key);
    }
    return make_integer(value);
}

}  // namespace

wire::reply run_get(call& which) {
    entry* found = which.server.keys.find(which.word(1));
    if (found == nullptr) return make_nil();
    if (found->text() == nullptr) return make_failure(wrong_type);
    return make_text(*found->text());
}

wire::reply run_mget(call& which) {
    auto said = make_array(which.words.size() - 1);
    for (std::size_t i = 1; i < which.words.size(); ++i) {
        entry* found = which.server.keys.find(which.word(i));
        const bool is_text = found != nullptr && found->text() != nullptr;
        said.items.push_back(is_text ? make_text(*found->text()) : make_nil());
    }
    return said;
}

wire::reply run_set(call& which) {
    set_options options;
    if (!take_options(which, options)) return make_failure(syntax_error);
    if (options.unit != 0) {
        const auto duration = parse_number(options.duration);
        if (!duration) return make_failure(not_an_integer);
        const auto when = which.server.clock.after(*duration, options.unit);
        if (*duration <= 0 || !when) return make_failure("ERR invalid expire time in 'set' command");
        options.expires_at = *when;
    }
    const auto key = which.word(1);
    entry* found = which.server.keys.find(key);
    auto old = make_nil();
    if (options.wants_old && found != nullptr) {
        if (found->text() == nullptr) return make_failure(wrong_type);
        old = make_text(*found->text());
    }
    if (found == nullptr ? options.only_existing : options.only_new) return old;
    if (options.keeps_ttl && found != nullptr) options.expires_at = found->expires_at;
    which.server.keys.set(key, which.word(2), options.expires_at);
    return options.wants_old ? old : make_ok();
}

wire::reply run_incr(call& which) { return add(which, 1); }

wire::reply run_decr(call& which) { return add(which, -1); }

wire::reply run_incrby(call& which) {
    const auto step = parse_number(which.word(2));
    return step ? add(which, *step) : make_failure(not_an_integer);
}

wire::reply run_decrby(call& which) {
    const auto step = parse_number(which.word(2));
    if (!step) return make_failure(not_an_integer);
    if (*step == least_integer) return make_failure("ERR decrement would overflow");
    return add(which, -*step);
}

}  // namespace redislock::memory
