// Commands on lists, as far as a bounded history needs them.
#include <algorithm>

#include "memory/handlers.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {
namespace {

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

wire::reply push(call& which, std::string& (text_ring::*end)()) {
    const auto held = value_at<text_ring>(which);
    if (!held) return make_failure(wrong_type);
    const auto key = which.word(1);
    text_ring& list = *held != nullptr ? **held : which.server.keys.make_list(key);
    for (std::size_t i = 2; i < which.words.size(); ++i) (list.*end)().assign(which.word(i));
    which.server.keys.touch(key);
    return make_integer(static_cast<std::int64_t>(list.size()));
}

}  // namespace

wire::reply run_lpush(call& which) { return push(which, &text_ring::push_front); }

wire::reply run_rpush(call& which) { return push(which, &text_ring::push_back); }

wire::reply run_ltrim(call& which) {
    const auto first = parse_number(which.word(2));
    const auto last = parse_number(which.word(3));
    if (!first || !last) return make_failure(not_an_integer);
    const auto held = value_at<text_ring>(which);
    if (!held) return make_failure(wrong_type);
    text_ring* list = *held;
    if (list == nullptr) return make_ok();
    const auto kept = clip(*first, *last, list->size());
    if (kept.count == 0) {
        which.server.keys.erase(which.word(1));
        return make_ok();
    }
    list->trim(kept.first, kept.count);
    which.server.keys.touch(which.word(1));
    return make_ok();
}

wire::reply run_llen(call& which) {
    const auto held = value_at<text_ring>(which);
    if (!held) return make_failure(wrong_type);
    return make_integer(*held != nullptr ? static_cast<std::int64_t>((*held)->size()) : 0);
}

wire::reply run_lrange(call& which) {
    const auto first = parse_number(which.word(2));
    const auto last = parse_number(which.word(3));
    if (!first || !last) return make_failure(not_an_integer);
    const auto held = value_at<text_ring>(which);
    if (!held) return make_failure(wrong_type);
    const text_ring* list = *held;
    const auto wanted = list != nullptr ? clip(*first, *last, list->size()) : range{0, 0};
    auto said = make_array(wanted.count);
    for (std::size_t i = 0; i < wanted.count; ++i) said.items.push_back(make_text((*list)[wanted.first + i]));
    return said;
}

}  // namespace redislock::memory
