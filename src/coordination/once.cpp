#include "coordination/once.hpp"

#include <array>
#include <utility>

#include "coordination/scripts.hpp"
#include "types/amount.hpp"
#include "types/keys.hpp"
#include "wire/server_error.hpp"

namespace redislock::coordination {
namespace {

constexpr char with_value = 'v';
constexpr char without_value = 'x';

std::string record_of(const std::string& key) { return side_key(key, "once"); }

error another_type(const std::string& record) {
    return {errc::wrong_type, "key '" + record +
                                  "' should hold the record of what was done once and holds something else; "
                                  "nothing was changed"};
}

// "1764100000123456 vVALUE" or "1764100000123456 x"
std::string encode(const once_store& asked) {
    std::string text(digits(asked.fence).view());
    text += ' ';
    text += asked.record.value ? with_value : without_value;
    if (asked.record.value) text += *asked.record.value;
    return text;
}

std::optional<once_record> decode(const std::string& text) {
    const auto space = text.find(' ');
    if (space == std::string::npos || !parse_integer(std::string_view(text).substr(0, space)) ||
        text.size() < space + 2)
        return std::nullopt;
    if (text[space + 1] == with_value) return once_record{text.substr(space + 2)};
    if (text[space + 1] == without_value) return once_record{};
    return std::nullopt;
}

}  // namespace

std::string turn_of(const std::string& key) { return side_key(key, "turn"); }

engine::task<result<std::optional<once_record>>> read_once(engine::context& with, const std::string& key) {
    const std::string record = record_of(key);
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("GET", record);
    auto answered = co_await with.send(std::move(slot));
    if (!answered) co_return std::move(answered.error());
    const wire::reply& said = (*answered)[0];
    if (said.failed_with("WRONGTYPE")) co_return another_type(record);
    if (said.is_failure()) co_return wire::to_error(said);
    if (said.is_nil()) co_return std::optional<once_record>{};
    auto found = decode(said.text);
    if (!found) co_return another_type(record);
    co_return found;
}

engine::task<result<bool>> store_once(engine::context& with, const once_store& asked) {
    const std::string record = record_of(asked.key);
    const std::string turn = turn_of(asked.key);
    const std::string last = side_key(turn, "fence");
    const std::string text = encode(asked);
    const digits fence(asked.fence);
    const digits ttl(asked.ttl / millisecond);
    const std::array<std::string_view, 3> keys{record, turn, last};
    const std::array<std::string_view, 4> arguments{asked.token, fence.view(), ttl.view(), text};
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::recorded;
    slot->request.evalsha(scripts::once_store, keys, arguments);
    auto answered = co_await with.send(std::move(slot));
    if (!answered) co_return std::move(answered.error());
    const wire::reply& said = (*answered)[0];
    if (said.text == "ok") co_return true;
    // After a lost answer the record may have been there, and have been forgotten or overwritten since.
    if (with.in_doubt) {
        co_return error{errc::outcome_unknown,
                        "the result was sent and never answered, and could not be stored "
                        "again (" +
                            said.text + "): it may or may not be stored"};
    }
    if (said.is_failure()) co_return wire::to_error(said);
    if (said.text == "lost") co_return false;
    if (said.text == "wrongtype") co_return another_type(record);
    co_return error{errc::protocol, "the server's answer makes no sense: '" + said.text.substr(0, 100) + "'"};
}

engine::task<result<bool>> forget_once(engine::context& with, const std::string& key) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::token;
    slot->request.commands.add("DEL", record_of(key));
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return (*said)[0].integer == 1;
}

}  // namespace redislock::coordination
