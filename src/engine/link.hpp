// One connection's life: look up, connect, greet, carry units, end. It is opened once and never
// again; what to do about its end is its owner's business.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/loop.hpp"
#include "engine/slot.hpp"
#include "wire/connection.hpp"
#include "wire/handshake.hpp"
#include "wire/options.hpp"
#include "wire/resolve.hpp"

namespace redislock::engine {

class link;

/// What a server_backend's links have in common.
struct endpoint {
    wire::options settings;
    std::shared_ptr<wire::tls_context> tls;
    bool resp3 = true;                    ///< until a server refuses HELLO
    bool ever_ready = false;              ///< whether any link ever got through
    std::vector<wire::lost_client> lost;  ///< to be killed by the next greeting
};

class link_owner {
public:
    virtual void on_link_ready(link& which) = 0;
    /// All replies of this slot are there. It has left the link.
    virtual void on_link_answer(link& which, slot_ptr answered) = 0;
    /// The link is dead; `unanswered` were offered. The owner gives it to the loop for disposal.
    virtual void on_link_lost(link& which, const error& why, std::deque<slot_ptr> unanswered) = 0;
    /// Something came that answers no unit: a push, or what RESP2 sends to a subscriber. False where it
    /// has no business here: the link is given up.
    virtual bool on_link_push(link& /*which*/, const wire::reply& said) {
        return said.type == wire::reply::kind::push;
    }

protected:
    ~link_owner() = default;
};

class link final : public disposable, private pollable, private timer, private wakeable {
public:
    link(engine::loop& loop, endpoint& at, link_owner& owner, bool exclusive);
    link(const link&) = delete;
    link& operator=(const link&) = delete;
    ~link() override;

    /// Begins to connect. The owner hears of the end, also of an immediate one, through
    /// on_link_ready or on_link_lost, from a later turn of the loop.
    void open();

    bool ready() const noexcept { return state_ == state::ready; }
    /// What is wrong with a link that is not ready, in words.
    const std::string& trouble() const noexcept { return last_failure_.message; }
    bool empty() const noexcept { return offered_.empty(); }
    bool congested() const noexcept { return connection_ && connection_->has_unwritten(); }
    /// When the last reply came.
    nanos heard_at() const noexcept { return heard_at_; }
    /// When the oldest unit without an answer was offered; `never` where none waits.
    nanos owing_since() const noexcept { return offered_.empty() ? never : offered_.front()->offered_at; }

    /// Appends a unit's bytes; `flush` sends them. `now` is the loop's time, asked once for many.
    void offer(slot_ptr which, nanos now);
    /// Appends commands that are no unit: what they bring comes through on_link_push.
    void tell(std::string_view bytes) { connection_->append(bytes); }
    void flush();
    /// Ends it for a reason of the owner's, who hears of it from within this call.
    void give_up(const error& why) { lost(why); }
    /// Looks whether the peer has hung up while nothing was under way.
    void probe();

    /// No new work; ends when it is empty, or after the grace once nobody waits for its answers.
    void retire(nanos grace);
    bool retired() const noexcept { return retired_; }

private:
    enum class state : std::uint8_t { fresh, resolving, connecting, greeting, ready, dead };

    void on_event(bool readable, bool writable) override;
    void on_timer() override;
    void on_wake() override;
    void look_up();
    void try_next_address();
    void greet();
    void take_greeting();
    void take_replies();
    void take_reply(wire::reply& said);
    void update_interest();
    void lost(const error& why);
    error in_context(error why) const;
    bool awaited() const noexcept;
    void remember_lost_client();

    engine::loop& loop_;
    endpoint& at_;
    link_owner& owner_;
    state state_ = state::fresh;
    bool exclusive_;
    bool retired_ = false;
    bool interested_in_writing_ = false;
    std::shared_ptr<wire::lookup> lookup_;
    wire::addresses addresses_;
    std::size_t next_address_ = 0;
    error last_failure_{errc::connection_failed, "no answer yet"};
    std::unique_ptr<wire::connection> connection_;
    poller::token token_ = 0;
    wire::greeting greeting_;
    std::size_t greeting_replies_ = 0;
    std::vector<wire::reply> said_;
    std::int64_t client_id_ = 0;
    std::string client_address_;
    std::deque<slot_ptr> offered_;
    nanos heard_at_ = 0;
    nanos grace_ = 0;
};

}  // namespace redislock::engine
