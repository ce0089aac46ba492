#include "types/error.hpp"

namespace redislock {

std::string_view to_string(errc code) noexcept {
    switch (code) {
        case errc::invalid_argument: return "invalid_argument";
        case errc::configuration: return "configuration";
        case errc::connection_failed: return "connection_failed";
        case errc::timed_out: return "timed_out";
        case errc::outcome_unknown: return "outcome_unknown";
        case errc::protocol: return "protocol";
        case errc::authentication: return "authentication";
        case errc::no_permission: return "no_permission";
        case errc::server_refused: return "server_refused";
        case errc::redirected: return "redirected";
        case errc::corrupt_balance: return "corrupt_balance";
        case errc::wrong_type: return "wrong_type";
        case errc::idempotency_mismatch: return "idempotency_mismatch";
        case errc::lane_lost: return "lane_lost";
        case errc::cancelled: return "cancelled";
        case errc::closed: return "closed";
    }
    return "unknown";
}

}  // namespace redislock
