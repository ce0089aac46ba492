// An ordered stream of units to one session of a server, whether over a socket or in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/slot.hpp"
#include "types/error.hpp"

namespace redislock::engine {

class channel {
public:
    virtual ~channel() = default;

    /// Takes a unit. The slot is completed later, never from within this call.
    virtual void send(slot_ptr which) = 0;

    /// The same, for what undoes `earlier`: it must not run before `earlier`, should that run late.
    virtual void send_behind(slot_ptr which, const slot& /*earlier*/) { send(std::move(which)); }

    /// The waiter of this slot has gone, because of a deadline or a cancellation. What was not
    /// offered yet is dropped; what was stays as a tombstone for its replies.
    virtual void abandon(slot& which, bool overdue) = 0;

    /// Whether an exclusive channel can serve another owner.
    virtual bool reusable() const noexcept = 0;

    /// For messages: who is at the other end, and what is wrong with it at the moment.
    virtual std::string condition() const = 0;
};

/// Told of what is published on one channel. Called from within the loop's turn.
class subscriber {
public:
    virtual void on_message(std::string_view payload) = 0;
    /// Subscribed, for the first time or again: what was published before may have been missed.
    virtual void on_subscribed() = 0;
    /// Not subscribed at the moment; it is tried again for as long as the subscription lives.
    virtual void on_unsubscribed(const error& why) = 0;

protected:
    ~subscriber() = default;
};

/// A channel that is listened to for as long as this lives.
class subscription {
public:
    virtual ~subscription() = default;
};

/// Makes channels to one server.
class backend {
public:
    virtual ~backend() = default;
    virtual channel& shared() = 0;
    virtual std::unique_ptr<channel> make_exclusive() = 0;
    virtual std::unique_ptr<subscription> subscribe(std::string channel, subscriber& who) = 0;
    virtual std::uint32_t max_exclusive() const noexcept = 0;
    virtual std::string name() const = 0;
};

}  // namespace redislock::engine
