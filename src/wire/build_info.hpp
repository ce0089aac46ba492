// Which libraries this build speaks with.
#pragma once

#include <string>

namespace redislock::wire {

/// "1.5.0"
std::string hiredis_version();

/// OpenSSL's version line; empty where this build cannot speak TLS.
std::string tls_version();

}  // namespace redislock::wire
