# The extension module redislock._core, its stubs, and what gets installed.

if(NOT Python_Development.Module_FOUND)
  message(FATAL_ERROR "Python's headers are missing (Debian: python3-dev)")
endif()
# Asked of the interpreter each time: a cached place may be that of an earlier, isolated build.
execute_process(COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir
  OUTPUT_VARIABLE pybind11_cmakedir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(pybind11_cmakedir)
  set(pybind11_DIR "${pybind11_cmakedir}" CACHE PATH "" FORCE)
endif()
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 3.0 CONFIG REQUIRED)

file(GLOB bindings CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/bindings/*.cpp")
if(NOT bindings)
  message(FATAL_ERROR "src/bindings has no sources; configure with -DREDISLOCK_MODULE=OFF")
endif()
# NO_EXTRAS: stripping is the install step's, link-time optimization is measured before it is used.
pybind11_add_module(redislock_core MODULE NO_EXTRAS ${bindings})
target_link_libraries(redislock_core PRIVATE redislock_load redislock_coordination redislock_stock redislock_settings)
set_target_properties(redislock_core PROPERTIES OUTPUT_NAME _core
  LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/stage/redislock")
if(NOT APPLE)
  # hiredis-py may carry its own copy into the same process; ours must not be mixed with it.
  target_link_options(redislock_core PRIVATE -Wl,--exclude-libs,ALL)
endif()
install(TARGETS redislock_core LIBRARY DESTINATION redislock COMPONENT redislock)

# Type checkers read the stubs only where this file stands beside them.
file(WRITE "${PROJECT_BINARY_DIR}/stage/redislock/py.typed" "")
install(FILES "${PROJECT_BINARY_DIR}/stage/redislock/py.typed" DESTINATION redislock)

# Stubs: the module is imported from a package that holds it and, for what the bindings import
# lazily, the Python sources, but whose __init__ is empty.
if(CMAKE_CROSSCOMPILING)
  message(STATUS "redislock: cross-compiling, so no stubs: the module cannot be imported here")
elseif(REDISLOCK_SANITIZE)
  message(STATUS "redislock: no stubs: a sanitized module needs its runtime loaded first")
else()
  file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/stage/redislock/__init__.py"
    CONTENT "__path__.append(r'${PROJECT_SOURCE_DIR}/python/redislock')\n" @ONLY)
  set(stub "${PROJECT_BINARY_DIR}/stubs/redislock/_core.pyi")
  set(program "${PROJECT_SOURCE_DIR}/cmake/make_stubs.py")
  add_custom_command(OUTPUT "${stub}"
    COMMAND "${Python_EXECUTABLE}" -B "${program}"
      "${PROJECT_BINARY_DIR}/stage" "${PROJECT_BINARY_DIR}/stubs"
    DEPENDS redislock_core "${program}"
    COMMENT "Writing the stubs of redislock._core" VERBATIM)
  add_custom_target(redislock_stubs ALL DEPENDS "${stub}")
  install(FILES "${stub}" DESTINATION redislock COMPONENT redislock)
endif()
