// A value or an error. C++20 has no std::expected; this is the part of it that the core needs.
#pragma once

#include <utility>
#include <variant>

#include "types/error.hpp"

namespace redislock {

template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    // Implicit on purpose: `return value;` and `return error;` both read well.
    explicit(false) result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    explicit(false) result(redislock::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}
    result(errc code, std::string message)
        : state_(std::in_place_index<1>, redislock::error{code, std::move(message)}) {}

    explicit operator bool() const noexcept { return state_.index() == 0; }
    bool has_value() const noexcept { return state_.index() == 0; }

    T& operator*() & { return std::get<0>(state_); }
    const T& operator*() const& { return std::get<0>(state_); }
    T&& operator*() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &std::get<0>(state_); }
    const T* operator->() const { return &std::get<0>(state_); }

    redislock::error& error() & { return std::get<1>(state_); }
    const redislock::error& error() const& { return std::get<1>(state_); }
    redislock::error&& error() && { return std::get<1>(std::move(state_)); }

private:
    std::variant<T, redislock::error> state_;
};

/// Success without a value.
using done = std::monostate;

}  // namespace redislock
