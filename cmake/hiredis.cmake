# C hiredis as the target redislock_hiredis, and whether there is TLS (REDISLOCK_TLS, defined as 1
# for all layers where there is).
#
# By default the sources of 1.5.0 are fetched by pip, from the sdist that cmake/hiredis-sdist.txt pins.
# Packagers set REDISLOCK_SYSTEM_HIREDIS=ON.

if(APPLE) # Homebrew keeps OpenSSL out of the way of the system's
  list(APPEND CMAKE_PREFIX_PATH /opt/homebrew/opt/openssl@3 /usr/local/opt/openssl@3)
endif()

add_library(redislock_hiredis INTERFACE)
set(REDISLOCK_TLS OFF)

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
  redislock_fetch_sdist(hiredis sdist PATTERN "*/vendor/hiredis/*"
    OTHERWISE "use the system's with -DREDISLOCK_SYSTEM_HIREDIS=ON")
  set(vendor "${sdist}/vendor")
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
