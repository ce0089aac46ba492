# What every target of ours is compiled with: the interface target redislock_settings.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # all of it ends up in one shared module
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
# What the sanitizers build: quick enough to test with, assertions kept.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g")
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# Sanitizers watch everything that is linked in, hiredis included.
if(REDISLOCK_SANITIZE)
  add_compile_options(-fsanitize=${REDISLOCK_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${REDISLOCK_SANITIZE})
  if(REDISLOCK_SANITIZE MATCHES "thread")
    # Thread-local variables of a module that is loaded late live in memory that the dynamic loader
    # frees, unseen by ThreadSanitizer, which then takes the next use of it for a race.
    add_compile_options(-ftls-model=initial-exec)
  endif()
endif()

add_library(redislock_settings INTERFACE)
target_include_directories(redislock_settings INTERFACE
  "${PROJECT_SOURCE_DIR}/src" "${PROJECT_BINARY_DIR}/generated")
target_compile_definitions(redislock_settings INTERFACE
  REDISLOCK_VERSION="${PROJECT_VERSION}"
  REDISLOCK_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
target_link_libraries(redislock_settings INTERFACE Threads::Threads)

if(REDISLOCK_DEVELOPER)
  target_compile_options(redislock_settings INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Werror)
  target_compile_definitions(redislock_settings INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
endif()
