// A Lua script as the server knows it.
#pragma once

#include <string_view>

namespace redislock::engine {

struct script {
    std::string_view name;
    std::string_view sha1;  ///< of the body, 40 hexadecimal digits
    std::string_view body;
};

}  // namespace redislock::engine
