# C hiredis as the target redislock_hiredis, and whether there is TLS (REDISLOCK_TLS, defined as 1
# for all layers where there is).
#
# By default the sources of 1.5.0 are fetched by pip, hash-checked, from the sdist that
# cmake/hiredis-sdist.txt pins, so that mirrors, proxies, PIP_FIND_LINKS and pip's cache work.
# Packagers set REDISLOCK_SYSTEM_HIREDIS=ON.

# An older interpreter than the module needs is good enough to fetch with.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)

if(APPLE) # Homebrew keeps OpenSSL out of the way of the system's
  list(APPEND CMAKE_PREFIX_PATH /opt/homebrew/opt/openssl@3 /usr/local/opt/openssl@3)
endif()

add_library(redislock_hiredis INTERFACE)
set(REDISLOCK_TLS OFF)

function(redislock_fetch_hiredis out)
  set(requirement "${PROJECT_SOURCE_DIR}/cmake/hiredis-sdist.txt")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${requirement}")
  set(folder "${PROJECT_BINARY_DIR}/hiredis")
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
    message(STATUS "hiredis: fetching the pinned sources with pip")
    execute_process(
      COMMAND "${CMAKE_COMMAND}" -E env --unset=PIP_CONSTRAINT
        "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-deps
        --no-binary hiredis ${isolation} --require-hashes -r "${requirement}" -d "${folder}"
      RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
    file(GLOB sdist "${folder}/hiredis-*.tar.gz")
    if(failed OR NOT sdist)
      message(FATAL_ERROR "pip could not fetch hiredis's sources:\n${said}\n"
        "Without a network, point PIP_FIND_LINKS at a folder that holds the sdist named in "
        "cmake/hiredis-sdist.txt, or use the system's with -DREDISLOCK_SYSTEM_HIREDIS=ON.")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${sdist}" DESTINATION "${folder}" PATTERNS "*/vendor/hiredis/*")
    file(TOUCH "${stamp}")
  endif()
  file(GLOB vendor "${folder}/hiredis-*/vendor")
  set(${out} "${vendor}" PARENT_SCOPE)
endfunction()

if(REDISLOCK_SYSTEM_HIREDIS)
  # pkg-config and not hiredis's CMake config: some distributions ship one that defines no target.
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET "hiredis>=1.2")
  pkg_get_variable(hiredis_includedir hiredis includedir)
  target_link_libraries(redislock_hiredis INTERFACE PkgConfig::hiredis)
  target_include_directories(redislock_hiredis SYSTEM INTERFACE "${hiredis_includedir}")
  set(hiredis_what "the system's ${hiredis_VERSION}")
  if(REDISLOCK_USE_TLS)
    find_package(OpenSSL)
    pkg_check_modules(hiredis_ssl IMPORTED_TARGET "hiredis_ssl>=1.2")
    if(OPENSSL_FOUND AND hiredis_ssl_FOUND)
      target_link_libraries(redislock_hiredis INTERFACE PkgConfig::hiredis_ssl)
      set(REDISLOCK_TLS ON)
    endif()
  endif()
else()
  redislock_fetch_hiredis(vendor)
  set(source "${vendor}/hiredis")
  # async.c includes dict.c itself.
  add_library(redislock_hiredis_static STATIC
    ${source}/alloc.c ${source}/async.c ${source}/hiredis.c ${source}/net.c ${source}/read.c
    ${source}/sds.c ${source}/sockcompat.c)
  target_compile_options(redislock_hiredis_static PRIVATE -w)
  # Written <hiredis/hiredis.h>, as the system's are.
  target_include_directories(redislock_hiredis SYSTEM INTERFACE "${vendor}")
  target_link_libraries(redislock_hiredis INTERFACE redislock_hiredis_static)
  set(hiredis_what "1.5.0, linked in")
  if(REDISLOCK_USE_TLS)
    find_package(OpenSSL)
    if(OPENSSL_FOUND)
      target_sources(redislock_hiredis_static PRIVATE ${source}/ssl.c)
      target_link_libraries(redislock_hiredis_static PRIVATE OpenSSL::SSL)
      set(REDISLOCK_TLS ON)
    endif()
  endif()
endif()

if(REDISLOCK_TLS)
  target_compile_definitions(redislock_settings INTERFACE REDISLOCK_TLS=1)
  target_link_libraries(redislock_hiredis INTERFACE OpenSSL::SSL OpenSSL::Crypto)
  message(STATUS "redislock: hiredis ${hiredis_what}; TLS on (OpenSSL ${OPENSSL_VERSION})")
else()
  message(STATUS "redislock: hiredis ${hiredis_what}; TLS off: rediss:// will be refused. "
    "For TLS install OpenSSL's headers (Debian: libssl-dev) and build again")
endif()
