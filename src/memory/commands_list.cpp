// Commands on lists, as far as a bounded history needs them.
#include <algorithm>
#include <optional>

#include "memory/answers.hpp"
#include "memory/handlers.hpp"

namespace redislock::memory {
namespace {

// The list at the key, or null where there is none; `refused` if it is something else.
text_ring* list_at(call& which, bool& refused) {
    entry* found = which.server.keys.find(which.word(1));
    refused = found != nullptr && found->list() == nullptr;
    if (refused) answer_failure(which.out, wrong_type);
    return found != nullptr ? found->list() : nullptr;
}

struct range {
    std::size_t first;
    std::size_t count;
};

// "0 -1" is everything; indexes below zero count from the end.
range clip(std::int64_t first, std::int64_t last, std::size_t size) noexcept {
    const auto length = static_cast<std::int64_t>(size);
    if (first < 0) first = std::max<std::int64_t>(first + length, 0);
    if (last < 0) last += length;
    last = std::min(last, length - 1);
    if (first > last) return {0, 0};
    return {static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1)};
}

void push(call& which, std::string& (text_ring::*end)()) {
    bool refused = false;
    text_ring* list = list_at(which, refused);
    if (refused) return;
    const auto key = which.word(1);
    if (list == nullptr) list = &which.server.keys.make_list(key);
    for (std::size_t i = 2; i < which.words.size(); ++i) (list->*end)().assign(which.word(i));
    which.server.keys.touch(key);
    answer_integer(which.out, static_cast<std::int64_t>(list->size()));
}

// False where the two indexes are none.
bool take_indexes(call& which, std::int64_t& first, std::int64_t& last) {
    const auto from = parse_number(which.word(2));
    const auto to = parse_number(which.word(3));
    if (!from || !to) {
        answer_failure(which.out, not_an_integer);
        return false;
    }
    first = *from;
    last = *to;
    return true;
}

}  // namespace

void run_lpush(call& which) { push(which, &text_ring::push_front); }

void run_rpush(call& which) { push(which, &text_ring::push_back); }

void run_ltrim(call& which) {
    std::int64_t first = 0;
    std::int64_t last = 0;
    if (!take_indexes(which, first, last)) return;
    bool refused = false;
    text_ring* list = list_at(which, refused);
    if (refused) return;
    answer_ok(which.out);
    if (list == nullptr) return;
    const auto kept = clip(first, last, list->size());
    if (kept.count == 0) {
        which.server.keys.erase(which.word(1));
        return;
    }
    list->trim(kept.first, kept.count);
    which.server.keys.touch(which.word(1));
}

void run_llen(call& which) {
    bool refused = false;
    text_ring* list = list_at(which, refused);
    if (!refused) answer_integer(which.out, list != nullptr ? static_cast<std::int64_t>(list->size()) : 0);
}

void run_lrange(call& which) {
    std::int64_t first = 0;
    std::int64_t last = 0;
    if (!take_indexes(which, first, last)) return;
    bool refused = false;
    text_ring* list = list_at(which, refused);
    if (refused) return;
    const auto wanted = list != nullptr ? clip(first, last, list->size()) : range{0, 0};
    auto& items = answer_array(which.out, wanted.count);
    for (std::size_t i = 0; i < wanted.count; ++i) answer_text(items[i], (*list)[wanted.first + i]);
}

}  // namespace redislock::memory
