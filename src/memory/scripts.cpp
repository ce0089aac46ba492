// EVAL and EVALSHA: scripts are known by their text or its SHA1, and run as their native twins.
// https://redis.io/docs/latest/commands/evalsha/
#include <array>

#include "accounts/scripts.hpp"
#include "memory/answers.hpp"
#include "memory/handlers.hpp"
#include "memory/twins.hpp"

namespace redislock::memory {
namespace {

constexpr std::array<twin, 5> table{{
    {accounts::scripts::withdraw, 2, 6, run_withdraw},
    {accounts::scripts::deposit, 2, 5, run_deposit},
    {accounts::scripts::init, 2, 2, run_init},
    {accounts::scripts::remove, 2, 0, run_remove},
    {accounts::scripts::release, 1, 1, run_release},
}};
static_assert(table.size() <= max_twins);

constexpr std::string_view only_own_scripts =
    "ERR memory:// runs no Lua: it knows this library's own scripts only";

template <class Predicate>
const twin* find_twin(Predicate is_wanted) noexcept {
    for (const twin& each : table) {
        if (is_wanted(each.script)) return &each;
    }
    return nullptr;
}

const twin* find_by_sha1(std::string_view sha1) noexcept {
    return find_twin([=](const engine::script& each) { return each.sha1 == sha1; });
}

const twin* find_by_body(std::string_view body) noexcept {
    return find_twin([=](const engine::script& each) { return each.body == body; });
}

std::size_t place_of(const twin* which) noexcept { return static_cast<std::size_t>(which - table.data()); }

void run_twin(call& which, const twin& script) {
    const auto given = parse_number(which.word(2));
    if (!given) return answer_failure(which.out, not_an_integer);
    if (*given < 0) return answer_failure(which.out, "ERR Number of keys can't be negative");
    const auto keys = static_cast<std::size_t>(*given);
    const texts rest = texts(which.words).subspan(3);
    if (keys > rest.size()) {
        return answer_failure(which.out, "ERR Number of keys can't be greater than number of args");
    }
    if (keys < script.least_keys || rest.size() - keys < script.least_arguments) {
        return answer_failure(which.out, "ERR script '" + std::string(script.script.name) +
                                             "' was called with too few keys or arguments");
    }
    script.run(which.server, rest.first(keys), rest.subspan(keys), which.out);
}

}  // namespace

std::span<const twin> all_twins() noexcept { return table; }

void run_evalsha(call& which) {
    const twin* found = find_by_sha1(which.word(1));
    if (found == nullptr || which.server.forgotten[place_of(found)]) {
        return answer_failure(which.out, "NOSCRIPT No matching script. Please use EVAL.");
    }
    run_twin(which, *found);
}

void run_eval(call& which) {
    const twin* found = find_by_body(which.word(1));
    if (found == nullptr) return answer_failure(which.out, only_own_scripts);
    which.server.forgotten.reset(place_of(found));
    run_twin(which, *found);
}

void run_script(call& which) {
    const auto what = which.word(1);
    if (is_word(what, "FLUSH")) {
        which.server.forgotten.set();
        answer_ok(which.out);
    } else if (is_word(what, "LOAD") && which.words.size() == 3) {
        const twin* found = find_by_body(which.word(2));
        if (found == nullptr) return answer_failure(which.out, only_own_scripts);
        which.server.forgotten.reset(place_of(found));
        answer_text(which.out, found->script.sha1);
    } else if (is_word(what, "EXISTS") && which.words.size() >= 3) {
        auto& known = answer_array(which.out, which.words.size() - 2);
        for (std::size_t i = 0; i < known.size(); ++i) {
            const twin* found = find_by_sha1(which.word(i + 2));
            answer_integer(known[i], found != nullptr && !which.server.forgotten[place_of(found)] ? 1 : 0);
        }
    } else {
        answer_failure(which.out,
                       "ERR unknown subcommand '" + std::string(what.substr(0, 128)) + "'. Try SCRIPT HELP.");
    }
}

}  // namespace redislock::memory
