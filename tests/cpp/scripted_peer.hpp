// A server inside the test that says exactly what the test tells it to, byte by byte, over a real
// socket; and a reactor on the fake clock that is connected to it.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/server_backend.hpp"
#include "fake_engine.hpp"

namespace redislock::engine {

/// One accepted connection, seen from the server.
class peer_line {
public:
    explicit peer_line(int fd) : fd_(fd) { fcntl(fd_, F_SETFL, O_NONBLOCK); }
    peer_line(const peer_line&) = delete;
    peer_line& operator=(const peer_line&) = delete;
    ~peer_line() { hang_up(); }

    /// Writes all of it; small enough for the socket's buffer.
    void say(std::string_view bytes) const {
        ASSERT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
    /// The same to a client that may have gone.
    void try_to_say(std::string_view bytes) const {
        [[maybe_unused]] const auto written = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    /// What has come since the last call.
    std::string heard() {
        std::string all;
        char bytes[4096];
        for (;;) {
            const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
            if (got > 0) all.append(bytes, static_cast<std::size_t>(got));
            else if (got == 0) closed_ = true;
            if (got <= 0) return all;
        }
    }
    /// The same as a person would type it.
    std::string words() { return fake_channel::to_words(heard()); }
    /// Whether the client has hung up.
    bool closed() {
        heard();
        return closed_;
    }
    void hang_up() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }
    /// Ends the connection with a reset, if it is TCP.
    void send_reset() {
        const linger hard{1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        hang_up();
    }

private:
    int fd_;
    bool closed_ = false;
};

/// Listens on a unix socket in a folder of its own, or on a free loopback port.
class scripted_peer {
public:
    enum class over { unix_socket, tcp };

    explicit scripted_peer(over which = over::unix_socket) : tcp_(which == over::tcp) {
        char name[] = "/tmp/redislock-peer-XXXXXX";
        folder_ = mkdtemp(name);
        listen_again();
    }
    scripted_peer(const scripted_peer&) = delete;
    scripted_peer& operator=(const scripted_peer&) = delete;
    ~scripted_peer() {
        stop_listening();
        rmdir(folder_.c_str());
    }

    std::string url() const {
        return tcp_ ? "redis://127.0.0.1:" + std::to_string(port_) : "unix://" + folder_ + "/s";
    }
    void stop_listening() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
        unlink((folder_ + "/s").c_str());
    }
    void listen_again() {
        fd_ = socket(tcp_ ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
        ASSERT_GE(fd_, 0);
        if (tcp_) listen_on_port();
        else listen_on_path();
        EXPECT_EQ(listen(fd_, 16), 0);
        fcntl(fd_, F_SETFL, O_NONBLOCK);
    }
    /// The next connection in line, or null.
    std::unique_ptr<peer_line> accept_now() const {
        const int got = accept(fd_, nullptr, nullptr);
        return got < 0 ? nullptr : std::make_unique<peer_line>(got);
    }

private:
    void listen_on_port() {
        const int on = 1;
        setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        at.sin_port = htons(port_);
        EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
        socklen_t size = sizeof at;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
        port_ = ntohs(at.sin_port);
    }
    void listen_on_path() const {
        sockaddr_un at{};
        at.sun_family = AF_UNIX;
        const std::string path = folder_ + "/s";
        path.copy(at.sun_path, sizeof at.sun_path - 1);
        EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    }

    bool tcp_;
    std::string folder_;
    std::uint16_t port_ = 0;
    int fd_ = -1;
};

/// A reactor with a real backend, connected to the scripted peer, on the fake clock.
class wired_reactor {
public:
    explicit wired_reactor(const std::string& query = {},
                           scripted_peer::over which = scripted_peer::over::unix_socket)
        : peer(which) {
        fake_time = 1000 * second;
        auto settings = wire::parse_url(peer.url() + query);
        auto factory = [&](engine::loop& loop) -> result<std::unique_ptr<backend>> {
            auto made = server_backend::make(loop, *settings);
            if (!made) return made.error();
            return std::unique_ptr<backend>(std::move(*made));
        };
        core = std::move(*reactor::make(factory, fake_now));
    }

    /// Lets both ends go on for some rounds; nothing that depends on the clock happens.
    void settle() const {
        for (int round = 0; round < 8; ++round) {
            core->pump(0);
            core->take_finished();
        }
    }
    void pass(nanos duration) const {
        fake_time += duration;
        settle();
    }
    template <class Operation, class... Arguments>
    std::shared_ptr<Operation> submit(Arguments&&... arguments) const {
        auto made = std::make_shared<Operation>(std::forward<Arguments>(arguments)...);
        core->submit(made);
        return made;
    }
    /// The connection that the client has opened, before any word was said on it.
    std::unique_ptr<peer_line> accept() const {
        settle();
        auto line = peer.accept_now();
        if (!line) throw std::runtime_error("no connection was made");
        return line;
    }
    /// A connection whose greeting was answered; `greeting` receives the client's words.
    std::unique_ptr<peer_line> welcome(int id, std::string* greeting = nullptr,
                                       const std::string& address = {}) const {
        auto line = accept();
        settle();
        const auto words = line->words();
        line->say(answer_to_greeting(words, id, address));
        settle();
        if (greeting != nullptr) *greeting = words;
        return line;
    }
    /// Without an `address` it is a server that does not tell.
    static std::string answer_to_greeting(const std::string& words, int id, const std::string& address = {}) {
        std::string bytes;
        for (std::size_t at = 0; at < words.size();
             at = words.find(" | ", at) == std::string::npos ? words.size() : words.find(" | ", at) + 3) {
            const auto command = words.substr(at, words.find(' ', at) - at);
            if (command == "HELLO") bytes += "%2\r\n+id\r\n:" + std::to_string(id) + "\r\n+proto\r\n:3\r\n";
            else if (words.compare(at, 11, "CLIENT INFO") == 0)
                bytes += address.empty()
                             ? "-ERR Unknown subcommand or wrong number of arguments for 'INFO'\r\n"
                             : "+id=" + std::to_string(id) + " addr=" + address + " laddr=x\r\n";
            else if (command == "CLIENT") bytes += ":1\r\n";
            else if (command == "EXEC") bytes += "*0\r\n";
            else bytes += "+OK\r\n";
        }
        return bytes;
    }
    bool connects_again() const {
        settle();
        return peer.accept_now() != nullptr;
    }
    /// Whether a log record holds these words; the log is emptied.
    bool logged(std::string_view words) const {
        bool found = false;
        for (const auto& each : core->loop().take_log())
            found = found || each.text.find(words) != std::string::npos;
        return found;
    }

    scripted_peer peer;
    std::unique_ptr<reactor> core;
};

inline std::string bulk_bytes(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

/// What a unit's replies look like as text, space-separated.
inline std::string texts_of(const answer& said) {
    std::string text;
    for (std::size_t i = 0; i < said.size(); ++i) text += (i == 0 ? "" : " ") + wire::to_text(said[i]);
    return text;
}

constexpr script sample_script{"sample", "0123456789abcdef0123456789abcdef01234567", "return 1"};

/// Sends one unit on the shared connection: commands of one word each, or a script call.
class request final : public operation_of<std::string> {
public:
    request(std::vector<std::string> words, resend policy, nanos timeout = 5 * second)
        : operation_of(timeout), words_(std::move(words)), policy_(policy) {}

private:
    task<result<std::string>> body(context& with) override {
        auto slot = with.make_slot();
        slot->request.policy = policy_;
        for (const auto& each : words_) {
            if (each == "script")
                slot->request.evalsha(sample_script, std::vector<std::string>{"k"},
                                      std::vector<std::string>{});
            else slot->request.commands.add(each);
        }
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        co_return texts_of(*said);
    }

    std::vector<std::string> words_;
    resend policy_;
};

/// Sends units one after the other on an exclusive connection.
class lane_request final : public operation_of<std::string> {
public:
    explicit lane_request(std::vector<std::pair<std::string, resend>> steps, nanos timeout = 5 * second)
        : operation_of(timeout), steps_(std::move(steps)) {}

private:
    task<result<std::string>> body(context& with) override {
        auto own = co_await with.exclusive();
        if (!own) co_return std::move(own.error());
        std::string text;
        for (const auto& [word, policy] : steps_) {
            auto slot = with.make_slot();
            slot->request.policy = policy;
            slot->request.commands.add(word);
            auto said = co_await with.send(*own, std::move(slot));
            if (!said) {
                if (with.in_doubt) said.error().message += " (in doubt)";
                co_return std::move(said.error());
            }
            text += (text.empty() ? "" : " ") + texts_of(*said);
        }
        co_return text;
    }

    std::vector<std::pair<std::string, resend>> steps_;
};

inline std::string beginning_of(const std::string& text) { return text.substr(0, text.find(':')); }

}  // namespace redislock::engine
