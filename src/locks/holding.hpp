// What can be done with a lock that is held, as coroutines: give it back, extend it, ask whose it is,
// wait for its loss. What is passed by reference must outlive the task.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/context.hpp"
#include "engine/task.hpp"
#include "locks/hold.hpp"
#include "locks/keeper.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

/// Gives it back; true if it was ours until then. After a lost answer a repetition that finds nothing
/// counts as ours only where the lease cannot have ended meanwhile.
engine::task<result<bool>> release(engine::context& with, access& keepers, hold& which);

/// The same with a token alone, also to leave the line.
engine::task<result<bool>> release(engine::context& with, const target& what, const std::string& token);

/// Extends to `lease` from now on, or by it where `adding`; false where it is not ours.
engine::task<result<bool>> extend(engine::context& with, const target& what, const std::string& token,
                                  nanos lease, bool adding);
engine::task<result<bool>> extend(engine::context& with, access& keepers, hold& which, nanos lease,
                                  bool adding);

/// The token of a mutex's holder, if there is one.
engine::task<result<std::optional<std::string>>> holder(engine::context& with, const std::string& name);

/// Waits until it is lost; false when `patience` is over before, or it was released.
engine::task<result<bool>> wait_lost(engine::context& with, std::shared_ptr<hold> which, nanos patience);

}  // namespace redislock::locks
