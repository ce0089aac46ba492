#include "load/stepper.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "accounts/ledger.hpp"
#include "accounts/withdraw.hpp"

namespace redislock::load {
namespace {

constexpr std::uint32_t most_buyers = 1'000;

// The time that a buyer is made to stand still is not the server's fault: it has no deadline.
class withdrawal final : public engine::operation_of<accounts::receipt> {
public:
    explicit withdrawal(const race_settings& asked) : operation_of(never), asked_(asked) {
        change_.keys = asked.account;
        change_.amount = asked.amount;
    }

private:
    engine::task<result<accounts::receipt>> body(engine::context& with) override {
        auto ended = co_await accounts::withdraw(asked_.strategy, with, asked_.rules, change_);
        co_return accounts::settle(with, std::move(ended));
    }

    const race_settings& asked_;
    accounts::change change_;
};

std::optional<error> find_mistake(const race_settings& asked) {
    const auto wrong = [](const char* text) { return error{errc::invalid_argument, text}; };
    if (asked.buyers < 1 || asked.buyers > most_buyers) return wrong("buyers must be from 1 to 1000");
    if (asked.amount < 1) return wrong("amount must be at least 1");
    return std::nullopt;
}

}  // namespace

class stepper::racer {
public:
    static result<std::unique_ptr<racer>> make(const race_settings& asked,
                                               const engine::backend_factory& factory, clock_source clock) {
        std::unique_ptr<racer> self(new racer(asked));
        auto made = engine::reactor::make(
            [&](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
                auto behind = factory(loop);
                if (!behind) return std::move(behind.error());
                auto gated = std::make_unique<load::gate>(std::move(*behind));
                self->gate = gated.get();
                return std::unique_ptr<engine::backend>(std::move(gated));
            },
            clock);
        if (!made) return std::move(made.error());
        self->reactor = std::move(*made);
        self->reactor->submit(self->own);
        return self;
    }

    bool at_rest() const noexcept { return gate->holding() || own->finished(); }

    load::gate* gate = nullptr;
    std::shared_ptr<withdrawal> own;
    bool paused = false;
    std::unique_ptr<engine::reactor> reactor;  // last: its coroutine refers to all of the above

private:
    explicit racer(const race_settings& asked) : own(std::make_shared<withdrawal>(asked)) {}
};

result<std::unique_ptr<stepper>> stepper::make(race_settings asked, const engine::backend_factory& factory,
                                               clock_source clock) {
    if (auto mistake = find_mistake(asked)) return std::move(*mistake);
    std::unique_ptr<stepper> self(new stepper(std::move(asked)));
    for (std::uint32_t i = 0; i < self->settings_.buyers; ++i) {
        auto made = racer::make(self->settings_, factory, clock);
        if (!made) return std::move(made.error());
        self->buyers_.push_back(std::move(*made));
    }
    return self;
}

stepper::stepper(race_settings asked) : settings_(std::move(asked)) {}

stepper::~stepper() = default;

void stepper::release(std::size_t buyer) {
    auto& who = *buyers_[buyer];
    if (!who.gate->holding()) return;
    who.paused = false;
    who.gate->open();
}

bool stepper::settle(std::size_t buyer, nanos patience) {
    auto& who = *buyers_[buyer];
    const nanos until = who.reactor->loop().now() + patience;
    for (;;) {
        who.reactor->pump(0);
        who.reactor->take_finished();
        if (who.at_rest()) return true;
        if (who.reactor->has_work()) continue;
        if (!who.gate->awaiting()) who.paused = true;
        const nanos left = until - who.reactor->loop().now();
        if (left <= 0) return false;
        who.reactor->wait(left);
    }
}

const gate& stepper::gate_of(std::size_t buyer) const noexcept { return *buyers_[buyer]->gate; }

bool stepper::paused(std::size_t buyer) const noexcept { return buyers_[buyer]->paused; }

const result<accounts::receipt>* stepper::outcome(std::size_t buyer) const noexcept {
    auto& own = *buyers_[buyer]->own;
    return own.finished() ? &own.outcome() : nullptr;
}

void stepper::cancel(nanos patience) {
    for (const auto& each : buyers_) each->reactor->cancel_all(errc::cancelled);
    for (const auto& each : buyers_) {
        auto& reactor = *each->reactor;
        const nanos until = reactor.loop().now() + patience;
        reactor.drain();
        while (reactor.loop().slots().cleanups() > 0 && reactor.loop().now() < until)
            reactor.pump(until - reactor.loop().now());
        reactor.take_finished();
    }
}

std::vector<engine::log_record> stepper::take_log() {
    std::vector<engine::log_record> all;
    for (const auto& each : buyers_) {
        auto own = each->reactor->loop().take_log();
        std::move(own.begin(), own.end(), std::back_inserter(all));
    }
    return all;
}

void stepper::abandon_after_fork() noexcept {
    for (const auto& each : buyers_) each->reactor->abandon_after_fork();
}

}  // namespace redislock::load
