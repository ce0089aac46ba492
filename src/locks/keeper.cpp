#include "locks/keeper.hpp"

#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): pthread_sigmask is not in <csignal>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "engine/poller.hpp"
#include "locks/identity.hpp"
#include "locks/station.hpp"

namespace redislock::locks {
namespace {

/// The thread and its stations.
class keeper {
public:
    keeper() {
        // Signals are the program's: the thread inherits that none of them is its own.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        thread_ = std::thread([this] { run(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    keeper(const keeper&) = delete;
    keeper& operator=(const keeper&) = delete;
    ~keeper() = delete;  // ended by stop() and leaked: stations may name it until the process ends

    result<std::shared_ptr<station>> station_of(const std::string& server,
                                                const engine::backend_factory& factory);
    void stop();

    std::mutex& mutex() noexcept { return mutex_; }
    void abandon_after_fork() noexcept;

private:
    // A station's descriptor among the thread's own.
    struct post final : engine::pollable {
        explicit post(station* which) noexcept : own(which) {}
        void on_event(bool /*readable*/, bool /*writable*/) override {}
        station* own;
        engine::poller::token token = 0;
    };

    void run();
    void take_changes();
    void retire(station* which);

    engine::poller poller_;
    std::mutex mutex_;  // of all below; held over a fork
    std::map<std::string, std::weak_ptr<station>> stations_;
    std::vector<std::unique_ptr<post>> posts_;  // changed by the thread alone
    std::vector<station*> fresh_;
    std::vector<station*> retired_;
    bool stopping_ = false;
    std::thread thread_;
};

std::atomic<keeper*> current = nullptr;
std::atomic<bool> stopped = false;
std::mutex making;

void before_fork() {
    making.lock();
    if (auto* own = current.load()) own->mutex().lock();
}
void after_fork_in_parent() {
    if (auto* own = current.load()) own->mutex().unlock();
    making.unlock();
}
void after_fork_in_child() {
    if (auto* own = current.exchange(nullptr)) {
        own->mutex().unlock();
        own->abandon_after_fork();  // and leaked: its thread does not exist here
    }
    making.unlock();
}

result<keeper*> own_keeper() {
    const std::scoped_lock lock(making);
    if (auto* found = current.load()) return found;
    if (stopped) return {errc::closed, "the program is ending"};
    static const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (registered != 0) return {errc::configuration, "no memory to prepare for a fork"};
    auto* made = new keeper;  // NOLINT(cppcoreguidelines-owning-memory)
    current = made;
    return made;
}

result<std::shared_ptr<station>> keeper::station_of(const std::string& server,
                                                    const engine::backend_factory& factory) {
    auto find = [&] {
        const std::scoped_lock lock(mutex_);
        const auto at = stations_.find(server);
        return at == stations_.end() ? nullptr : at->second.lock();
    };
    if (auto found = find()) return found;
    auto reactor = engine::reactor::make(factory);  // without the mutex: memory:// has mutexes of its own
    if (!reactor) return std::move(reactor.error());
    auto made = std::make_unique<station>(std::move(*reactor));
    std::shared_ptr<station> found;
    {
        const std::scoped_lock lock(mutex_);
        auto& known = stations_[server];
        found = known.lock();
        if (found) return found;
        // Its end belongs to the thread, which may be looking at it.
        found = std::shared_ptr<station>(made.release(), [this](station* which) { retire(which); });
        known = found;
        fresh_.push_back(found.get());
    }
    poller_.wake_handle()->wake();
    return found;
}

void keeper::retire(station* which) {
    if (current.load() != this) return;  // of the parent of a fork: leaked with the rest
    {
        const std::scoped_lock lock(mutex_);
        retired_.push_back(which);
    }
    poller_.wake_handle()->wake();
}

void keeper::take_changes() {
    std::vector<std::unique_ptr<station>> ended;
    const std::scoped_lock lock(mutex_);
    for (auto* each : fresh_) {
        auto made = std::make_unique<post>(each);
        made->token = poller_.add(each->poller(), *made);
        posts_.push_back(std::move(made));
    }
    fresh_.clear();
    for (auto* each : retired_) {
        const auto found =
            std::find_if(posts_.begin(), posts_.end(), [&](const auto& one) { return one->own == each; });
        poller_.remove((*found)->token, each->poller().fileno());
        posts_.erase(found);
        ended.emplace_back(each);
    }
    retired_.clear();
    std::erase_if(stations_, [](const auto& each) { return each.second.expired(); });
}

void keeper::run() {
#ifdef __linux__
    pthread_setname_np(pthread_self(), "redislock");
#endif
    for (;;) {
        poller_.wait(never);
        poller_.dispatch();
        take_changes();
        {
            const std::scoped_lock lock(mutex_);
            if (stopping_) return;
        }
        for (const auto& each : posts_) each->own->pump();
    }
}

void keeper::stop() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    poller_.wake_handle()->wake();
    if (thread_.joinable()) thread_.join();
}

void keeper::abandon_after_fork() noexcept {
    poller_.abandon_after_fork();
    for (const auto& each : posts_) each->own->abandon_after_fork();
    for (auto* each : fresh_) each->abandon_after_fork();
}

}  // namespace

// ---- a client's way to it

access::access(std::string server, engine::backend_factory factory)
    : server_(std::move(server)), factory_(std::move(factory)), state_(new state(generation())) {}

access::~access() {
    const auto* own = state_.load(std::memory_order_acquire);
    if (own->made_in == generation()) delete own;  // NOLINT(cppcoreguidelines-owning-memory)
}

access::state& access::current() {
    auto* found = state_.load(std::memory_order_acquire);
    if (found->made_in == generation()) return *found;
    auto fresh = std::make_unique<state>(generation());
    if (state_.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel))
        return *fresh.release();
    return *found;
}

station* access::listening() {
    auto* found = opened();
    return found != nullptr && found->listening() ? found : nullptr;
}

station* access::opened() { return current().opened.load(std::memory_order_acquire); }

result<station*> access::open() {
    auto& at = current();
    const std::scoped_lock lock(at.mutex);
    if (at.own) return at.own.get();
    auto own = own_keeper();
    if (!own) return std::move(own.error());
    auto found = (*own)->station_of(server_, factory_);
    if (!found) return std::move(found.error());
    at.own = std::move(*found);
    at.opened.store(at.own.get(), std::memory_order_release);
    return at.own.get();
}

place::place(station& at, std::shared_ptr<engine::signal> who, const std::vector<lock_keys>& which)
    : station_(at), number_(at.enlist(std::move(who), which)), made_in_(generation()) {}

place::~place() {
    if (made_in_ == generation()) station_.discharge(number_);
}

void stop_keeper() {
    stopped = true;
    keeper* own = nullptr;
    {
        const std::scoped_lock lock(making);
        own = redislock::locks::current.load();
    }
    if (own != nullptr) own->stop();
    stop_losses();
}

}  // namespace redislock::locks
