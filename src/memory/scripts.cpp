// EVAL and EVALSHA: scripts are known by their text or its SHA1, and run as their native twins.
// https://redis.io/docs/latest/commands/evalsha/
#include <array>

#include "accounts/scripts.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"
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

wire::reply run_twin(call& which, const twin& script) {
    const auto given = parse_number(which.word(2));
    if (!given) return make_failure(not_an_integer);
    if (*given < 0) return make_failure("ERR Number of keys can't be negative");
    const auto keys = static_cast<std::size_t>(*given);
    const texts rest = texts(which.words).subspan(3);
    if (keys > rest.size()) {
        return make_failure("ERR Number of keys can't be greater than number of args");
    }
    if (keys < script.least_keys || rest.size() - keys < script.least_arguments) {
        return make_failure("ERR script '" + std::string(script.script.name) +
                            "' was called with too few keys or arguments");
    }
    return script.run(which.server, rest.first(keys), rest.subspan(keys));
}

}  // namespace

std::span<const twin> all_twins() noexcept { return table; }

wire::reply run_evalsha(call& which) {
    const twin* found = find_by_sha1(which.word(1));
    if (found == nullptr || which.server.forgotten[place_of(found)]) {
        return make_failure("NOSCRIPT No matching script. Please use EVAL.");
    }
    return run_twin(which, *found);
}

wire::reply run_eval(call& which) {
    const twin* found = find_by_body(which.word(1));
    if (found == nullptr) return make_failure(only_own_scripts);
    which.server.forgotten.reset(place_of(found));
    return run_twin(which, *found);
}

wire::reply run_script(call& which) {
    const auto what = which.word(1);
    if (is_word(what, "FLUSH")) {
        which.server.forgotten.set();
        return make_ok();
    }
    if (is_word(what, "LOAD") && which.words.size() == 3) {
        const twin* found = find_by_body(which.word(2));
        if (found == nullptr) return make_failure(only_own_scripts);
        which.server.forgotten.reset(place_of(found));
        return make_text(found->script.sha1);
    }
    if (is_word(what, "EXISTS") && which.words.size() >= 3) {
        auto said = make_array(which.words.size() - 2);
        for (std::size_t i = 2; i < which.words.size(); ++i) {
            const twin* found = find_by_sha1(which.word(i));
            said.items.push_back(
                make_integer(found != nullptr && !which.server.forgotten[place_of(found)] ? 1 : 0));
        }
        return said;
    }
    return refuse_subcommand(which, "SCRIPT");
}

}  // namespace redislock::memory
