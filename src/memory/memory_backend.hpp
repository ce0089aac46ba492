// Channels to a miniature server of this process: for the engine, memory:// is a server whose
// replies have always come by the next turn.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "engine/channel.hpp"
#include "engine/loop.hpp"
#include "memory/server.hpp"
#include "wire/options.hpp"

namespace redislock::memory {

/// Runs the units of a flush together, each of them whole, in the order in which they were sent.
/// Coroutines go on through the ready queue, so between two units of one of them all others get
/// their turn, as on a server.
class memory_channel final : public engine::channel, private engine::flushable {
public:
    memory_channel(engine::loop& loop, std::shared_ptr<server> home, const std::string& name);
    memory_channel(const memory_channel&) = delete;
    memory_channel& operator=(const memory_channel&) = delete;
    ~memory_channel() override;

    void send(engine::slot_ptr which) override;
    void abandon(engine::slot& which, bool overdue) override;
    bool reusable() const noexcept override { return pending_.empty(); }
    std::string condition() const override { return "waiting for " + name_; }

private:
    void flush() override;
    void run(turn& within, engine::slot& which);

    engine::loop& loop_;
    session session_;
    const std::string& name_;
    std::vector<engine::slot_ptr> pending_;
    std::vector<engine::slot_ptr> running_;  // empty but during a flush; kept for its memory
};

class memory_backend final : public engine::backend {
public:
    /// `settings` give the name for messages and the number of exclusive channels.
    static std::unique_ptr<engine::backend> make(engine::loop& loop, std::shared_ptr<server> home,
                                                 const wire::options& settings);

    engine::channel& shared() override { return shared_; }
    std::unique_ptr<engine::channel> make_exclusive() override;
    std::unique_ptr<engine::subscription> subscribe(std::string channel, engine::subscriber& who) override;
    std::uint32_t max_exclusive() const noexcept override { return max_exclusive_; }
    std::string name() const override { return name_; }

private:
    memory_backend(engine::loop& loop, std::shared_ptr<server> home, const wire::options& settings);

    engine::loop& loop_;
    std::shared_ptr<server> home_;
    std::string name_;
    std::uint32_t max_exclusive_;
    memory_channel shared_;
};

}  // namespace redislock::memory
