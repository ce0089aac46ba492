#include "memory/script_values.hpp"

#include <limits>
#include <string>

#include "memory/decimals.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {
namespace {

constexpr int deepest = 128;  // a client's limit is lower

// An error or a status is one line, and read as C does, up to the first NUL.
std::string one_line(std::string_view text) {
    std::string line(text.substr(0, text.find('\0')));
    for (char& each : line) {
        if (each == '\r' || each == '\n') each = ' ';
    }
    return line;
}

std::int64_t to_integer(lua_Number value) noexcept {
    constexpr lua_Number end = 9223372036854775808.0;
    const bool fits = value > -end && value < end;  // NaN does not
    return fits ? static_cast<std::int64_t>(value) : std::numeric_limits<std::int64_t>::min();
}

// Pushes the field's value; it stays on the stack only where it is a string.
bool push_field(lua_State* lua, int index, const char* name) {
    lua_pushstring(lua, name);
    lua_rawget(lua, index);
    if (lua_type(lua, -1) == LUA_TSTRING) return true;
    lua_pop(lua, 1);
    return false;
}

wire::reply to_reply_at(lua_State* lua, int index, int depth);

wire::reply table_to_reply(lua_State* lua, int index, int depth) {
    if (depth > deepest || lua_checkstack(lua, 4) == 0) return make_failure("ERR reached lua stack limit");
    if (push_field(lua, index, "err")) {
        auto said = make_failure(one_line(text_at(lua, -1)));
        lua_pop(lua, 1);
        return said;
    }
    if (push_field(lua, index, "ok")) {
        auto said = make_status(one_line(text_at(lua, -1)));
        lua_pop(lua, 1);
        return said;
    }
    auto said = make_array();
    for (int i = 1;; ++i) {
        lua_rawgeti(lua, index, i);
        if (lua_isnil(lua, -1)) break;
        said.items.push_back(to_reply_at(lua, lua_gettop(lua), depth + 1));
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    return said;
}

wire::reply to_reply_at(lua_State* lua, int index, int depth) {
    switch (lua_type(lua, index)) {
        case LUA_TSTRING: return make_text(text_at(lua, index));
        case LUA_TNUMBER: return make_integer(to_integer(lua_tonumber(lua, index)));
        case LUA_TBOOLEAN: return lua_toboolean(lua, index) != 0 ? make_integer(1) : make_nil();
        case LUA_TTABLE: return table_to_reply(lua, index, depth);
        default: return make_nil();
    }
}

void push_single(lua_State* lua, const char* name, std::string_view text) {
    lua_createtable(lua, 0, 1);
    push_text(lua, text);
    lua_setfield(lua, -2, name);
}

}  // namespace

void push_text(lua_State* lua, std::string_view text) { lua_pushlstring(lua, text.data(), text.size()); }

void push_error(lua_State* lua, std::string_view text) { push_single(lua, "err", text); }

std::string_view text_at(lua_State* lua, int index) {
    std::size_t size = 0;
    const char* text = lua_tolstring(lua, index, &size);
    return {text, size};
}

void write_number(lua_State* lua, int index) {
    push_text(lua, to_decimal(lua_tonumber(lua, index)));
    lua_replace(lua, index);
}

void push_reply(lua_State* lua, const wire::reply& said) {
    using kind = wire::reply::kind;
    luaL_checkstack(lua, 4, "too deep a reply");
    switch (said.type) {
        case kind::nil: lua_pushboolean(lua, 0); return;
        case kind::integer: lua_pushnumber(lua, static_cast<lua_Number>(said.integer)); return;
        case kind::text: push_text(lua, said.text); return;
        case kind::status: push_single(lua, "ok", said.text); return;
        case kind::failure: push_error(lua, said.text); return;
        case kind::array:
        case kind::push: break;
    }
    lua_createtable(lua, static_cast<int>(said.items.size()), 0);
    for (std::size_t i = 0; i < said.items.size(); ++i) {
        push_reply(lua, said.items[i]);
        lua_rawseti(lua, -2, static_cast<int>(i + 1));
    }
}

wire::reply to_reply(lua_State* lua, int index) { return to_reply_at(lua, index, 0); }

}  // namespace redislock::memory
