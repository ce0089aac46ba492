// One mutex of a memory:// server as a Python lock takes it time and again: everything is ready, so that
// taking and giving back what nobody else wants costs little more than two calls.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "bindings/hold.hpp"
#include "locks/at_once.hpp"

namespace redislock::bindings {

struct local_mutex {
    std::shared_ptr<locks::local_server> server;
    access_ptr keepers;
    std::shared_ptr<const locks::target> what;
    locks::terms rules;
    std::string client_name;
    std::shared_ptr<std::atomic<bool>> closed;  ///< the client is
    py::object timeout, auto_renew, max_hold;  ///< what the terms were made of, to see that they were changed
};

/// `_core.LocalMutex`.
py::handle local_mutex_type();
py::object wrap(local_mutex which);

}  // namespace redislock::bindings
