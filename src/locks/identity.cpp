#include "locks/identity.hpp"

#include <pthread.h>
#include <unistd.h>

#include <memory>

#include "types/random.hpp"

namespace redislock::locks {
namespace {

constexpr std::size_t longest_part = 64;

struct identity {
    std::string process;
    std::string nonce;
};

void append_safe(std::string& to, std::string_view text) {
    for (const char each : text.substr(0, longest_part)) {
        const auto c = static_cast<unsigned char>(each);
        to.push_back(c <= ' ' || c >= 127 || c == ':' || c == '/' ? '_' : each);
    }
}

identity fresh() {
    char host[256] = {};
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') host[0] = '?';
    identity own;
    own.nonce = random_token().substr(0, 16);
    append_safe(own.process, host);
    own.process += ":" + std::to_string(getpid()) + ":" + own.nonce;
    return own;
}

std::atomic<std::uint32_t> forks = 0;
void renew_in_child();

// Also for forks that Python knows nothing of.
void watch_forks() {
    [[maybe_unused]] static const int registered = pthread_atfork(nullptr, nullptr, renew_in_child);
}

// Replaced only in a forked child, where there is one thread. The old one is leaked: a thread that
// does not exist there may have been reading it.
std::atomic<const identity*> current = nullptr;

const identity& own() {
    watch_forks();
    const identity* found = current.load(std::memory_order_acquire);
    if (found != nullptr) return *found;
    auto made = std::make_unique<const identity>(fresh());
    if (current.compare_exchange_strong(found, made.get(), std::memory_order_acq_rel)) return *made.release();
    return *found;
}

void renew_in_child() {
    forks.fetch_add(1, std::memory_order_relaxed);
    current.store(nullptr, std::memory_order_release);
}

}  // namespace

std::string process_name() { return own().process; }
std::string wake_channel() { return "redislock:wake:" + own().nonce; }
std::string waits_key() { return "redislock:waits:" + own().process; }

std::string make_token(std::string_view who, std::string_view client_name) {
    const auto& process = own().process;
    std::string token;
    token.reserve(process.size() + who.size() + client_name.size() + 36);
    token.append(process).push_back(':');
    append_safe(token, who);
    token.push_back('/');
    append_random_token(token);
    if (!client_name.empty()) {
        token.push_back('/');
        append_safe(token, client_name);
    }
    return token;
}

std::uint32_t generation() noexcept {
    watch_forks();
    return forks.load(std::memory_order_relaxed);
}

}  // namespace redislock::locks
