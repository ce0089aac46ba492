// A server of a few lines for tests of the load generator: it answers the withdraw script from a
// rule that the test gives, or keeps silent, on a clock that stands still unless it is moved.
#pragma once

#include <charconv>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/channel.hpp"
#include "engine/reactor.hpp"

namespace redislock::load {

/// The time of the test. One tick passes with every look at it.
inline nanos test_time = 0;
inline nanos test_tick = 0;
inline nanos test_clock() noexcept { return test_time += test_tick; }

/// What the server is asked: the amount and the balance key.
struct asked_change {
    std::string key;
    std::int64_t amount = 0;
};

/// Answers like "ok 97" or "-NOPERM no"; an empty one means silence.
using rule = std::function<std::string(const asked_change&)>;

inline asked_change parse_evalsha(std::string_view bytes) {
    std::vector<std::string_view> words;
    for (std::size_t at = bytes.find('$'); at != std::string_view::npos;) {
        const std::size_t line = bytes.find("\r\n", at);
        std::size_t size = 0;
        std::from_chars(bytes.data() + at + 1, bytes.data() + line, size);
        words.push_back(bytes.substr(line + 2, size));
        at = bytes.find('$', line + 2 + size);
    }
    asked_change asked{std::string(words.at(3)), 0};
    std::from_chars(words.at(5).data(), words.at(5).data() + words.at(5).size(), asked.amount);
    return asked;
}

class scripted_channel final : public engine::channel, private engine::flushable {
public:
    scripted_channel(engine::loop& loop, rule answers) : loop_(loop), answers_(std::move(answers)) {}
    scripted_channel(const scripted_channel&) = delete;
    scripted_channel& operator=(const scripted_channel&) = delete;
    ~scripted_channel() override { loop_.forget(*this); }

    void send(engine::slot_ptr which) override {
        arrived_.push_back(std::move(which));
        loop_.mark_dirty(*this);
    }
    void abandon(engine::slot& which, bool /*overdue*/) override {
        which.listener = nullptr;
        std::erase_if(arrived_, [&](const auto& each) { return each.get() == &which; });
    }
    bool reusable() const noexcept override { return true; }
    std::string condition() const override { return "waiting for the test"; }

private:
    void flush() override {
        for (auto& each : std::exchange(arrived_, {})) {
            each->offered = true;
            std::string words = answers_(parse_evalsha(each->request.commands.bytes()));
            if (words.empty()) {
                unanswered_.push_back(std::move(each));
                continue;
            }
            wire::reply said;
            said.type = words.front() == '-' ? wire::reply::kind::failure : wire::reply::kind::text;
            said.text = words.front() == '-' ? words.substr(1) : words;
            each->replies.push_back(std::move(said));
            each->finish();
        }
    }

    engine::loop& loop_;
    rule answers_;
    std::vector<engine::slot_ptr> arrived_;
    std::vector<engine::slot_ptr> unanswered_;
};

class scripted_backend final : public engine::backend {
public:
    scripted_backend(engine::loop& loop, rule answers) : shared_(loop, std::move(answers)) {}
    engine::channel& shared() override { return shared_; }
    std::unique_ptr<engine::channel> make_exclusive() override { return nullptr; }
    std::unique_ptr<engine::subscription> subscribe(std::string /*channel*/,
                                                    engine::subscriber& /*who*/) override {
        return nullptr;
    }
    std::uint32_t max_exclusive() const noexcept override { return 0; }
    std::string name() const override { return "test"; }

private:
    scripted_channel shared_;
};

inline engine::backend_factory make_scripted(rule answers) {
    return [answers = std::move(answers)](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
        return std::unique_ptr<engine::backend>(std::make_unique<scripted_backend>(loop, answers));
    };
}

}  // namespace redislock::load
