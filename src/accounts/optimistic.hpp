// The protocol of the optimistic strategies, whatever it is that they change: WATCH and read, decide here,
// MULTI ... EXEC. A null reply says that somebody else wrote in between: again, after a jittered pause. Knows
// nothing of accounts.
// https://redis.io/docs/latest/develop/using-commands/transactions/#optimistic-locking-using-check-and-set
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "engine/context.hpp"
#include "engine/task.hpp"

namespace redislock::accounts {

/// What the replies to MULTI, the commands behind it, and EXEC say. True: done. False: somebody else wrote in
/// between. An error: nothing was applied, or it is outcome_unknown.
result<bool> read_exec(const engine::answer& said);

/// A deadline that passes in one attempt has its cause in the one before.
error with_cause(error ended, const std::string& last_loss);

/// `Work` is what is done:
///
///     void look(wire::commands& out);         // WATCH, and what is read in its window
///     result<std::optional<Receipt>> looked(const engine::answer& said, std::size_t first);
///                                             // its replies from `first` on; an outcome ends it here
///     void commit(engine::unit& out);         // sets the policy; appends what stands in MULTI ... EXEC
///     Receipt committed();
///     Receipt conflict();                     // every attempt met another writer
///
/// Each attempt looks anew. What it refers to must outlive the task.
template <class Receipt, class Work>
class optimistic {
public:
    optimistic(engine::context& with, std::uint32_t max_retries, Work work)
        : with_(with), max_retries_(max_retries), work_(std::move(work)) {}

    engine::task<result<Receipt>> run() {
        constexpr nanos least_backoff = 250 * microsecond;
        constexpr nanos most_backoff = 16 * millisecond;
        constexpr nanos least_reconnect = 20 * millisecond;
        constexpr nanos most_reconnect = 1 * second;

        std::uint32_t conflicts = 0;
        std::uint32_t losses = 0;
        std::string last_loss;
        engine::lane lane;
        for (;;) {
            if (!lane) {
                auto granted = co_await with_.exclusive();
                if (!granted) co_return with_cause(std::move(granted.error()), last_loss);
                lane = std::move(*granted);
            }
            auto tried = co_await attempt(lane);
            if (tried && *tried) {
                (*tried)->attempts = conflicts + 1;
                co_return std::move(**tried);
            }
            nanos pause = 0;
            if (tried) {
                if (++conflicts > max_retries_) {
                    Receipt ended = work_.conflict();
                    ended.attempts = conflicts;
                    co_return ended;
                }
                pause = with_.loop().backoff(conflicts - 1, least_backoff, most_backoff);
            } else if (tried.error().code == errc::lane_lost) {
                lane.give_up();  // the connection is gone: start again at WATCH on another, first at once
                last_loss = tried.error().message;
                if (losses++ > 0) pause = with_.loop().backoff(losses - 2, least_reconnect, most_reconnect);
            } else {
                co_return with_cause(std::move(tried.error()), last_loss);
            }
            if (pause > 0) {
                auto slept = co_await with_.sleep(pause);
                if (!slept) co_return with_cause(std::move(slept.error()), last_loss);
            }
        }
    }

private:
    // One look and, if there is something to commit, one EXEC. Nullopt: a conflict. errc::lane_lost:
    // nothing was applied, or the record will tell.
    engine::task<result<std::optional<Receipt>>> attempt(engine::lane& lane) {
        const bool watching = lane.watching;
        auto look = with_.make_slot();
        look->request.policy = engine::resend::read;
        if (watching) look->request.commands.add("UNWATCH");
        work_.look(look->request.commands);
        lane.watching = true;
        auto said = co_await with_.send(lane, std::move(look));
        if (!said) co_return std::move(said.error());
        auto seen = work_.looked(*said, watching ? 1 : 0);
        if (!seen || *seen) co_return seen;

        auto commit = with_.make_slot();
        commit->request.commands.add("MULTI");
        work_.commit(commit->request);
        commit->request.commands.add("EXEC");
        auto committed = co_await with_.send(lane, std::move(commit));
        // Perhaps never sent: then the watch is in force. And EXEC without MULTI ends no watch.
        if (!committed) co_return std::move(committed.error());
        lane.watching = (*committed)[0].is_failure();
        auto applied = read_exec(*committed);
        if (!applied) co_return std::move(applied.error());
        if (!*applied) co_return std::optional<Receipt>{};
        co_return std::optional<Receipt>(work_.committed());
    }

    engine::context& with_;
    std::uint32_t max_retries_;
    Work work_;
};

}  // namespace redislock::accounts
