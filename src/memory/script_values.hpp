// Replies as Lua values and back, by the rules of a server that speaks protocol 2 to its scripts.
// https://redis.io/docs/latest/develop/programmability/lua-api/#data-type-conversion
// These functions may raise a Lua error: to be called within a protected call.
#pragma once

#include <string_view>

#include "memory/lua.hpp"
#include "wire/reply.hpp"

namespace redislock::memory {

void push_text(lua_State* lua, std::string_view text);
void push_reply(lua_State* lua, const wire::reply& said);
/// The value at an index, which must be positive.
wire::reply to_reply(lua_State* lua, int index);
/// {err = text}
void push_error(lua_State* lua, std::string_view text);
/// The text at an index that holds a string.
std::string_view text_at(lua_State* lua, int index);
/// A number as a command's argument, in place of the number.
void write_number(lua_State* lua, int index);

}  // namespace redislock::memory
