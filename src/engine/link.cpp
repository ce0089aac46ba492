#include "engine/link.hpp"

#include <algorithm>
#include <utility>

namespace redislock::engine {
namespace {

constexpr std::size_t max_lost_clients = 64;

std::string seconds(nanos duration) {
    const auto milliseconds = duration / millisecond;
    std::string text = std::to_string(milliseconds / 1000);
    if (milliseconds % 1000 != 0) {
        std::string rest = std::to_string(1000 + milliseconds % 1000).substr(1);
        rest.erase(rest.find_last_not_of('0') + 1);
        text += "." + rest;
    }
    return text + " s";
}

}  // namespace

link::link(engine::loop& loop, endpoint& at, link_owner& owner, bool exclusive)
    : loop_(loop), at_(at), owner_(owner), exclusive_(exclusive) {}

link::~link() {
    loop_.stop_listening(*this);
    if (connection_) loop_.poller().remove(token_, connection_->fd());
}

// Everything begins in a later turn, so that the owner is never called back from its own call.
void link::open() { loop_.timers().arm(*this, loop_.now()); }

void link::on_timer() {
    switch (state_) {
        case state::fresh: look_up(); return;
        case state::ready:
            if (awaited()) loop_.timers().arm(*this, loop_.now() + grace_);
            else lost({errc::connection_failed, "the server went silent"});
            return;
        case state::dead: return;
        default:
            lost({errc::connection_failed, "cannot connect to " + at_.settings.redacted() + " within " +
                                               seconds(at_.settings.effective_connect_timeout()) + ": " +
                                               last_failure_.message});
    }
}

void link::look_up() {
    loop_.timers().arm(*this, loop_.now() + at_.settings.effective_connect_timeout());
    state_ = state::resolving;
    if (at_.settings.scheme == wire::scheme::unix_socket) {
        addresses_.assign(1, {});
        try_next_address();
        return;
    }
    last_failure_.message = "the host name was not resolved in time";
    lookup_ = wire::lookup::start(at_.settings.host, [wake = loop_.poller().wake_handle()] { wake->wake(); });
    loop_.listen_for_wake(*this);
    on_wake();
}

void link::on_wake() {
    if (state_ != state::resolving || !lookup_->ready()) return;
    loop_.stop_listening(*this);
    auto found = lookup_->take();
    lookup_.reset();
    if (!found) {
        lost(found.error());
        return;
    }
    addresses_ = std::move(*found);
    last_failure_.message = "no answer";
    try_next_address();
}

void link::try_next_address() {
    while (next_address_ < addresses_.size()) {
        auto opened = wire::connection::open(at_.settings, addresses_[next_address_++]);
        if (!opened) {
            last_failure_ = opened.error();
            continue;
        }
        connection_ = std::move(*opened);
        state_ = state::connecting;
        interested_in_writing_ = true;
        token_ = loop_.poller().add(connection_->fd(), *this, true);
        return;
    }
    lost(last_failure_);
}

void link::on_event(bool readable, bool writable) {
    if (state_ == state::connecting) {
        if (!writable) return;
        auto up = connection_->established(at_.settings, at_.tls.get());
        if (up) {
            greet();
            return;
        }
        last_failure_ = up.error();
        loop_.poller().remove(token_, connection_->fd());
        connection_.reset();
        try_next_address();
        return;
    }
    if (state_ == state::dead) return;
    if (readable) {
        auto filled = connection_->fill();
        take_replies();
        if (state_ == state::dead) return;
        if (!filled) {
            lost(in_context(filled.error()));
            return;
        }
    }
    flush();
}

void link::greet() {
    state_ = state::greeting;
    greeting_.resp3 = at_.resp3;
    greeting_.exclusive = exclusive_;
    // They stay on the list until this greeting is answered: another link that greets meanwhile must
    // not repeat a request before they are gone. Killing one twice is harmless.
    greeting_.lost = at_.lost;
    const auto handshake = wire::make_handshake(at_.settings, greeting_);
    greeting_replies_ = handshake.count();
    said_.clear();
    connection_->append(handshake.bytes());
    last_failure_.message = "connected, but the server did not answer the greeting";
    if (at_.tls) last_failure_.message += "; does it speak TLS on this port?";
    flush();
}

void link::take_greeting() {
    auto judged = wire::read_handshake(at_.settings, greeting_, said_);
    if (!judged) {
        lost(judged.error());
        return;
    }
    if (judged->downgrade) {
        loop_.log(log_level::info, at_.settings.redacted() + " knows no HELLO 3: using RESP2");
        at_.resp3 = false;
        greet();
        return;
    }
    if (judged->kill_refused) {
        loop_.log(
            log_level::warning,
            at_.settings.redacted() + " forbids CLIENT KILL: a request of a lost connection may run late");
    }
    if (!greeting_.lost.empty()) loop_.log(log_level::debug, "killed what was left of lost connections");
    std::erase_if(at_.lost, [this](const wire::lost_client& each) {
        return std::any_of(greeting_.lost.begin(), greeting_.lost.end(),
                           [&](const wire::lost_client& killed) { return killed.id == each.id; });
    });
    greeting_ = {};
    said_.clear();
    client_id_ = judged->client_id;
    // Behind NAT or a proxy the server knows this connection by another address than we do.
    client_address_ = judged->address.empty() ? connection_->local_address() : judged->address;
    at_.ever_ready = true;
    cancel();
    state_ = state::ready;
    owner_.on_link_ready(*this);
}

void link::take_replies() {
    bool heard = false;
    while (state_ == state::greeting || state_ == state::ready) {
        auto got = connection_->next();
        if (!got) {
            lost({got.error().code, at_.settings.redacted() + ": " + got.error().message});
            return;
        }
        if (!*got) return;
        if (!std::exchange(heard, true)) heard_at_ = loop_.now();
        take_reply(**got);
    }
}

void link::take_reply(wire::reply& said) {
    const bool push = said.type == wire::reply::kind::push;
    if (state_ == state::greeting) {
        if (push) return;
        said_.push_back(std::move(said));
        if (said_.size() == greeting_replies_) take_greeting();
        return;
    }
    if (push || offered_.empty()) {
        if (!owner_.on_link_push(*this, said))
            lost({errc::protocol, "the server sent a reply that nobody asked for"});
        return;
    }
    slot& first = *offered_.front();
    first.replies.push_back(std::move(said));
    if (!first.complete()) return;
    slot_ptr answered = std::move(offered_.front());
    offered_.pop_front();
    answered->offered = false;
    owner_.on_link_answer(*this, std::move(answered));
    if (state_ == state::ready && retired_ && offered_.empty()) {
        lost({errc::connection_failed, "retired"});
    }
}

void link::offer(slot_ptr which, nanos now) {
    which->offered = true;
    which->offered_at = now;
    which->carrier = this;
    connection_->append(which->request.commands.bytes());
    offered_.push_back(std::move(which));
}

void link::flush() {
    if (!connection_ || state_ == state::connecting || state_ == state::dead) return;
    auto written = connection_->flush();
    if (!written) {
        // The peer may have answered, or said why, before it hung up.
        [[maybe_unused]] const auto ended = connection_->fill();
        take_replies();
        if (state_ != state::dead) lost(in_context(written.error()));
        return;
    }
    update_interest();
}

void link::probe() {
    auto filled = connection_->fill();
    take_replies();
    if (state_ != state::dead && !filled) lost(in_context(filled.error()));
}

void link::update_interest() {
    const bool wanted = connection_->wants_write();
    if (wanted == interested_in_writing_) return;
    interested_in_writing_ = wanted;
    loop_.poller().change(token_, connection_->fd(), wanted);
}

void link::retire(nanos grace) {
    if (retired_) return;
    retired_ = true;
    grace_ = grace;
    loop_.timers().arm(*this, loop_.now() + grace);
}

// Each of them has a deadline of its own, so this ends.
bool link::awaited() const noexcept {
    return std::any_of(offered_.begin(), offered_.end(),
                       [](const slot_ptr& each) { return each->listener != nullptr; });
}

void link::lost(const error& why) {
    if (state_ == state::dead) return;
    remember_lost_client();
    state_ = state::dead;
    cancel();
    loop_.stop_listening(*this);
    if (connection_) {
        loop_.poller().remove(token_, connection_->fd());
        connection_.reset();
    }
    for (const auto& each : offered_) each->replies.clear();
    owner_.on_link_lost(*this, why, std::exchange(offered_, {}));
}

// What ends a greeting says of itself neither where nor why: a server that speaks only TLS hangs up.
error link::in_context(error why) const {
    if (state_ != state::greeting || why.code != errc::connection_failed) return why;
    why.message = "cannot connect to " + at_.settings.redacted() + ": " + why.message;
    if (!at_.tls) why.message += "; does it want TLS (rediss://)?";
    return why;
}

void link::remember_lost_client() {
    auto& list = at_.lost;
    const bool harmless = std::all_of(offered_.begin(), offered_.end(), [](const slot_ptr& each) {
        return each->request.policy == resend::read;
    });
    if (client_id_ != 0 && !harmless) list.push_back({client_id_, client_address_});
    if (list.size() > max_lost_clients) list.erase(list.begin(), list.end() - max_lost_clients);
}

}  // namespace redislock::engine
