#include "memory/glob.hpp"

#include <utility>

namespace redislock::memory {
namespace {

// Whether `c` is in the class that `pattern` begins with, behind its '['; leaves the pattern behind
// the class. A class that is never closed ends with the pattern.
bool take_class(std::string_view& pattern, char c) noexcept {
    const bool inverted = !pattern.empty() && pattern.front() == '^';
    if (inverted) pattern.remove_prefix(1);
    bool found = false;
    while (!pattern.empty() && pattern.front() != ']') {
        if (pattern.front() == '\\' && pattern.size() >= 2) pattern.remove_prefix(1);
        char low = pattern.front();
        char high = low;
        if (pattern.size() >= 3 && pattern[1] == '-') {
            high = pattern[2];
            if (low > high) std::swap(low, high);
            pattern.remove_prefix(2);
        }
        pattern.remove_prefix(1);
        found = found || (low <= c && c <= high);
    }
    if (!pattern.empty()) pattern.remove_prefix(1);
    return found != inverted;
}

}  // namespace

// After a mismatch only the last '*' takes one character more, so this is never exponential.
bool matches_glob(std::string_view pattern, std::string_view text) noexcept {
    bool starred = false;
    std::string_view retry_pattern;
    std::string_view retry_text;
    while (!text.empty() || !pattern.empty()) {
        if (!pattern.empty() && pattern.front() == '*') {
            pattern.remove_prefix(1);
            starred = true;
            retry_pattern = pattern;
            retry_text = text;
            continue;
        }
        bool fits = !pattern.empty() && !text.empty();
        if (fits) {
            const char wanted = pattern.front();
            pattern.remove_prefix(1);
            if (wanted == '[') {
                fits = take_class(pattern, text.front());
            } else if (wanted == '\\' && !pattern.empty()) {
                fits = pattern.front() == text.front();
                pattern.remove_prefix(1);
            } else {
                fits = wanted == '?' || wanted == text.front();
            }
        }
        if (fits) {
            text.remove_prefix(1);
            continue;
        }
        if (!starred || retry_text.empty()) return false;
        retry_text.remove_prefix(1);
        pattern = retry_pattern;
        text = retry_text;
    }
    return true;
}

}  // namespace redislock::memory
