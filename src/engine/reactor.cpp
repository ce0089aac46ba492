#include "engine/reactor.hpp"

namespace redislock::engine {

result<std::unique_ptr<reactor>> reactor::make(const backend_factory& factory, clock_source clock) {
    std::unique_ptr<reactor> self(new reactor(clock));
    auto made = factory(self->loop_);
    if (!made) return made.error();
    self->backend_ = std::move(*made);
    self->lanes_ = std::make_unique<lane_pool>(*self->backend_);
    return self;
}

// Frames first, then connections; nothing is resumed.
reactor::~reactor() {
    for (auto& each : live_) {
        each->destroy_frame();
        each->context_.reset();
    }
    loop_.ready().clear();
    lanes_.reset();
    backend_.reset();
    loop_.clear_graveyard();
}

void reactor::submit(std::shared_ptr<operation> which) {
    operation& started = *which;
    started.position_ = live_.size();
    started.home_ = this;
    live_.push_back(std::move(which));
    context& with = started.context_.emplace(loop_, *backend_, *lanes_);
    with.begin(started.timeout_);
    started.launch(with, loop_.ready(),
                   {[](void* self) {
                        auto& finished = *static_cast<operation*>(self);
                        finished.home_->done_.push_back(&finished);
                    },
                    &started});
}

void reactor::finish(operation& which) {
    which.collect();
    which.context_->end();
    which.finished_ = true;
    auto& own = live_[which.position_];
    finished_.push_back(std::move(own));
    own = std::move(live_.back());
    live_.pop_back();
    if (which.position_ < live_.size()) live_[which.position_]->position_ = which.position_;
}

void reactor::cancel(operation& which, errc reason) {
    if (which.started() && !which.finished_) which.context_->interrupt(reason);
}

void reactor::cancel_all(errc reason) {
    for (const auto& each : live_) each->context_->interrupt(reason);
}

void reactor::flush() {
    loop_.ready().run_batch();
    loop_.flush();
    for (operation* each : std::exchange(done_, {})) finish(*each);
    loop_.clear_graveyard();
}

void reactor::drain() {
    constexpr int enough = 64;  // resumptions that an interrupted coroutine and its parents need
    for (int step = 0; step < enough && !live_.empty(); ++step) flush();
    flush();
}

void reactor::turn() {
    loop_.turn();
    for (operation* each : std::exchange(done_, {})) finish(*each);
}

void reactor::pump(nanos timeout) {
    flush();
    wait(timeout);
    turn();
    flush();
}

}  // namespace redislock::engine
