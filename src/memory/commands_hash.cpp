// Commands on hashes.
#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "types/amount.hpp"

namespace redislock::memory {
namespace {

wire::reply field_of(const hash_table* which, std::string_view field) {
    if (which == nullptr) return make_nil();
    const auto found = which->find(field);
    return found != which->end() ? make_text(found->second) : make_nil();
}

hash_table& make_if_missing(call& which, hash_table* held) {
    return held != nullptr ? *held : which.server.keys.make<hash_table>(which.word(1));
}

}  // namespace

wire::reply run_hset(call& which) {
    if (which.words.size() % 2 != 0) return refuse_arity("HSET");
    const auto held = value_at<hash_table>(which);
    if (!held) return make_failure(wrong_type);
    hash_table& table = make_if_missing(which, *held);
    std::int64_t added = 0;
    for (std::size_t i = 2; i < which.words.size(); i += 2) {
        const auto found = table.find(which.word(i));
        if (found != table.end()) {
            found->second.assign(which.word(i + 1));
        } else {
            table.emplace(which.word(i), which.word(i + 1));
            ++added;
        }
    }
    which.server.keys.touch(which.word(1));
    return make_integer(added);
}

wire::reply run_hget(call& which) {
    const auto held = value_at<hash_table>(which);
    return held ? field_of(*held, which.word(2)) : make_failure(wrong_type);
}

wire::reply run_hmget(call& which) {
    const auto held = value_at<hash_table>(which);
    if (!held) return make_failure(wrong_type);
    auto said = make_array(which.words.size() - 2);
    for (std::size_t i = 2; i < which.words.size(); ++i) {
        said.items.push_back(field_of(*held, which.word(i)));
    }
    return said;
}

wire::reply run_hgetall(call& which) {
    const auto held = value_at<hash_table>(which);
    if (!held) return make_failure(wrong_type);
    auto said = make_array(*held != nullptr ? (*held)->size() * 2 : 0);
    if (*held == nullptr) return said;
    for (const auto& [field, value] : **held) {
        said.items.push_back(make_text(field));
        said.items.push_back(make_text(value));
    }
    return said;
}

wire::reply run_hdel(call& which) { return remove_each<hash_table>(which); }

wire::reply run_hlen(call& which) {
    const auto held = value_at<hash_table>(which);
    if (!held) return make_failure(wrong_type);
    return make_integer(*held != nullptr ? static_cast<std::int64_t>((*held)->size()) : 0);
}

wire::reply run_hexists(call& which) {
    const auto held = value_at<hash_table>(which);
    if (!held) return make_failure(wrong_type);
    return make_integer(*held != nullptr && (*held)->contains(which.word(2)) ? 1 : 0);
}

wire::reply run_hincrby(call& which) {
    const auto step = parse_number(which.word(3));
    if (!step) return make_failure(not_an_integer);
    const auto held = value_at<hash_table>(which);
    if (!held) return make_failure(wrong_type);
    std::int64_t value = 0;
    if (*held != nullptr) {
        if (const auto found = (*held)->find(which.word(2)); found != (*held)->end()) {
            const auto stored = parse_number(found->second);
            if (!stored) return make_failure("ERR hash value is not an integer");
            value = *stored;
        }
    }
    if (__builtin_add_overflow(value, *step, &value)) {
        return make_failure("ERR increment or decrement would overflow");
    }
    make_if_missing(which, *held)
        .insert_or_assign(std::string(which.word(2)), std::string(digits(value).view()));
    which.server.keys.touch(which.word(1));
    return make_integer(value);
}

}  // namespace redislock::memory
