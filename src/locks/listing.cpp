#include "locks/listing.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string_view>

#include "locks/calls.hpp"
#include "locks/scripts.hpp"
#include "locks/target.hpp"
#include "wire/server_error.hpp"

namespace redislock::locks {
namespace {

constexpr std::int64_t keys_a_step = 1000;
constexpr std::size_t locks_a_step = 50;

std::string_view next_word(std::string_view& text) noexcept {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

// The name of the lock that a key belongs to; empty where it is none of ours.
std::string name_of(std::string_view key) {
    constexpr std::string_view mark = ":redislock:";
    const auto at = key.rfind(mark);
    if (at == std::string_view::npos) return {};
    const std::string_view end = key.substr(at + mark.size());
    if (end == "t:queue" || end == "t:fence") return std::string(key.substr(0, at));
    if ((end != "queue" && end != "fence") || at < 3 || key[0] != '{' || key[at - 1] != '}') return {};
    return std::string(key.substr(1, at - 2));
}

seen_lock read(const std::string& name, const std::vector<wire::reply>& said) {
    seen_lock lock;
    lock.name = name;
    if (said.size() < 4) return lock;
    lock.now_ms = to_number(said[0].text);
    lock.fence = to_number(said[1].text);
    for (std::size_t i = 2; i + 2 < said.size(); i += 3) {
        std::string_view words = said[i + 2].text;
        const auto kind = next_word(words);
        if (said[i].text == "holder") {
            seen_holder one{said[i + 1].text, kind.empty() ? 'm' : kind[0]};
            one.fence = to_number(next_word(words));
            one.left_ms = to_number(words);
            lock.holders.push_back(std::move(one));
        } else {
            lock.waiters.push_back({said[i + 1].text, kind.empty() ? 'm' : kind[0], to_number(words)});
        }
    }
    lock.waiting = static_cast<std::uint64_t>(to_number(said.back().text));
    return lock;
}

engine::task<result<std::set<std::string>>> find_names(engine::context& with) {
    std::set<std::string> names;
    std::string cursor = "0";
    do {
        auto slot = with.make_slot();
        slot->request.policy = engine::resend::read;
        slot->request.commands.add("SCAN", cursor, "MATCH", "*:redislock:*", "COUNT", keys_a_step);
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        const auto& page = (*said)[0];
        if (page.is_failure()) co_return wire::to_error(page);
        if (page.items.size() != 2) co_return error{errc::protocol, "SCAN answered without a cursor"};
        cursor = page.items[0].text;
        for (const auto& key : page.items[1].items) {
            auto name = name_of(key.text);
            if (!name.empty()) names.insert(std::move(name));
        }
    } while (cursor != "0");
    co_return names;
}

}  // namespace

engine::task<result<std::vector<seen_lock>>> list(engine::context& with, std::vector<std::string> names) {
    const bool all = names.empty();
    if (all) {
        auto found = co_await find_names(with);
        if (!found) co_return std::move(found.error());
        names.assign(found->begin(), found->end());
    }
    std::vector<seen_lock> locks;
    for (std::size_t from = 0; from < names.size(); from += locks_a_step) {
        const auto some = std::span(names).subspan(from, std::min(locks_a_step, names.size() - from));
        const std::vector<lock_keys> looked_at(some.begin(), some.end());
        auto slot = with.make_slot();
        slot->request.policy = engine::resend::read;
        slot->request.evalsha(scripts::inspect, all_keys(looked_at), std::array<std::string_view, 0>{});
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        const auto& page = (*said)[0];
        if (page.is_failure()) co_return wire::to_error(page);
        for (std::size_t i = 0; i < some.size() && i < page.items.size(); ++i) {
            auto lock = read(some[i], page.items[i].items);
            if (!all || !lock.holders.empty() || lock.waiting > 0) locks.push_back(std::move(lock));
        }
    }
    co_return locks;
}

}  // namespace redislock::locks
