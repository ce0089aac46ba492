// A unit of commands on its way: its bytes, its replies, and who waits for them. All replies of a
// unit are registered together with its bytes, so that no reply can be taken for another's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/script.hpp"
#include "types/clock.hpp"
#include "types/error.hpp"
#include "wire/command.hpp"
#include "wire/reply.hpp"

namespace redislock::engine {

/// What may be sent again after a connection was lost before the answer.
enum class resend : std::uint8_t {
    read,      ///< always: it changes nothing
    recorded,  ///< yes: an idempotency key makes the second time harmless
    token,     ///< yes: a lock call that names its own token
    once,      ///< never: without an answer the outcome is unknown
};

/// Commands that are written together, and whose replies come back together.
struct unit {
    wire::commands commands;
    resend policy = resend::once;
    const script* fallback = nullptr;  ///< of the EVALSHA in it, if any; at most one
    std::size_t script_at = 0;         ///< where that EVALSHA's first argument begins

    /// Appends EVALSHA; after NOSCRIPT the same call goes out once more as EVAL.
    template <class Keys, class Arguments>
    void evalsha(const script& which, const Keys& keys, const Arguments& arguments) {
        commands.begin(3 + keys.size() + arguments.size());
        fallback = &which;
        script_at = commands.bytes().size();
        commands.argument(std::string_view("EVALSHA"));
        commands.argument(which.sha1);
        commands.argument(static_cast<std::int64_t>(keys.size()));
        for (const auto& key : keys) commands.argument(std::string_view(key));
        for (const auto& argument : arguments) commands.argument(std::string_view(argument));
    }

    /// Turns that EVALSHA into EVAL with the whole body.
    void use_eval();
    void clear() noexcept;
};

class link;
class slot;
class slot_pool;

/// Told when a slot is complete.
class slot_listener {
public:
    virtual void on_complete(slot& which) = 0;

protected:
    ~slot_listener() = default;
};

/// Shared ownership of a slot within one reactor: no atomics.
class slot_ptr {
public:
    slot_ptr() noexcept = default;
    explicit slot_ptr(slot* raw) noexcept;
    slot_ptr(const slot_ptr& other) noexcept;
    slot_ptr(slot_ptr&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    slot_ptr& operator=(slot_ptr other) noexcept {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~slot_ptr();

    slot* operator->() const noexcept { return raw_; }
    slot& operator*() const noexcept { return *raw_; }
    slot* get() const noexcept { return raw_; }
    explicit operator bool() const noexcept { return raw_ != nullptr; }

private:
    slot* raw_ = nullptr;
};

class slot {
public:
    unit request;
    std::vector<wire::reply> replies;
    std::optional<error> failure;
    slot_listener* listener = nullptr;  ///< nobody: a tombstone, or a detached cleanup
    bool offered = false;               ///< handed to a connection and not answered yet
    bool in_doubt = false;              ///< an earlier connection was lost with it unanswered
    bool abandoned = false;             ///< its waiter left: a tombstone that only consumes its replies
    bool cleanup = false;               ///< detached, and counted by the pool until it has ended
    nanos offered_at = 0;
    const link* carrier = nullptr;  ///< which it was offered to
    nanos expires_at = never;       ///< of a detached cleanup: when it is pointless to go on

    bool complete() const noexcept { return replies.size() == request.commands.count(); }
    bool changes_money() const noexcept {
        return request.policy == resend::once || request.policy == resend::recorded;
    }
    /// Ends the slot: tells the listener, if there is one.
    void finish();
    void fail(error why);

private:
    friend class slot_ptr;
    friend class slot_pool;
    std::uint32_t references_ = 0;
    slot_pool* home_ = nullptr;
};

/// Slots that keep their buffers between uses. Outlives them all.
class slot_pool {
public:
    slot_pool() = default;
    slot_pool(const slot_pool&) = delete;
    slot_pool& operator=(const slot_pool&) = delete;
    slot_ptr take();

    /// Marks a slot as a detached cleanup.
    void begin_cleanup(slot& which, nanos expires_at) noexcept;
    /// Cleanups that were neither answered nor given up.
    std::size_t cleanups() const noexcept { return cleanups_; }

private:
    friend class slot_ptr;
    void give_back(slot* which) noexcept;
    std::size_t cleanups_ = 0;
    std::vector<std::unique_ptr<slot>> free_;
};

}  // namespace redislock::engine
