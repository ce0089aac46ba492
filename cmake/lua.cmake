# The Lua interpreter of memory:// as the target redislock_lua: 5.1, the version that servers run.
#
# By default the sources of 5.1.5 are fetched by pip, from the sdist that cmake/lua-sdist.txt pins.
# They are compiled as C++, so that an error of a script is an exception, which runs destructors on
# its way. Packagers set REDISLOCK_SYSTEM_LUA=ON.

add_library(redislock_lua INTERFACE)

if(REDISLOCK_SYSTEM_LUA)
  find_package(PkgConfig REQUIRED)
  pkg_search_module(lua51 REQUIRED IMPORTED_TARGET lua5.1 lua-5.1 lua51)
  target_link_libraries(redislock_lua INTERFACE PkgConfig::lua51)
  target_compile_definitions(redislock_lua INTERFACE REDISLOCK_SYSTEM_LUA=1)
  message(STATUS "redislock: Lua, the system's ${lua51_VERSION}")
else()
  # Asked for its metadata, lupa's setup.py would otherwise build a whole LuaJIT.
  redislock_fetch_sdist(lua sdist PATTERN "*/third-party/lua51/src/*"
    ENVIRONMENT LUPA_NO_LUAJIT=true
    OTHERWISE "use the system's with -DREDISLOCK_SYSTEM_LUA=ON")
  set(source "${sdist}/third-party/lua51/src")
  # The core, and what a script may use: base, string, table and math; neither io nor os.
  set(lua_sources lapi lauxlib lbaselib lcode ldebug ldo ldump lfunc lgc llex lmathlib lmem lobject
    lopcodes lparser lstate lstring lstrlib ltable ltablib ltm lundump lvm lzio)
  list(TRANSFORM lua_sources PREPEND "${source}/")
  list(TRANSFORM lua_sources APPEND ".c")
  set_source_files_properties(${lua_sources} PROPERTIES LANGUAGE CXX)
  add_library(redislock_lua_static STATIC ${lua_sources})
  target_compile_options(redislock_lua_static PRIVATE -w)
  set_target_properties(redislock_lua_static PROPERTIES CXX_STANDARD 14) # `register` is gone from 17
  target_include_directories(redislock_lua SYSTEM INTERFACE "${source}")
  target_link_libraries(redislock_lua INTERFACE redislock_lua_static)
endif()
