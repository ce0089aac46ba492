// Commands on streams, as far as an outbox needs them: no consumer groups.
#include <algorithm>
#include <charconv>

#include "memory/handlers.hpp"
#include "memory/replies.hpp"
#include "memory/stream.hpp"
#include "types/amount.hpp"

namespace redislock::memory {
namespace {

constexpr std::string_view invalid_id = "ERR Invalid stream ID specified as stream command argument";
constexpr stream_id greatest{UINT64_MAX, UINT64_MAX};

std::optional<std::uint64_t> parse_part(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (text.empty() || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
    return value;
}

wire::reply show(const stream_id& id, const std::vector<std::string>& words) {
    auto fields = make_array(words.size());
    for (const auto& each : words) fields.items.push_back(make_text(each));
    auto said = make_array(2);
    said.items.push_back(make_text(to_text(id)));
    said.items.push_back(std::move(fields));
    return said;
}

// One end of a range. "-" and "+" are the ends of everything, "(" leaves out the id behind it.
struct range_end {
    stream_id id;
    bool excluded = false;
};

std::optional<range_end> parse_end(std::string_view text, bool upper) noexcept {
    if (text == "-") return range_end{};
    if (text == "+") return range_end{greatest};
    range_end end;
    end.excluded = text.starts_with('(');
    const auto id = parse_stream_id(text.substr(end.excluded ? 1 : 0), upper ? UINT64_MAX : 0);
    if (!id) return std::nullopt;
    end.id = *id;
    return end;
}

// The words from `at` on, MAXLEN and what follows it; `at` is moved behind them.
std::optional<std::string_view> take_most(const call& which, std::size_t& at, std::int64_t& most) {
    ++at;
    if (at < which.words.size() && (which.word(at) == "~" || which.word(at) == "=")) ++at;
    if (at >= which.words.size()) return syntax_error;
    const auto given = parse_number(which.word(at++));
    if (!given) return not_an_integer;
    if (*given < 0) return "ERR The MAXLEN argument must be >= 0.";
    most = *given;
    return std::nullopt;
}

struct addition {
    bool makes = true;
    std::int64_t most = -1;  // below 0: any number
    std::size_t id_at = 2;
};

std::optional<std::string_view> take_options(const call& which, addition& asked) {
    for (auto& at = asked.id_at; at < which.words.size();) {
        if (is_word(which.word(at), "NOMKSTREAM")) {
            asked.makes = false;
            ++at;
        } else if (is_word(which.word(at), "MAXLEN")) {
            if (const auto refusal = take_most(which, at, asked.most)) return refusal;
        } else {
            return std::nullopt;
        }
    }
    return syntax_error;
}

}  // namespace

std::string to_text(stream_id id) { return std::to_string(id.ms) + "-" + std::to_string(id.seq); }

std::optional<stream_id> parse_stream_id(std::string_view text, std::uint64_t seq) noexcept {
    const auto dash = text.find('-');
    const auto ms = parse_part(text.substr(0, dash));
    const auto second_part =
        dash == std::string_view::npos ? std::optional(seq) : parse_part(text.substr(dash + 1));
    if (!ms || !second_part) return std::nullopt;
    return stream_id{*ms, *second_part};
}

std::size_t stream::trim(std::size_t most) {
    std::size_t removed = 0;
    for (; entries.size() > most; ++removed) entries.erase(entries.begin());
    return removed;
}

wire::reply run_xadd(call& which) {
    addition asked;
    if (const auto refusal = take_options(which, asked)) return make_failure(*refusal);
    const std::size_t first = asked.id_at + 1;
    if (first >= which.words.size() || (which.words.size() - first) % 2 != 0) return refuse_arity("XADD");
    const auto given = which.word(asked.id_at);
    const auto wanted = given == "*" ? std::optional(stream_id{}) : parse_stream_id(given);
    if (!wanted) return make_failure(invalid_id);
    if (given != "*" && *wanted == stream_id{}) {
        return make_failure("ERR The ID specified in XADD must be greater than 0-0");
    }
    const auto held = value_at<stream>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr && !asked.makes) return make_nil();
    if (*held != nullptr && given != "*" && *wanted <= (*held)->last) {
        return make_failure(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item");
    }
    stream& log = *held != nullptr ? **held : which.server.keys.make<stream>(which.word(1));
    const auto now = static_cast<std::uint64_t>(which.server.clock.wall() / millisecond);
    log.last = given == "*" ? log.next(now) : *wanted;
    auto& words = log.entries[log.last];
    for (std::size_t i = first; i < which.words.size(); ++i) words.emplace_back(which.word(i));
    if (asked.most >= 0) log.trim(static_cast<std::size_t>(asked.most));
    which.server.keys.touch(which.word(1));
    return make_text(to_text(log.last));
}

wire::reply run_xlen(call& which) {
    const auto held = value_at<stream>(which);
    if (!held) return make_failure(wrong_type);
    return make_integer(*held != nullptr ? static_cast<std::int64_t>((*held)->size()) : 0);
}

wire::reply run_xrange(call& which) {
    const auto from = parse_end(which.word(2), false);
    const auto to = parse_end(which.word(3), true);
    if (!from || !to) return make_failure(invalid_id);
    std::int64_t most = -1;
    if (which.words.size() > 4) {
        const auto given = which.words.size() == 6 && is_word(which.word(4), "COUNT")
                               ? parse_number(which.word(5))
                               : std::nullopt;
        if (!given) return make_failure(which.words.size() == 6 ? not_an_integer : syntax_error);
        most = std::max<std::int64_t>(*given, 0);
    }
    const auto held = value_at<stream>(which);
    if (!held) return make_failure(wrong_type);
    auto said = make_array();
    if (*held == nullptr) return said;
    if (most == 0) return make_nil();
    const auto& entries = (*held)->entries;
    auto at = from->excluded ? entries.upper_bound(from->id) : entries.lower_bound(from->id);
    for (; at != entries.end() && most != 0; ++at, --most) {
        if (at->first > to->id || (to->excluded && at->first == to->id)) break;
        said.items.push_back(show(at->first, at->second));
    }
    return said;
}

// Unlike other types, a stream without entries goes on to exist.
wire::reply run_xdel(call& which) {
    const auto held = value_at<stream>(which);
    if (!held) return make_failure(wrong_type);
    if (*held == nullptr) return make_integer(0);
    std::vector<stream_id> ids;
    for (std::size_t i = 2; i < which.words.size(); ++i) {
        const auto id = parse_stream_id(which.word(i));
        if (!id) return make_failure(invalid_id);
        ids.push_back(*id);
    }
    std::int64_t removed = 0;
    for (const auto& each : ids) removed += static_cast<std::int64_t>((*held)->entries.erase(each));
    if (removed > 0) which.server.keys.touch(which.word(1));
    return make_integer(removed);
}

wire::reply run_xtrim(call& which) {
    std::size_t at = 2;
    std::int64_t most = 0;
    if (!is_word(which.word(at), "MAXLEN")) return make_failure(syntax_error);
    if (const auto refusal = take_most(which, at, most)) return make_failure(*refusal);
    if (at != which.words.size()) return make_failure(syntax_error);
    const auto held = value_at<stream>(which);
    if (!held) return make_failure(wrong_type);
    const std::size_t removed = *held != nullptr ? (*held)->trim(static_cast<std::size_t>(most)) : 0;
    if (removed > 0) which.server.keys.touch(which.word(1));
    return make_integer(static_cast<std::int64_t>(removed));
}

}  // namespace redislock::memory
