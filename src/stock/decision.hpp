// What order.lua decides and does at the server, decided here from what was read before: for the strategies
// that do so.
#pragma once

#include <cstdint>

#include "engine/slot.hpp"
#include "stock/order.hpp"

namespace redislock::stock {

/// An outcome, or what has to be done by a script before there is one.
struct draft : receipt {
    enum class need : std::uint8_t {
        nothing,
        sweep,   ///< something has timed out: look again when it has come back
        record,  ///< there is an order of this id, and what became of it only a script can tell
    };
    need needs = need::nothing;
};

/// Does what a draft needs. Nothing: look again.
engine::task<result<std::optional<receipt>>> follow_up(engine::context& with, const settings& rules,
                                                       const order& asked, const draft& seen);

/// What it refers to must outlive it.
class decision {
public:
    decision(const settings& rules, const order& asked) noexcept : rules_(rules), asked_(asked) {}

    /// Appends what has to be read.
    void look(wire::commands& out) const;
    /// Its replies from `first` on: an outcome, or nothing where there is something to commit.
    result<std::optional<draft>> looked(const engine::answer& said, std::size_t first);
    /// Appends the changes. `overwrites`: the level is set to what was computed, whatever it is by then.
    void commit(wire::commands& out, bool overwrites) const;
    /// What the commit comes to, if nothing has changed since the look.
    receipt committed() const;

private:
    struct stored {
        amount level = 0;
        amount has = 0;
    };
    result<std::optional<stored>> read(const engine::answer& said, std::size_t first) const;
    draft ended(verdict how) const;
    std::string_view state() const noexcept { return asked_.reserves ? "reserved" : "confirmed"; }

    const settings& rules_;
    const order& asked_;
    amount level_ = 0;
    std::int64_t now_ms_ = 0;
};

}  // namespace redislock::stock
