#include "memory/server.hpp"

#include <pthread.h>

#include <algorithm>
#include <map>
#include <string>

#include "memory/commands.hpp"

namespace redislock::memory {

// Knows every server, so that a fork finds none of them half changed: it takes all mutexes first.
// Nobody else holds more than one, nor takes this one while holding a server's.
class fork_guard {
public:
    // Never destroyed: servers may outlive static objects.
    static fork_guard& instance() {
        static auto* only = new fork_guard;
        return *only;
    }

    void add(server& which) {
        const std::scoped_lock lock(mutex_);
        servers_.push_back(&which);
    }
    void remove(server& which) noexcept {
        const std::scoped_lock lock(mutex_);
        std::erase(servers_, &which);
    }
    std::shared_ptr<server> named(std::string_view name) {
        {
            const std::scoped_lock lock(names_mutex_);
            const auto found = names_.find(name);
            if (found != names_.end()) return found->second;
        }
        auto made = std::make_shared<server>();  // takes the other mutex
        const std::scoped_lock lock(names_mutex_);
        return names_.try_emplace(std::string(name), std::move(made)).first->second;
    }

private:
    fork_guard() {
        pthread_atfork([] { instance().hold(); }, [] { instance().let_go(); },
                       [] {
                           instance().forget_subscribers();
                           instance().let_go();
                       });
    }
    void hold() {
        names_mutex_.lock();
        mutex_.lock();
        for (server* each : servers_) each->mutex_.lock();
    }
    // In a child: they are the parent's, and their loops are not to be woken from here.
    void forget_subscribers() {
        for (server* each : servers_) each->state_.subscribers.clear();
    }
    void let_go() {
        for (server* each : servers_) each->mutex_.unlock();
        mutex_.unlock();
        names_mutex_.unlock();
    }

    std::mutex names_mutex_;
    std::map<std::string, std::shared_ptr<server>, std::less<>> names_;
    std::mutex mutex_;
    std::vector<server*> servers_;
};

std::shared_ptr<server> server::named(std::string_view name) {
    if (name.empty()) return std::make_shared<server>();
    return fork_guard::instance().named(name);
}

server::server(clocks from, script_limits bounds) : state_(from, bounds) {
    fork_guard::instance().add(*this);
}

server::~server() { fork_guard::instance().remove(*this); }

session::session(std::shared_ptr<server> home) : home_(std::move(home)) {
    const std::scoped_lock lock(home_->mutex_);
    client_.id = ++home_->state_.last_client;
    ++home_->state_.clients;
}

session::~session() {
    const std::scoped_lock lock(home_->mutex_);
    home_->state_.keys.unwatch(client_);
    --home_->state_.clients;
}

void turn::execute(session& by, std::string_view bytes, std::vector<wire::reply>& replies) {
    memory::execute(state_, by.client_, bytes, replies);
}

void turn::subscribe(std::string_view channel, inbox& where) {
    state_.subscribers.try_emplace(std::string(channel)).first->second.push_back(&where);
}

// Not there any more where the process was forked meanwhile.
void turn::unsubscribe(std::string_view channel, inbox& where) noexcept {
    const auto found = state_.subscribers.find(channel);
    if (found == state_.subscribers.end()) return;
    std::erase(found->second, &where);
    if (found->second.empty()) state_.subscribers.erase(found);
}

}  // namespace redislock::memory
