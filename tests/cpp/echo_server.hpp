// A server in a thread of its own that repeats what it is told: `ECHO x` is answered "x". Serves any
// number of connections until it is destroyed.
#pragma once

#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "scripted_peer.hpp"

namespace redislock::engine {

class echo_server {
public:
    /// A server that does not answer keeps everybody waiting.
    explicit echo_server(bool answers = true) : answers_(answers), thread_([this] { serve(); }) {}
    echo_server(const echo_server&) = delete;
    echo_server& operator=(const echo_server&) = delete;
    ~echo_server() {
        stop_ = true;
        thread_.join();
    }
    const std::string& url() const { return url_; }
    int connections() const { return connections_; }

private:
    struct client {
        std::unique_ptr<peer_line> line;
        std::string unread;
    };

    void serve() {
        std::vector<client> clients;
        while (!stop_) {
            if (auto line = peer_.accept_now()) {
                ++connections_;
                clients.push_back({std::move(line), {}});
            }
            bool idle = true;
            for (auto& each : clients) idle = !serve(each) && idle;
            if (idle) std::this_thread::yield();
        }
    }
    bool serve(client& which) const {
        which.unread += which.line->heard();
        std::string answers;
        while (auto words = take_command(which.unread)) {
            if (words->front() == "HELLO") answers += "%1\r\n+id\r\n:1\r\n";
            else if (words->front() == "CLIENT") answers += "-ERR unknown command\r\n";
            else if (answers_) answers += bulk_bytes(words->back());
        }
        if (!answers.empty()) which.line->try_to_say(answers);
        return !answers.empty();
    }
    // The words of the first command, once it is there as a whole.
    static std::unique_ptr<std::vector<std::string>> take_command(std::string& bytes) {
        auto words = std::make_unique<std::vector<std::string>>();
        auto end = bytes.find("\r\n");
        if (end == std::string::npos) return nullptr;
        const auto count = std::stoul(bytes.substr(1, end - 1));
        std::size_t at = end + 2;
        for (std::size_t i = 0; i < count; ++i) {
            end = bytes.find("\r\n", at);
            if (end == std::string::npos) return nullptr;
            const auto size = std::stoul(bytes.substr(at + 1, end - at - 1));
            if (bytes.size() < end + 2 + size + 2) return nullptr;
            words->push_back(bytes.substr(end + 2, size));
            at = end + 2 + size + 2;
        }
        bytes.erase(0, at);
        return words;
    }

    scripted_peer peer_;
    const std::string url_ = peer_.url();
    bool answers_;
    std::atomic<bool> stop_ = false;
    std::atomic<int> connections_ = 0;
    std::thread thread_;
};

}  // namespace redislock::engine
