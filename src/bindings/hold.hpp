// What Python holds of a lock that is held.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "bindings/bindings.hpp"
#include "locks/hold.hpp"
#include "locks/identity.hpp"
#include "locks/keeper.hpp"

namespace redislock::bindings {

using access_ptr = std::shared_ptr<locks::access>;

/// Keeps the way to the keeper open, and with it the renewal.
/// Until it was `kept` nobody knows of it but whoever asked for it: if that one is interrupted before it
/// could note it down, it is given back with the object.
class hold_object {
public:
    hold_object(std::shared_ptr<locks::hold> which, access_ptr by, bool delivered)
        : own(std::move(which)), keepers(std::move(by)), kept(!delivered) {}
    hold_object(const hold_object& other) : own(other.own), keepers(other.keepers) {}
    hold_object(hold_object&& other) noexcept
        : own(std::move(other.own)),
          keepers(std::move(other.keepers)),
          kept(std::exchange(other.kept, true)),
          made_in_(other.made_in_) {}
    hold_object& operator=(const hold_object&) = delete;
    hold_object& operator=(hold_object&&) = delete;
    ~hold_object() {
        if (kept || made_in_ != locks::generation()) return;
        try {
            give_back();
        } catch (...) {  // NOLINT(bugprone-empty-catch): then its lease ends it
        }
    }

    void give_back() const {
        if (!keepers || own->released()) return;
        if (auto station = keepers->open()) (*station)->give_back(own);
    }

    std::shared_ptr<locks::hold> own;
    access_ptr keepers;
    bool kept = true;

private:
    std::uint32_t made_in_ = locks::generation();
};

/// Null where this is no `_core.Hold`. Cheaper than pybind11's own way.
hold_object* find_hold(py::handle from);

}  // namespace redislock::bindings
