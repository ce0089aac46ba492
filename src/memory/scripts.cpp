// EVAL and EVALSHA: a script that has a native twin runs as that, any other one in Lua.
// https://redis.io/docs/latest/commands/evalsha/
#include <array>
#include <optional>
#include <string>

#include "accounts/scripts.hpp"
#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "memory/sha1.hpp"
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

// The words behind the script, as keys and arguments.
struct given_texts {
    texts keys;
    texts arguments;
};

// What is wrong with the number of keys, if anything.
std::optional<std::string_view> split(const call& which, given_texts& into) {
    const auto given = parse_number(which.word(2));
    if (!given) return not_an_integer;
    if (*given < 0) return "ERR Number of keys can't be negative";
    const auto keys = static_cast<std::size_t>(*given);
    const texts rest = texts(which.words).subspan(3);
    if (keys > rest.size()) return "ERR Number of keys can't be greater than number of args";
    into = {rest.first(keys), rest.subspan(keys)};
    return std::nullopt;
}

wire::reply run_twin(call& which, const twin& script) {
    given_texts given;
    if (const auto refusal = split(which, given)) return make_failure(*refusal);
    if (given.keys.size() < script.least_keys || given.arguments.size() < script.least_arguments) {
        return make_failure("ERR script '" + std::string(script.script.name) +
                            "' was called with too few keys or arguments");
    }
    return script.run(which.server, given.keys, given.arguments);
}

script_engine& engine_of(state& server) {
    if (!server.scripts) server.scripts = std::make_unique<script_engine>(server);
    return *server.scripts;
}

wire::reply run_lua(call& which, std::string_view sha1) {
    given_texts given;
    if (const auto refusal = split(which, given)) return make_failure(*refusal);
    return engine_of(which.server).run(which.by, sha1, given.keys, given.arguments);
}

std::string in_small_letters(std::string_view sha1) {
    std::string text(sha1);
    for (char& each : text) {
        if (each >= 'A' && each <= 'F') each = static_cast<char>(each - 'A' + 'a');
    }
    return text;
}

bool knows(const state& server, std::string_view sha1) {
    if (const twin* found = find_by_sha1(sha1)) return !server.forgotten[place_of(found)];
    return server.scripts && server.scripts->knows(sha1);
}

}  // namespace

std::span<const twin> all_twins() noexcept { return table; }

wire::reply run_evalsha(call& which) {
    const twin* found = find_by_sha1(which.word(1));
    if (found != nullptr && !which.server.forgotten[place_of(found)]) return run_twin(which, *found);
    const std::string sha1 = in_small_letters(which.word(1));
    if (found != nullptr || !knows(which.server, sha1)) {
        return make_failure("NOSCRIPT No matching script. Please use EVAL.");
    }
    return run_lua(which, sha1);
}

wire::reply run_eval(call& which) {
    const auto body = which.word(1);
    if (const twin* found = find_by_body(body)) {
        which.server.forgotten.reset(place_of(found));
        return run_twin(which, *found);
    }
    const std::string sha1 = sha1_of(body);
    if (auto refusal = engine_of(which.server).load(sha1, body)) return std::move(*refusal);
    return run_lua(which, sha1);
}

wire::reply run_script(call& which) {
    const auto what = which.word(1);
    if (is_word(what, "FLUSH")) {
        which.server.forgotten.set();
        if (which.server.scripts) which.server.scripts->forget_all();
        return make_ok();
    }
    if (is_word(what, "LOAD") && which.words.size() == 3) {
        const auto body = which.word(2);
        if (const twin* found = find_by_body(body)) {
            which.server.forgotten.reset(place_of(found));
            return make_text(found->script.sha1);
        }
        const std::string sha1 = sha1_of(body);
        if (auto refusal = engine_of(which.server).load(sha1, body)) return std::move(*refusal);
        return make_text(sha1);
    }
    if (is_word(what, "EXISTS") && which.words.size() >= 3) {
        auto said = make_array(which.words.size() - 2);
        for (std::size_t i = 2; i < which.words.size(); ++i) {
            said.items.push_back(make_integer(knows(which.server, in_small_letters(which.word(i))) ? 1 : 0));
        }
        return said;
    }
    return refuse_subcommand(which, "SCRIPT");
}

}  // namespace redislock::memory
