# Run at build time (cmake -P): writes HEADER, which holds each FOLDER/*.lua as a constant of type
# redislock::engine::script, named like the file, with the SHA1 under which a server knows it.
# A line "-- include NAME" stands for the file NAME.lua beside it.
# A file's bytes are passed through quoted variables only, where neither semicolons, brackets nor
# backslashes mean anything.

file(GLOB paths "${FOLDER}/*.lua") # in lexical order
set(header "// Made from src/${LAYER}/*.lua by cmake/embed_lua.cmake; change those.
#pragma once

#include \"engine/script.hpp\"

namespace redislock::${LAYER}::scripts {
")
foreach(path IN LISTS paths)
  cmake_path(GET path STEM name)
  if(NOT name MATCHES "^[a-z_][a-z0-9_]*$")
    message(FATAL_ERROR "${path}: its name becomes a C++ constant and must be in snake_case")
  endif()
  file(READ "${path}" body)
  file(SHA1 "${path}" sha1)
  string(SHA1 read_sha1 "${body}")
  if(NOT sha1 STREQUAL read_sha1)
    message(FATAL_ERROR "${path}: holds bytes that cannot be embedded (a NUL?)")
  endif()
  string(REGEX MATCHALL "-- include [a-z_]+\n" includes "${body}")
  foreach(line IN LISTS includes)
    string(REGEX REPLACE "-- include ([a-z_]+)\n" "\\1" other "${line}")
    file(READ "${FOLDER}/${other}.lua" part)
    string(REPLACE "${line}" "${part}" body "${body}")
  endforeach()
  string(SHA1 sha1 "${body}")
  string(FIND "${body}" ")lua\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${path}: ends the raw string that holds it, with )lua\"")
  endif()
  string(APPEND header "
inline constexpr ::redislock::engine::script ${name}{
    \"${name}\",
    \"${sha1}\",
    R\"lua(${body})lua\"};
")
endforeach()
string(APPEND header "
}  // namespace redislock::${LAYER}::scripts
")
file(WRITE "${HEADER}" "${header}")
