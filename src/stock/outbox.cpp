#include "stock/outbox.hpp"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "stock/scripts.hpp"
#include "types/amount.hpp"
#include "wire/reply.hpp"
#include "wire/server_error.hpp"

namespace redislock::stock {
namespace {

using engine::context;
using engine::task;
using wire::reply;

error unreadable() {
    return {errc::protocol, "the outbox answered with something that is no list of orders"};
}

std::int64_t to_number(std::string_view text) { return parse_integer(text).value_or(0); }

// What an entry holds; nothing where it was deleted while it was pending.
std::optional<outbox_entry> to_entry(const reply& said) {
    if (said.items.size() != 2 || said.items[1].is_nil()) return std::nullopt;
    outbox_entry entry;
    entry.stream_id = said.items[0].text;
    const auto& fields = said.items[1].items;
    for (std::size_t at = 0; at + 1 < fields.size(); at += 2) {
        const std::string_view name = fields[at].text;
        const auto& value = fields[at + 1].text;
        if (name == "order_id") entry.order_id = value;
        if (name == "sku") entry.sku = value;
        if (name == "qty") entry.quantity = to_number(value);
        if (name == "user") entry.user = value;
        if (name == "at") entry.at = to_number(value);
    }
    return entry;
}

void take_entries(const reply& said, outbox_entries& into) {
    for (const auto& each : said.items) {
        if (auto entry = to_entry(each)) into.push_back(std::move(*entry));
    }
}

// XREADGROUP's answer for one stream: [[key, entries]], or under RESP3 a map, key then entries.
result<outbox_entries> to_entries(const reply& said) {
    if (said.is_failure()) return wire::to_error(said);
    outbox_entries entries;
    if (said.is_nil() || said.items.empty()) return entries;
    const auto& stream = said.items[0].is_text() ? said : said.items[0];
    if (stream.items.size() != 2) return unreadable();
    take_entries(stream.items[1], entries);
    return entries;
}

}  // namespace

task<result<bool>> open_outbox(context& with, const outbox_reader& reader) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("XGROUP", "CREATE", reader.key, reader.group, "0", "MKSTREAM");
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    const auto& answer = (*said)[0];
    if (answer.failed_with("BUSYGROUP")) co_return false;
    if (answer.is_failure()) co_return wire::to_error(answer);
    co_return true;
}

task<result<outbox_entries>> read_outbox(context& with, const outbox_reader& reader, std::uint64_t most) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("XREADGROUP", "GROUP", reader.group, reader.consumer, "COUNT", most, "STREAMS",
                               reader.key, ">");
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    co_return to_entries((*said)[0]);
}

task<result<outbox_entries>> claim_outbox(context& with, const outbox_reader& reader, nanos idle,
                                          std::uint64_t most) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("XREADGROUP", "GROUP", reader.group, reader.consumer, "COUNT", most, "STREAMS",
                               reader.key, "0");
    slot->request.commands.add("XAUTOCLAIM", reader.key, reader.group, reader.consumer, idle / millisecond,
                               "0-0", "COUNT", most);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    auto entries = to_entries((*said)[0]);
    if (!entries) co_return std::move(entries.error());
    const auto& claimed = (*said)[1];
    if (claimed.is_failure()) co_return wire::to_error(claimed);
    if (claimed.items.size() < 2) co_return unreadable();
    take_entries(claimed.items[1], *entries);
    co_return std::move(*entries);
}

task<result<std::uint64_t>> clear_outbox(context& with, const outbox_reader& reader,
                                         const std::vector<std::string>& stream_ids) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    auto& commands = slot->request.commands;
    // Deleted first: what was acknowledged and not deleted would be given to nobody any more. What was
    // deleted and not acknowledged is no entry, whoever is told of it.
    commands.begin(2 + stream_ids.size());
    commands.argument("XDEL");
    commands.argument(reader.key);
    for (const auto& each : stream_ids) commands.argument(each);
    commands.begin(3 + stream_ids.size());
    commands.argument("XACK");
    commands.argument(reader.key);
    commands.argument(reader.group);
    for (const auto& each : stream_ids) commands.argument(each);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return static_cast<std::uint64_t>((*said)[0].integer);
}

task<result<std::uint64_t>> set_aside(context& with, const outbox_reader& reader,
                                      const std::vector<std::string>& stream_ids, const std::string& why) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    const std::string kept = reader.key + ":refused";
    const std::array<std::string_view, 2> keys{reader.key, kept};
    std::vector<std::string_view> arguments{reader.group, why};
    arguments.insert(arguments.end(), stream_ids.begin(), stream_ids.end());
    slot->request.evalsha(scripts::set_aside, keys, arguments);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return static_cast<std::uint64_t>((*said)[0].integer);
}

task<result<std::uint64_t>> count_outbox(context& with, const outbox_reader& reader) {
    auto slot = with.make_slot();
    slot->request.policy = engine::resend::read;
    slot->request.commands.add("XLEN", reader.key);
    auto said = co_await with.send(std::move(slot));
    if (!said) co_return std::move(said.error());
    if (const auto* failure = said->failure()) co_return wire::to_error(*failure);
    co_return static_cast<std::uint64_t>((*said)[0].integer);
}

}  // namespace redislock::stock
