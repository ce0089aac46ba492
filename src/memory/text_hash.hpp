// Maps by text that can be asked without making a string.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace redislock::memory {

struct text_hash {
    using is_transparent = void;
    // Not noexcept: then libstdc++ keeps the hash in each node, and need not read every key again
    // to grow, to sweep or to tell two keys apart.
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

template <class Value>
using by_text = std::unordered_map<std::string, Value, text_hash, std::equal_to<>>;

}  // namespace redislock::memory
