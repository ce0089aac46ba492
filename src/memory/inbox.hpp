// Where PUBLISH leaves messages for one subscriber, until its loop comes to fetch them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/poller.hpp"

namespace redislock::memory {

/// Touched under the server's mutex only.
class inbox {
public:
    /// More than that, and nobody fetches it: servers, too, give such a subscriber up.
    static constexpr std::size_t most_bytes = std::size_t{32} << 20;

    struct contents {
        bool missed = false;  ///< something was dropped before these
        std::vector<std::string> messages;
    };

    explicit inbox(std::shared_ptr<engine::waker> owner) noexcept : owner_(std::move(owner)) {}

    void put(std::string_view payload) {
        if (bytes_ + payload.size() > most_bytes) {
            now_.messages.clear();
            now_.missed = true;
            bytes_ = 0;
        }
        now_.messages.emplace_back(payload);
        bytes_ += payload.size() + sizeof(std::string);
        if (now_.messages.size() == 1) owner_->wake();
    }
    contents take() noexcept {
        bytes_ = 0;
        return std::exchange(now_, {});
    }

private:
    std::shared_ptr<engine::waker> owner_;
    contents now_;
    std::size_t bytes_ = 0;
};

}  // namespace redislock::memory
