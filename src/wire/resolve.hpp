// Host names to numeric addresses without blocking the caller: numbers and "localhost" at once,
// other names in a short-lived thread, since the system offers no other way.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "types/result.hpp"

namespace redislock::wire {

/// Numeric addresses of a host, in the order in which to try them.
using addresses = std::vector<std::string>;

/// A lookup under way. The thread behind it holds its own share of this state and never touches
/// anything else, so that it may be abandoned at any time.
class lookup {
public:
    /// Starts looking. `notify` is called once from another thread when the answer is there; not
    /// called where the answer is there at once.
    static std::shared_ptr<lookup> start(const std::string& host, std::function<void()> notify);

    bool ready() const;
    result<addresses> take();

private:
    mutable std::mutex mutex_;
    bool ready_ = false;
    result<addresses> answer_ = addresses{};
};

}  // namespace redislock::wire
