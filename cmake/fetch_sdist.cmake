# redislock_fetch_sdist(<package> <out> PATTERN <glob> OTHERWISE <text> [ENVIRONMENT <VAR=value>...]):
# the folder of a PyPI sdist, fetched by pip and hash-checked as cmake/<package>-sdist.txt pins it, so
# that mirrors, proxies, PIP_FIND_LINKS and pip's cache work. Only what matches PATTERN is unpacked.
# Fetched again only after the pin has changed. OTHERWISE tells what to do without a network.

# An older interpreter than the module needs is good enough to fetch with.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)

function(redislock_fetch_sdist package out)
  cmake_parse_arguments(arg "" "PATTERN;OTHERWISE" "ENVIRONMENT" ${ARGN})
  set(requirement "${PROJECT_SOURCE_DIR}/cmake/${package}-sdist.txt")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${requirement}")
  set(folder "${PROJECT_BINARY_DIR}/${package}")
  file(STRINGS "${requirement}" pin REGEX "^[a-z]+==")
  string(REGEX REPLACE "==.*" "" sdist_name "${pin}")
  file(SHA256 "${requirement}" wanted)
  set(stamp "${folder}/${wanted}")
  if(NOT EXISTS "${stamp}")
    file(REMOVE_RECURSE "${folder}")
    file(MAKE_DIRECTORY "${folder}")
    # pip asks the sdist for its metadata. Inside pip's isolated build setuptools is at hand; a
    # plain CMake build may have none, or one that is too old, and lets pip find its own.
    execute_process(COMMAND "${Python_EXECUTABLE}" -c
      "import setuptools; raise SystemExit(tuple(map(int, setuptools.__version__.split('.')[:2])) < (70, 1))"
      RESULT_VARIABLE no_setuptools OUTPUT_QUIET ERROR_QUIET)
    if(no_setuptools)
      set(isolation "")
    else()
      set(isolation --no-build-isolation)
    endif()
    message(STATUS "${package}: fetching the pinned sources with pip")
    execute_process(
      COMMAND "${CMAKE_COMMAND}" -E env --unset=PIP_CONSTRAINT ${arg_ENVIRONMENT}
        "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-deps
        --no-binary ${sdist_name} ${isolation} --require-hashes -r "${requirement}" -d "${folder}"
      RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
    file(GLOB sdist "${folder}/${sdist_name}-*.tar.gz")
    if(failed OR NOT sdist)
      message(FATAL_ERROR "pip could not fetch ${package}'s sources:\n${said}\n"
        "Without a network, point PIP_FIND_LINKS at a folder that holds the sdist named in "
        "cmake/${package}-sdist.txt, or ${arg_OTHERWISE}.")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${sdist}" DESTINATION "${folder}" PATTERNS "${arg_PATTERN}")
    file(TOUCH "${stamp}")
  endif()
  file(GLOB unpacked LIST_DIRECTORIES true "${folder}/${sdist_name}-*")
  list(FILTER unpacked EXCLUDE REGEX "\\.tar\\.gz$")
  set(${out} "${unpacked}" PARENT_SCOPE)
endfunction()
