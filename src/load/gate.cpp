#include "load/gate.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace redislock::load {

std::vector<std::vector<std::string>> parse_commands(std::string_view bytes) {
    std::vector<std::vector<std::string>> commands;
    while (!bytes.empty()) {
        const std::size_t line = bytes.find("\r\n");
        if (line == std::string_view::npos) break;
        std::size_t size = 0;
        std::from_chars(bytes.data() + 1, bytes.data() + line, size);
        const bool begins = bytes.front() == '*';
        bytes.remove_prefix(line + 2);
        if (begins) {
            commands.emplace_back().reserve(size);
        } else if (!commands.empty()) {
            commands.back().emplace_back(bytes.substr(0, size));
            bytes.remove_prefix(std::min(size + 2, bytes.size()));
        }
    }
    return commands;
}

/// A channel of the backend behind, seen through the gate.
class gate::gated_channel final : public engine::channel {
public:
    gated_channel(gate& home, engine::channel& behind) noexcept : home_(home), behind_(behind) {}
    gated_channel(gate& home, std::unique_ptr<engine::channel> own) noexcept
        : home_(home), own_(std::move(own)), behind_(*own_) {}
    gated_channel(const gated_channel&) = delete;
    gated_channel& operator=(const gated_channel&) = delete;
    ~gated_channel() override {
        if (home_.through_ != &behind_) return;
        home_.held_ = {};
        home_.through_ = nullptr;
    }

    void send(engine::slot_ptr which) override {
        if (which->cleanup) {
            behind_.send(std::move(which));
        } else {
            home_.held_ = std::move(which);
            home_.through_ = &behind_;
        }
    }
    void send_behind(engine::slot_ptr which, const engine::slot& earlier) override {
        behind_.send_behind(std::move(which), earlier);
    }
    void abandon(engine::slot& which, bool overdue) override {
        const bool was_held = home_.held_.get() == &which;
        home_.forget(which);
        if (!was_held) behind_.abandon(which, overdue);
    }
    bool reusable() const noexcept override { return behind_.reusable(); }
    std::string condition() const override { return behind_.condition(); }

private:
    gate& home_;
    std::unique_ptr<engine::channel> own_;
    engine::channel& behind_;
};

gate::gate(std::unique_ptr<engine::backend> behind)
    : behind_(std::move(behind)), shared_(std::make_unique<gated_channel>(*this, behind_->shared())) {}

std::unique_ptr<engine::channel> gate::make_exclusive() {
    return std::make_unique<gated_channel>(*this, behind_->make_exclusive());
}

exchange gate::next() const {
    exchange told;
    if (!held_) return told;
    told.commands = parse_commands(held_->request.commands.bytes());
    if (held_->request.fallback != nullptr) told.script = held_->request.fallback->name;
    return told;
}

void gate::open() {
    if (!held_) return;
    under_way_ = next();  // now, since a script that is not known changes the unit on its way
    sent_ = std::exchange(held_, {});
    told_ = std::exchange(sent_->listener, static_cast<engine::slot_listener*>(this));
    std::exchange(through_, nullptr)->send(sent_);
}

void gate::on_complete(engine::slot& which) {
    under_way_.replies = which.replies;
    under_way_.failure = which.failure;
    last_ = std::move(under_way_);
    sent_ = {};
    if (auto* told = std::exchange(told_, nullptr)) told->on_complete(which);
}

void gate::forget(const engine::slot& which) noexcept {
    if (held_.get() == &which) {
        held_->listener = nullptr;
        held_ = {};
        through_ = nullptr;
    } else if (sent_.get() == &which) {
        sent_ = {};
        told_ = nullptr;
    }
}

}  // namespace redislock::load
