#include "memory/request.hpp"

#include <charconv>

namespace redislock::memory {
namespace {

constexpr std::size_t max_arguments = 1U << 20U;  // what real servers take

}  // namespace

request_reader::outcome request_reader::next(word_list& into) {
    into.clear();
    if (rest_.empty()) return outcome::end;
    const std::string_view begin = rest_;
    std::size_t count = 0;
    if (!take_length('*', count) || count == 0 || count > max_arguments) return outcome::malformed;
    for (; count > 0; --count) {
        if (!take_text(into.emplace_back())) return outcome::malformed;
    }
    raw_ = begin.substr(0, begin.size() - rest_.size());
    return outcome::command;
}

bool request_reader::take_length(char kind, std::size_t& length) noexcept {
    if (rest_.empty() || rest_.front() != kind) return false;
    const char* end = rest_.data() + rest_.size();
    const auto [stop, failure] = std::from_chars(rest_.data() + 1, end, length);
    if (failure != std::errc{} || end - stop < 2 || stop[0] != '\r' || stop[1] != '\n') return false;
    rest_.remove_prefix(static_cast<std::size_t>(stop + 2 - rest_.data()));
    return true;
}

bool request_reader::take_text(std::string_view& text) noexcept {
    std::size_t length = 0;
    if (!take_length('$', length)) return false;
    if (rest_.size() < 2 || length > rest_.size() - 2) return false;
    if (rest_[length] != '\r' || rest_[length + 1] != '\n') return false;
    text = rest_.substr(0, length);
    rest_.remove_prefix(length + 2);
    return true;
}

}  // namespace redislock::memory
