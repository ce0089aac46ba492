#include "engine/signal.hpp"

#include <utility>

namespace redislock::engine {

std::shared_ptr<signal> signal::make(engine::loop& loop) {
    return std::shared_ptr<signal>(new signal(loop.mail()));
}

void signal::post(std::string word) { mailbox_->post(shared_from_this(), std::move(word)); }

std::optional<std::string> signal::take() {
    if (words_.empty()) return std::nullopt;
    std::string oldest = std::move(words_.front());
    words_.pop_front();
    return oldest;
}

void signal::deliver(std::string word) {
    words_.push_back(std::move(word));
    if (listener != nullptr) listener->on_word();
}

// One wake for all that is posted until the loop comes for it.
void mailbox::post(std::shared_ptr<signal> to, std::string word) {
    {
        const std::scoped_lock lock(mutex_);
        if (closed_) return;
        posted_.push_back({std::move(to), std::move(word)});
        if (posted_.size() > 1) return;
    }
    waker_->wake();
}

// What is dropped is destroyed outside of the mutex: it may be the last that holds this mailbox.
void mailbox::close() noexcept {
    std::vector<letter> dropped;
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    dropped.swap(posted_);
}

void mailbox::on_wake() {
    std::vector<letter> letters;
    {
        const std::scoped_lock lock(mutex_);
        letters.swap(posted_);
    }
    for (auto& each : letters) each.to->deliver(std::move(each.word));
}

}  // namespace redislock::engine
