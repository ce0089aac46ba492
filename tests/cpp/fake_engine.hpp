// A server of the test's own: channels that do nothing by themselves, and a clock that stands still.
// The test looks at what was sent, says when it was written, and answers it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/channel.hpp"
#include "engine/operation.hpp"
#include "engine/reactor.hpp"
#include "reply_text.hpp"

namespace redislock::engine {

inline nanos fake_time = 1000 * second;
inline nanos fake_now() noexcept { return fake_time; }

class fake_channel final : public channel {
public:
    explicit fake_channel(std::vector<fake_channel*>* registered = nullptr) : registered_(registered) {
        if (registered_ != nullptr) registered_->push_back(this);
    }
    fake_channel(const fake_channel&) = delete;
    fake_channel& operator=(const fake_channel&) = delete;
    ~fake_channel() override {
        if (registered_ != nullptr) std::erase(*registered_, this);
    }

    void send(slot_ptr which) override { sent.push_back(std::move(which)); }
    void abandon(slot& which, bool overdue) override {
        abandoned.emplace_back(overdue ? "overdue" : "left");
        which.listener = nullptr;
        if (which.offered) {
            which.abandoned = true;
            good = false;
        } else {
            std::erase_if(sent, [&](const slot_ptr& each) { return each.get() == &which; });
        }
    }
    bool reusable() const noexcept override { return good; }
    std::string condition() const override { return "waiting for the test"; }

    /// Says that everything sent so far is on its way.
    void write() const {
        for (const auto& each : sent) {
            each->offered = true;
            each->carrier = reinterpret_cast<const link*>(this);  // only ever compared
        }
    }
    /// The commands of the oldest unit, as a person would type them: "GET k | TIME".
    std::string oldest() const {
        return sent.empty() ? "" : to_words(sent.front()->request.commands.bytes());
    }
    /// Answers the oldest unit.
    void answer(std::vector<wire::reply> replies) {
        auto which = take();
        which->replies = std::move(replies);
        which->finish();
    }
    void answer(wire::reply said) { answer(std::vector<wire::reply>{std::move(said)}); }
    void fail(errc code, std::string message, bool in_doubt = false) {
        auto which = take();
        which->in_doubt = in_doubt;
        which->fail({code, std::move(message)});
    }

    static std::string to_words(std::string_view bytes) {
        std::string text;
        for (std::size_t at = 0; at < bytes.size();) {
            const bool begins = bytes[at] == '*';
            const std::size_t size = std::stoul(std::string(bytes.substr(at + 1, 20)));
            at = bytes.find("\r\n", at) + 2;
            if (begins) {
                text += text.empty() ? "" : " |";
                continue;
            }
            text += text.empty() ? "" : " ";
            text += bytes.substr(at, size);
            at += size + 2;
        }
        return text;
    }

    std::deque<slot_ptr> sent;
    std::vector<std::string> abandoned;
    bool good = true;

private:
    slot_ptr take() {
        auto which = std::move(sent.front());
        sent.pop_front();
        return which;
    }
    std::vector<fake_channel*>* registered_;
};

class fake_backend final : public backend {
public:
    fake_channel& shared() override { return shared_; }
    std::unique_ptr<channel> make_exclusive() override {
        ++made;
        return std::make_unique<fake_channel>(&exclusive);
    }
    std::unique_ptr<subscription> subscribe(std::string /*channel*/, subscriber& /*who*/) override {
        return nullptr;
    }
    std::uint32_t max_exclusive() const noexcept override { return limit; }
    std::string name() const override { return "test"; }

    std::uint32_t limit = 2;
    int made = 0;
    std::vector<fake_channel*> exclusive;  ///< those that exist, oldest first

private:
    fake_channel shared_;
};

/// A reactor on a fake backend and the fake clock.
struct fake_reactor {
    explicit fake_reactor(std::uint32_t lanes = 2) {
        fake_time = 1000 * second;
        auto factory = [&](engine::loop&) -> result<std::unique_ptr<backend>> {
            auto own = std::make_unique<fake_backend>();
            own->limit = lanes;
            server = own.get();
            return std::unique_ptr<backend>(std::move(own));
        };
        core = std::move(*reactor::make(factory, fake_now));
    }

    /// Lets everything go on that can.
    void settle() const {
        do core->pump(0);
        while (core->has_work() && core->take_finished().empty());
    }
    void pass(nanos duration) const {
        fake_time += duration;
        settle();
    }
    template <class Operation, class... Arguments>
    std::shared_ptr<Operation> submit(Arguments&&... arguments) const {
        auto made = std::make_shared<Operation>(std::forward<Arguments>(arguments)...);
        core->submit(made);
        settle();
        return made;
    }
    fake_channel& shared() const { return server->shared(); }

    std::unique_ptr<reactor> core;
    fake_backend* server = nullptr;
};

/// What an operation that tells text ended in: its text, or "code: message".
template <class Operation>
std::string outcome_of(Operation& which) {
    if (!which.finished()) return "still running";
    auto& ended = which.outcome();
    return ended ? *ended : std::string(to_string(ended.error().code)) + ": " + ended.error().message;
}

}  // namespace redislock::engine
