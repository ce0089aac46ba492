// Several reactors driven by one thread, which waits for all of them in one poller: sockets, timers and
// signals of each, waking it, and stopping it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo_server.hpp"
#include "engine/poller.hpp"
#include "engine/reactor.hpp"
#include "engine/signal.hpp"

namespace redislock::engine {
namespace {

// Asks its server to repeat each word that it is told, until it is told to end.
class repeats final : public operation_of<std::string> {
public:
    explicit repeats(std::shared_ptr<signal> from) : operation_of(60 * second), from_(std::move(from)) {}

private:
    task<result<std::string>> body(context& with) override {
        std::string heard;
        for (;;) {
            auto word = co_await with.receive(from_);
            if (!word) co_return std::move(word.error());
            if (**word == "end") co_return heard;
            if (auto slept = co_await with.sleep(millisecond); !slept) co_return std::move(slept.error());
            auto slot = with.make_slot();
            slot->request.policy = resend::read;
            slot->request.commands.add("ECHO", **word);
            auto said = co_await with.send(std::move(slot));
            if (!said) co_return std::move(said.error());
            heard += (*said)[0].text + " ";
        }
    }

    std::shared_ptr<signal> from_;
};

// A reactor within another poller.
class driven final : public pollable {
public:
    driven(poller& outer, const std::string& url) : outer_(outer) {
        auto settings = wire::parse_url(url);
        core_ = std::move(*reactor::make([&](loop& home) -> result<std::unique_ptr<backend>> {
            return std::unique_ptr<backend>(std::move(*server_backend::make(home, *settings)));
        }));
        token_ = outer_.add(core_->loop().poller(), *this);
    }
    driven(const driven&) = delete;
    driven& operator=(const driven&) = delete;
    ~driven() override { outer_.remove(token_, core_->fileno()); }

    reactor& core() { return *core_; }
    /// Before the thread waits: what can go on does. True if more can at once.
    bool prepare() {
        core_->pump(0);
        finished += core_->take_finished().size();
        return core_->has_work();
    }

    void on_event(bool /*readable*/, bool /*writable*/) override {}  // the next round looks at all

    std::size_t finished = 0;

private:
    poller& outer_;
    std::unique_ptr<reactor> core_;
    poller::token token_ = 0;
};

TEST(reactors_of_one_thread, go_on_side_by_side_until_it_is_stopped) {
    const echo_server first;
    const echo_server second;
    poller outer;
    std::array<driven, 2> both{driven(outer, first.url()), driven(outer, second.url())};
    std::array<std::shared_ptr<signal>, 2> told;
    std::array<std::shared_ptr<repeats>, 2> asked;
    for (std::size_t i = 0; i < both.size(); ++i) {
        told[i] = signal::make(both[i].core().loop());
        asked[i] = std::make_shared<repeats>(told[i]);
        both[i].core().submit(asked[i]);
    }
    std::atomic<bool> stop = false;
    std::atomic<bool> all_ended = false;
    int rounds = 0;
    std::thread thread([&] {
        while (!stop) {
            bool at_once = false;
            for (auto& each : both) at_once = each.prepare() || at_once;
            all_ended = both[0].finished + both[1].finished == both.size();
            all_ended.notify_all();
            outer.wait(at_once ? 0 : never);
            outer.dispatch();
            ++rounds;
        }
    });
    std::string expected;
    for (int i = 0; i < 20; ++i) {
        for (auto& each : told) each->post(std::to_string(i));
        expected += std::to_string(i) + " ";
    }
    for (auto& each : told) each->post("end");
    all_ended.wait(false);
    stop = true;
    outer.wake_handle()->wake();  // it sleeps, without a limit
    thread.join();
    EXPECT_EQ(outcome_of(*asked[0]), expected);
    EXPECT_EQ(outcome_of(*asked[1]), expected);
    EXPECT_LT(rounds, 2000) << "it waits, and does not spin";
}

}  // namespace
}  // namespace redislock::engine
