#include "wire/reader.hpp"

#include <charconv>
#include <cstring>

#include "wire/hiredis.hpp"

namespace redislock::wire {
namespace {

constexpr std::size_t longest_header = 24;  // "$" and 19 digits, and both "\r\n" of a bulk string

constexpr std::size_t longest_line = std::size_t{64} << 10U;

// Whether a line has grown long without an end. hiredis looks through all of it again each time that
// something is added, so that the limit of a reply would take seconds to reach.
bool has_endless_line(const redisReader& reader) noexcept {
    return reader.len - reader.pos > longest_line &&
           std::memchr(reader.buf + reader.pos, '\n', longest_line) == nullptr;
}

// Whether the bulk string that is being read says of itself that it will be longer than this: known
// from its first line, long before its bytes would be there.
bool announces_more_than(std::size_t limit, const redisReader& reader) noexcept {
    if (reader.ridx < 0) return false;
    const int type = reader.task[reader.ridx]->type;
    if (type != REDIS_REPLY_STRING && type != REDIS_REPLY_VERB) return false;
    const char* end = reader.buf + reader.len;
    std::uint64_t length = 0;
    const auto [stop, failure] = std::from_chars(reader.buf + reader.pos, end, length);
    return failure == std::errc{} && stop != end && length > limit;
}

}  // namespace

// hiredis calls these while it parses; a null answer makes it stop with an out-of-memory error.
struct builder_functions {
    static reply_builder& self(const redisReadTask* task) noexcept {
        return *static_cast<reply_builder*>(task->privdata);
    }

    // A vector of a parent only grows when its next child begins, when no task points into it.
    static reply* place(const redisReadTask* task) {
        auto& builder = self(task);
        if (++builder.elements_ > builder.limits_.elements) return nullptr;
        if (task->parent == nullptr) {
            builder.root_ = reply{};
            return &builder.root_;
        }
        return &static_cast<reply*>(task->parent->obj)->items.emplace_back();
    }

    static reply::kind text_kind(int type) noexcept {
        if (type == REDIS_REPLY_ERROR) return reply::kind::failure;
        if (type == REDIS_REPLY_STATUS) return reply::kind::status;
        return reply::kind::text;
    }

    static void* make_text(const redisReadTask* task, char* text, size_t size) {
        reply* made = place(task);
        if (made == nullptr) return nullptr;
        made->type = text_kind(task->type);
        const size_t skipped = task->type == REDIS_REPLY_VERB && size >= 4 ? 4 : 0;  // "txt:"
        made->text.assign(text + skipped, size - skipped);
        auto& builder = self(task);
        builder.bytes_ += size;
        return builder.bytes_ > builder.limits_.bytes ? nullptr : made;
    }

    // Counted here, since hiredis itself has such a limit only from 1.5 on.
    static bool too_deep(const redisReadTask* task) noexcept {
        int depth = 1;
        for (const redisReadTask* above = task->parent; above != nullptr; above = above->parent) ++depth;
        return depth > self(task).limits_.depth;
    }

    static void* make_array(const redisReadTask* task, size_t /*elements*/) {
        if (too_deep(task)) {
            self(task).too_deep_ = true;
            return nullptr;
        }
        reply* made = place(task);
        if (made == nullptr) return nullptr;
        const bool aside = task->type == REDIS_REPLY_PUSH || task->type == REDIS_REPLY_ATTR;
        made->type = aside ? reply::kind::push : reply::kind::array;
        return made;
    }

    static void* make_integer(const redisReadTask* task, long long value) {
        reply* made = place(task);
        if (made == nullptr) return nullptr;
        made->type = reply::kind::integer;
        made->integer = value;
        return made;
    }

    static void* make_double(const redisReadTask* task, double /*value*/, char* text, size_t size) {
        return make_text(task, text, size);
    }

    static void* make_nil(const redisReadTask* task) { return place(task); }

    static void* make_bool(const redisReadTask* task, int value) { return make_integer(task, value); }

    // Everything lives in the builder's root, so there is nothing to free.
    static void free_object(void* /*object*/) {}

    static redisReplyObjectFunctions* table() noexcept {
        static redisReplyObjectFunctions functions{make_text, make_array, make_integer, make_double,
                                                   make_nil,  make_bool,  free_object};
        return &functions;
    }
};

void reply_builder::attach(redisReader& reader) noexcept {
    reader.fn = builder_functions::table();
    reader.privdata = this;
    reader.maxelements = limits_.elements;
}

result<std::optional<reply>> reply_builder::next(redisReader& reader) {
    void* made = nullptr;
    if (redisReaderGetReply(&reader, &made) != REDIS_OK) {
        if (elements_ > limits_.elements) {
            return {errc::protocol, "the server's reply has more elements than the limit allows"};
        }
        if (too_deep_) return {errc::protocol, "the server's reply is nested deeper than the limit allows"};
        if (bytes_ > limits_.bytes)
            return {errc::protocol, "the server's reply is longer than the limit allows"};
        return {errc::protocol,
                std::string("the server does not speak the Redis protocol: ") + reader.errstr};
    }
    if (made == nullptr) {
        if (reader.len - reader.pos > limits_.bytes + longest_header ||
            announces_more_than(limits_.bytes - bytes_, reader) || has_endless_line(reader)) {
            return {errc::protocol, "the server's reply is longer than the limit allows"};
        }
        return std::optional<reply>{};
    }
    elements_ = 0;
    bytes_ = 0;
    return std::optional<reply>{std::move(root_)};
}

}  // namespace redislock::wire
