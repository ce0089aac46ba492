// The miniature server of memory://: one keyspace behind one mutex, shared between the reactors and
// threads of a process. Understands the commands that the core itself sends; knows no reactor.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "memory/inbox.hpp"
#include "memory/state.hpp"
#include "wire/reply.hpp"

namespace redislock::memory {

class server {
public:
    /// The server of that name, the same one for the life of the process; an empty name makes a new
    /// one, which lives as long as it is held. Thread-safe.
    static std::shared_ptr<server> named(std::string_view name);

    explicit server(clocks from = {}, script_limits bounds = {});
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server();

private:
    friend class turn;
    friend class session;
    friend class fork_guard;

    std::mutex mutex_;
    state state_;
};

/// One client of a server: what it watches, and what it queues between MULTI and EXEC. To be used
/// by one thread at a time.
class session {
public:
    explicit session(std::shared_ptr<server> home);
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session();

    server& home() const noexcept { return *home_; }

private:
    friend class turn;
    std::shared_ptr<server> home_;
    client client_;
};

/// The exclusive use of a server, during which its time stands still.
class turn {
public:
    explicit turn(server& which) : lock_(which.mutex_), state_(which.state_) { state_.clock.thaw(); }
    /// Not `owned` where somebody else has the server just now.
    turn(server& which, std::try_to_lock_t at_once) : lock_(which.mutex_, at_once), state_(which.state_) {
        if (owned()) state_.clock.thaw();
    }
    bool owned() const noexcept { return lock_.owns_lock(); }

    /// Runs all commands in `bytes` and appends their replies. The session is one of this server's.
    void execute(session& by, std::string_view bytes, std::vector<wire::reply>& replies);

    /// From now on what is published on the channel is put there, until `unsubscribe`.
    void subscribe(std::string_view channel, inbox& where);
    void unsubscribe(std::string_view channel, inbox& where) noexcept;
    inbox::contents take(inbox& from) noexcept { return from.take(); }

    keyspace& keys() noexcept { return state_.keys; }
    frozen_clock& clock() noexcept { return state_.clock; }

private:
    std::unique_lock<std::mutex> lock_;
    state& state_;
};

}  // namespace redislock::memory
