// Mutexes of a miniature server that nobody else wants: native twins of what the scripts of locks do
// then, for callers who need no reply to a request.
#pragma once

#include <memory>

#include "locks/at_once.hpp"
#include "memory/server.hpp"

namespace redislock::memory {

class local_mutexes final : public locks::local_server {
public:
    explicit local_mutexes(std::shared_ptr<server> home) noexcept : home_(std::move(home)) {}

    std::optional<taken> take(const locks::lock_keys& which, std::string_view token, nanos lease) override;
    bool give_back(const locks::lock_keys& which, std::string_view token) override;

private:
    std::shared_ptr<server> home_;
};

}  // namespace redislock::memory
