#include "wire/build_info.hpp"

#include "wire/hiredis.hpp"

#if REDISLOCK_TLS
#include <openssl/crypto.h>
#endif

namespace redislock::wire {

std::string hiredis_version() {
    return std::to_string(HIREDIS_MAJOR) + "." + std::to_string(HIREDIS_MINOR) + "." +
           std::to_string(HIREDIS_PATCH);
}

std::string tls_version() {
#if REDISLOCK_TLS
    return OpenSSL_version(OPENSSL_VERSION);
#else
    return {};
#endif
}

}  // namespace redislock::wire
