// SHA1, under which servers know scripts. Not for anything that must withstand an attack.
// https://datatracker.ietf.org/doc/html/rfc3174
#pragma once

#include <string>
#include <string_view>

namespace redislock::memory {

/// 40 hexadecimal digits, in small letters.
std::string sha1_of(std::string_view text);

}  // namespace redislock::memory
