#include "engine/slot.hpp"

#include <string>

namespace redislock::engine {
namespace {

constexpr std::size_t max_free = 1024;
constexpr std::size_t max_kept_bytes = 4096;

// "$7\r\nEVALSHA\r\n" and "$40\r\n" + 40 digits + "\r\n"
constexpr std::size_t evalsha_size = 13 + 47;

}  // namespace

void unit::use_eval() {
    wire::commands call;
    call.argument(std::string_view("EVAL"));
    call.argument(fallback->body);
    commands.bytes().replace(script_at, evalsha_size, call.bytes());
    fallback = nullptr;
}

void unit::clear() noexcept {
    commands.clear();
    policy = resend::once;
    fallback = nullptr;
    script_at = 0;
}

slot_ptr::slot_ptr(slot* raw) noexcept : raw_(raw) {
    if (raw_ != nullptr) ++raw_->references_;
}

slot_ptr::slot_ptr(const slot_ptr& other) noexcept : slot_ptr(other.raw_) {}

slot_ptr::~slot_ptr() {
    if (raw_ != nullptr && --raw_->references_ == 0) raw_->home_->give_back(raw_);
}

void slot::finish() {
    offered = false;
    if (slot_listener* told = std::exchange(listener, nullptr)) told->on_complete(*this);
}

void slot::fail(error why) {
    failure = std::move(why);
    finish();
}

slot_ptr slot_pool::take() {
    std::unique_ptr<slot> made;
    if (free_.empty()) {
        made = std::make_unique<slot>();
        made->home_ = this;
    } else {
        made = std::move(free_.back());
        free_.pop_back();
    }
    return slot_ptr(made.release());
}

void slot_pool::begin_cleanup(slot& which, nanos expires_at) noexcept {
    which.cleanup = true;
    which.expires_at = expires_at;
    ++cleanups_;
}

void slot_pool::give_back(slot* which) noexcept {
    std::unique_ptr<slot> owned(which);
    if (which->cleanup) --cleanups_;
    if (free_.size() >= max_free || which->request.commands.bytes().capacity() > max_kept_bytes) return;
    which->request.clear();
    which->replies.clear();
    which->failure.reset();
    which->listener = nullptr;
    which->offered = which->in_doubt = which->abandoned = which->cleanup = false;
    which->carrier = nullptr;
    which->expires_at = never;
    free_.push_back(std::move(owned));
}

}  // namespace redislock::engine
