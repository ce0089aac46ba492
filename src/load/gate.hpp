// A turnstile in front of a backend: a unit is held before it is sent, until somebody lets it go, and
// what it said and what came back is kept. Made for one operation at a time, which has one unit under
// way at most. Cleanups that outlive their caller pass unhindered. Knows nothing of accounts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/channel.hpp"
#include "types/error.hpp"
#include "wire/reply.hpp"

namespace redislock::load {

/// One round trip, or one that is about to be made.
struct exchange {
    std::vector<std::vector<std::string>> commands;  ///< the arguments of each, its name first
    std::string script;                              ///< the one that an EVALSHA among them calls
    std::vector<wire::reply> replies;
    std::optional<error> failure;  ///< why there are no replies
};

/// Cuts requests into their arguments.
std::vector<std::vector<std::string>> parse_commands(std::string_view bytes);

class gate final : public engine::backend, private engine::slot_listener {
public:
    explicit gate(std::unique_ptr<engine::backend> behind);
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;

    /// Whether a unit waits to be let go.
    bool holding() const noexcept { return static_cast<bool>(held_); }
    /// Whether a unit was let go and is not answered yet.
    bool awaiting() const noexcept { return static_cast<bool>(sent_); }
    /// The unit that waits. Its replies are empty.
    exchange next() const;
    /// Sends the unit that waits, if one does.
    void open();
    /// The last round trip that ended; null before the first.
    const exchange* last() const noexcept { return last_ ? &*last_ : nullptr; }

    engine::channel& shared() override { return *shared_; }
    std::unique_ptr<engine::channel> make_exclusive() override;
    std::unique_ptr<engine::subscription> subscribe(std::string channel, engine::subscriber& who) override {
        return behind_->subscribe(std::move(channel), who);
    }
    std::uint32_t max_exclusive() const noexcept override { return behind_->max_exclusive(); }
    std::string name() const override { return behind_->name(); }

private:
    class gated_channel;

    void on_complete(engine::slot& which) override;
    void forget(const engine::slot& which) noexcept;

    std::unique_ptr<engine::backend> behind_;
    std::unique_ptr<engine::channel> shared_;
    engine::slot_ptr held_;
    engine::channel* through_ = nullptr;  // what the held unit goes to
    engine::slot_ptr sent_;
    engine::slot_listener* told_ = nullptr;  // who waits for the sent one
    exchange under_way_;
    std::optional<exchange> last_;
};

}  // namespace redislock::load
