# redislock_layer(<name> [USES <layer>...]): the static library redislock_<name> of all
# src/<name>/*.cpp, linked to the layers it may use. A layer that has headers only, or nothing yet,
# is an interface target. Its *.lua files become constants, see embed_lua.cmake.
#
# The link order cannot stop an #include of a layer to the right, since all share one include root;
# a test looks at the includes.

add_custom_target(redislock_scripts) # all that is generated, for tools that read the sources

function(redislock_layer name)
  cmake_parse_arguments(arg "" "" "USES" ${ARGN})
  set(target redislock_${name})
  list(TRANSFORM arg_USES PREPEND redislock_)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC redislock_settings ${arg_USES})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE redislock_settings ${arg_USES})
  endif()
  redislock_embed_lua(${target} ${name})
endfunction()

# Links what only this layer may include; whoever links the layer links it too, without its headers.
function(redislock_link_privately name library)
  get_target_property(type redislock_${name} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    target_link_libraries(redislock_${name} PRIVATE ${library})
  endif()
endfunction()

# Makes <name>/scripts.hpp out of src/<name>/*.lua, in the build tree.
function(redislock_embed_lua target name)
  set(folder "${PROJECT_SOURCE_DIR}/src/${name}")
  file(GLOB scripts CONFIGURE_DEPENDS "${folder}/*.lua")
  if(NOT scripts)
    return()
  endif()
  set(header "${PROJECT_BINARY_DIR}/generated/${name}/scripts.hpp")
  set(program "${PROJECT_SOURCE_DIR}/cmake/embed_lua.cmake")
  # The list itself is an input: a script that was taken away must leave the header too.
  set(listing "${PROJECT_BINARY_DIR}/generated/${name}/scripts.txt")
  file(CONFIGURE OUTPUT "${listing}" CONTENT "${scripts}\n")
  add_custom_command(OUTPUT "${header}"
    COMMAND "${CMAKE_COMMAND}" -DLAYER=${name} "-DFOLDER=${folder}" "-DHEADER=${header}"
      -P "${program}"
    DEPENDS ${scripts} "${program}" "${listing}"
    COMMENT "Embedding the Lua scripts of ${name}" VERBATIM)
  add_custom_target(${target}_scripts DEPENDS "${header}")
  add_dependencies(${target} ${target}_scripts)
  add_dependencies(redislock_scripts ${target}_scripts)
endfunction()
