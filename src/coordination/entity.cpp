#include "coordination/entity.hpp"

#include <array>
#include <optional>
#include <utility>

#include "coordination/scripts.hpp"
#include "types/amount.hpp"
#include "types/keys.hpp"
#include "wire/server_error.hpp"

namespace redislock::coordination {
namespace {

error another_type(const std::string& key) {
    return {errc::wrong_type,
            "key '" + key + "' should hold an entity and holds something else; nothing was changed"};
}

error senseless(const wire::reply& said) {
    return {errc::protocol, "the server's answer makes no sense: '" + said.text.substr(0, 100) + "'"};
}

bool is_pair(const wire::reply& said) {
    return said.items.size() == 2 && said.items[0].is_text() && said.items[1].is_text();
}

versioned to_versioned(wire::reply said) {
    return {std::move(said.items[0].text), std::move(said.items[1].text)};
}

std::string encode(const condition& wanted) {
    switch (wanted.what) {
        case condition::kind::nothing: return {};
        case condition::kind::this_etag: return "=" + wanted.etag;
        case condition::kind::anything: break;
    }
    return "*";
}

result<written> decode_written(const wire::reply& said, const std::string& key) {
    if (said.is_failure()) return wire::to_error(said);
    written ended;
    if (said.is_text()) {
        ended.applied = said.text == "ok" || said.text == "missing";
        ended.existed = said.text == "ok";
        if (ended.applied) return ended;
        return said.text == "wrongtype" ? another_type(key) : senseless(said);
    }
    if (said.items.size() != 3) return senseless(said);
    if (!said.items[0].text.empty()) ended.latest = {said.items[0].text, said.items[1].text};
    ended.certain = said.items[2].integer == 1;
    return ended;
}

// After a write whose answer was lost, only what the server knows of that very write may be told: what
// to say instead, if anything.
std::optional<error> doubt(const engine::context& with, const result<written>& ended) {
    if (!with.in_doubt) return std::nullopt;
    if (ended) {
        if (ended->applied || ended->certain) return std::nullopt;
        return error{errc::outcome_unknown,
                     "the write was sent and never answered, and when it was repeated others had written too "
                     "much since to tell: it may or may not have been applied"};
    }
    if (ended.error().code == errc::outcome_unknown) return std::nullopt;
    return error{errc::outcome_unknown, "the write was sent and never answered, and repeating it failed (" +
                                            ended.error().message + "): it may or may not have been applied"};
}

engine::task<result<written>> attempt(engine::context& with, const entity_write& asked) {
    auto slot = with.make_slot();
    const std::string recent = side_key(asked.key, "writes");
    const std::string wanted = encode(asked.only_if);
    const digits ttl(asked.ttl / millisecond);
    const digits remembered(asked.remembered / millisecond);
    const std::array<std::string_view, 2> keys{asked.key, recent};
    const std::array<std::string_view, 6> arguments{
        asked.deletes ? "delete" : "put", asked.token, wanted, ttl.view(), remembered.view(), asked.value};
    slot->request.policy = engine::resend::recorded;
    slot->request.evalsha(scripts::entity_write, keys, arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return decode_written((*said)[0], asked.key);
}

}  // namespace

engine::task<result<versioned>> read_entity(engine::context& with, const std::string& key) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("HMGET", key, "etag", "value");
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if ((*said)[0].failed_with("WRONGTYPE")) co_return another_type(key);
    if (is_pair((*said)[0])) co_return to_versioned((*said)[0]);
    if ((*said)[0].is_failure()) co_return wire::to_error((*said)[0]);
    // Nothing, or a hash of somebody else's.
    auto again = with.make_slot();
    again->request.policy = engine::resend::read;
    again->request.evalsha(scripts::entity_missing, std::array<std::string_view, 1>{key},
                           std::array<std::string_view, 0>{});
    auto looked = co_await with.send(std::move(again));
    if (!looked) co_return std::move(looked.error());
    const wire::reply& found = (*looked)[0];
    if (found.is_failure()) co_return wire::to_error(found);
    if (is_pair(found)) co_return to_versioned(found);
    if (found.text == "missing") co_return versioned{};
    co_return found.text == "wrongtype" ? another_type(key) : senseless(found);
}

engine::task<result<written>> write_entity(engine::context& with, const entity_write& asked) {
    auto ended = co_await attempt(with, asked);
    if (ended && ended->applied && !asked.deletes) ended->latest.etag = asked.token;
    if (auto instead = doubt(with, ended)) co_return std::move(*instead);
    co_return ended;
}

}  // namespace redislock::coordination
