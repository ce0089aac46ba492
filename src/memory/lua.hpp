// The one place where Lua's headers come in. Fetched sources are compiled as C++, and so are their
// names; a system's library has C names.
#pragma once

#ifdef REDISLOCK_SYSTEM_LUA
extern "C" {
#endif
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#ifdef REDISLOCK_SYSTEM_LUA
}
#endif
