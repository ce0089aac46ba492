#include "memory/script_library.hpp"

#include <array>
#include <string>

#include "memory/commands.hpp"
#include "memory/script_values.hpp"
#include "memory/sha1.hpp"

namespace redislock::memory {
namespace {

const char globals_key = 0;  // its address is a key in Lua's registry

script_surroundings& around(lua_State* lua) {
    return *static_cast<script_surroundings*>(lua_touserdata(lua, lua_upvalueindex(1)));
}

// --- redis.* ------------------------------------------------------------------------------------

// The arguments as words: numbers are rewritten in place. False where one is neither.
bool take_words(lua_State* lua, word_list& words) {
    words.clear();
    const int count = lua_gettop(lua);
    for (int i = 1; i <= count; ++i) {
        const int type = lua_type(lua, i);
        if (type == LUA_TNUMBER) write_number(lua, i);
        else if (type != LUA_TSTRING) return false;
        words.push_back(text_at(lua, i));
    }
    return true;
}

// Leaves the reply on the stack; false where it is an error.
bool run_command(lua_State* lua) {
    auto& here = around(lua);
    const auto refuse = [&](std::string_view why) {
        push_error(lua, why);
        return false;
    };
    if (lua_gettop(lua) == 0) return refuse("ERR Please specify at least one argument for this call");
    if (!take_words(lua, here.words)) return refuse("ERR Command arguments must be strings or integers");
    const command* found = find_command(here.words[0]);
    if (found == nullptr) return refuse("ERR Unknown command called from script");
    if (!found->takes(here.words.size())) {
        return refuse("ERR Wrong number of args calling command from script");
    }
    if (found->where != place::anywhere) return refuse("ERR This command is not allowed from script");
    call one{here.server, *here.by, here.words, true};
    const wire::reply said = found->run(one);
    push_reply(lua, said);
    return !said.is_failure();
}

int redis_call(lua_State* lua) { return run_command(lua) ? 1 : lua_error(lua); }

int redis_pcall(lua_State* lua) {
    run_command(lua);
    return 1;
}

// "-CODE text" loses the hyphen; a word alone is no code.
int error_reply(lua_State* lua) {
    if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING) {
        push_error(lua, "ERR wrong number or type of arguments");
        return 1;
    }
    std::string_view text = text_at(lua, 1);
    if (text.starts_with('-')) text.remove_prefix(1);
    if (text.find(' ') != std::string_view::npos) push_error(lua, text);
    else push_error(lua, "ERR " + std::string(text));
    return 1;
}

int status_reply(lua_State* lua) {
    if (lua_gettop(lua) != 1 || lua_type(lua, 1) != LUA_TSTRING) {
        push_error(lua, "ERR wrong number or type of arguments");
        return 1;
    }
    lua_createtable(lua, 0, 1);
    lua_pushvalue(lua, 1);
    lua_setfield(lua, -2, "ok");
    return 1;
}

int raise(lua_State* lua, const char* why) {
    push_error(lua, why);
    return lua_error(lua);
}

int sha1hex(lua_State* lua) {
    if (lua_gettop(lua) != 1) return raise(lua, "ERR wrong number of arguments");
    push_text(lua, sha1_of(text_at(lua, 1)));
    return 1;
}

// The core prints nothing, whatever the level.
int log_nothing(lua_State* lua) {
    if (lua_gettop(lua) < 2) return raise(lua, "ERR redis.log() requires two arguments or more.");
    if (lua_isnumber(lua, 1) == 0) {
        return raise(lua, "ERR First argument must be a number (log level).");
    }
    const lua_Number level = lua_tonumber(lua, 1);
    if (level < 0 || level > 3) return raise(lua, "ERR Invalid log level.");
    return 0;
}

int setresp(lua_State* lua) {
    if (lua_gettop(lua) != 1) return raise(lua, "ERR redis.setresp() requires one argument.");
    if (lua_tonumber(lua, 1) != 2) return raise(lua, "ERR RESP version must be 2");
    return 0;
}

// --- globals that behave otherwise than Lua's ----------------------------------------------------

// Errors that are tables of redis.call come as their texts, as on a server.
int protected_call(lua_State* lua) {
    luaL_checkany(lua, 1);
    const bool failed = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0) != 0;
    if (failed && lua_istable(lua, -1)) {
        lua_getfield(lua, -1, "err");
        if (lua_isstring(lua, -1) != 0) lua_replace(lua, -2);
        else lua_pop(lua, 1);
    }
    lua_pushboolean(lua, failed ? 0 : 1);
    lua_insert(lua, 1);
    return lua_gettop(lua);
}

// The handler is called after the failed function has been left. Lua calls it before, which for an
// error of a hook is a moment at which no hook can stop it.
int handled_call(lua_State* lua) {
    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    lua_insert(lua, 1);
    const bool failed = lua_pcall(lua, 0, LUA_MULTRET, 0) != 0;
    if (failed) {
        lua_pcall(lua, 1, 1, 0);
        lua_pushboolean(lua, 0);
        lua_insert(lua, 1);
        return 2;
    }
    lua_pushboolean(lua, 1);
    lua_replace(lua, 1);
    return lua_gettop(lua);
}

// No bytecode: the interpreter trusts it.
int load_text(lua_State* lua) {
    std::size_t size = 0;
    const char* text = luaL_checklstring(lua, 1, &size);
    const char* name = luaL_optstring(lua, 2, text);
    if (size == 0 || text[0] != LUA_SIGNATURE[0]) {
        if (luaL_loadbuffer(lua, text, size, name) == 0) return 1;
    } else {
        lua_pushliteral(lua, "this is no text of a script");
    }
    lua_pushnil(lua);
    lua_insert(lua, -2);
    return 2;
}

// One script must not change how the others' memory is managed.
int collect_garbage(lua_State* lua) {
    const std::string_view what = luaL_optstring(lua, 1, "collect");
    lua_pushnumber(lua, what == "count" ? lua_gc(lua, LUA_GCCOUNT, 0) : 0);
    return 1;
}

int refuse_change(lua_State* lua) { return luaL_error(lua, "Attempt to modify a readonly table"); }

int set_raw(lua_State* lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    if (lua_getmetatable(lua, 1) != 0) {
        lua_getfield(lua, -1, "__newindex");
        if (lua_tocfunction(lua, -1) == refuse_change) {
            lua_pushliteral(lua, "Attempt to modify a readonly table");
            return lua_error(lua);
        }
    }
    lua_settop(lua, 3);
    lua_rawset(lua, 1);
    return 1;
}

int refuse_unknown(lua_State* lua) {
    const char* name = lua_tostring(lua, 2);
    return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'",
                      name != nullptr ? name : luaL_typename(lua, 2));
}

// --- making them --------------------------------------------------------------------------------

void open_library(lua_State* lua, lua_CFunction open, const char* name) {
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
}

void add_function(lua_State* lua, const char* name, lua_CFunction which, void* upvalue) {
    lua_pushlightuserdata(lua, upvalue);
    lua_pushcclosure(lua, which, 1);
    lua_setfield(lua, -2, name);
}

// Replaces the table on top by one that is empty and answers with its fields, but takes none.
void guard_table(lua_State* lua) {
    lua_newtable(lua);
    lua_createtable(lua, 0, 3);
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, refuse_change);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_remove(lua, -2);
}

void push_redis(lua_State* lua, script_surroundings& here) {
    struct named_function {
        const char* name;
        lua_CFunction which;
    };
    static constexpr std::array<named_function, 7> functions{{{"call", redis_call},
                                                              {"pcall", redis_pcall},
                                                              {"error_reply", error_reply},
                                                              {"status_reply", status_reply},
                                                              {"sha1hex", sha1hex},
                                                              {"log", log_nothing},
                                                              {"setresp", setresp}}};
    static constexpr std::array<const char*, 4> levels{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE",
                                                       "LOG_WARNING"};
    lua_newtable(lua);
    for (const auto& each : functions) add_function(lua, each.name, each.which, &here);
    for (std::size_t i = 0; i < levels.size(); ++i) {
        lua_pushnumber(lua, static_cast<lua_Number>(i));
        lua_setfield(lua, -2, levels[i]);
    }
}

// math.random would draw from the generator of the whole process.
void take_away(lua_State* lua) {
    for (const char* name :
         {"dofile", "load", "loadfile", "newproxy", "print", "getfenv", "setfenv", "gcinfo"}) {
        lua_pushnil(lua);
        lua_setfield(lua, LUA_GLOBALSINDEX, name);
    }
    lua_getfield(lua, LUA_GLOBALSINDEX, "math");
    for (const char* name : {"random", "randomseed"}) {
        lua_pushnil(lua);
        lua_setfield(lua, -2, name);
    }
    lua_pop(lua, 1);
}

// Globals are looked up in three steps: an empty table that takes nothing, the real one, an error.
void guard_globals(lua_State* lua) {
    for (const char* name : {"string", "table", "math", "coroutine", "redis"}) {
        lua_getfield(lua, LUA_GLOBALSINDEX, name);
        guard_table(lua);
        lua_setfield(lua, LUA_GLOBALSINDEX, name);
    }
    lua_pushliteral(lua, "");
    lua_getmetatable(lua, -1);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 2);

    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, refuse_unknown);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
    lua_pushlightuserdata(lua, const_cast<char*>(&globals_key));
    lua_pushvalue(lua, -2);
    lua_rawset(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, -1);
    guard_table(lua);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, -3, "_G");
    lua_replace(lua, LUA_GLOBALSINDEX);  // what is loaded from now on sees this one
    lua_pop(lua, 1);
}

}  // namespace

void open_script_library(lua_State* lua, script_surroundings& around) {
    open_library(lua, luaopen_base, "");
    open_library(lua, luaopen_string, LUA_STRLIBNAME);
    open_library(lua, luaopen_table, LUA_TABLIBNAME);
    open_library(lua, luaopen_math, LUA_MATHLIBNAME);
    take_away(lua);
    push_redis(lua, around);
    lua_setfield(lua, LUA_GLOBALSINDEX, "redis");
    lua_pushvalue(lua, LUA_GLOBALSINDEX);
    add_function(lua, "pcall", protected_call, nullptr);
    add_function(lua, "xpcall", handled_call, nullptr);
    add_function(lua, "loadstring", load_text, nullptr);
    add_function(lua, "collectgarbage", collect_garbage, nullptr);
    add_function(lua, "rawset", set_raw, nullptr);
    lua_pop(lua, 1);
    guard_globals(lua);
}

void set_script_global(lua_State* lua, const char* name) {
    lua_pushlightuserdata(lua, const_cast<char*>(&globals_key));
    lua_rawget(lua, LUA_REGISTRYINDEX);
    lua_insert(lua, -2);
    lua_pushstring(lua, name);
    lua_insert(lua, -2);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
}

int locate_error(lua_State* lua) {
    lua_settop(lua, 1);
    std::string text;
    if (lua_istable(lua, 1)) {
        lua_pushliteral(lua, "err");
        lua_rawget(lua, 1);
        text = lua_type(lua, -1) == LUA_TSTRING ? std::string(text_at(lua, -1)) : "ERR unknown error";
    } else if (lua_isstring(lua, 1) != 0) {
        text = "ERR " + std::string(text_at(lua, 1));
    } else {
        text = std::string("ERR ") + (lua_isboolean(lua, 1) ? (lua_toboolean(lua, 1) != 0 ? "true" : "false")
                                                            : luaL_typename(lua, 1));
    }
    push_error(lua, text);
    lua_Debug at{};
    // The function that failed, or who called it, if that is one of the library.
    if (lua_getstack(lua, 1, &at) != 0 && lua_getinfo(lua, "Sl", &at) != 0 && *at.what == 'C' &&
        lua_getstack(lua, 2, &at) != 0) {
        lua_getinfo(lua, "Sl", &at);
    }
    lua_pushstring(lua, at.source != nullptr ? at.source : "");
    lua_setfield(lua, -2, "source");
    lua_pushnumber(lua, at.currentline);
    lua_setfield(lua, -2, "line");
    return 1;
}

}  // namespace redislock::memory
