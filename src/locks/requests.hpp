// What the keeper asks of a server, each an operation in its reactor: renewing leases and claiming what
// was handed over, saying that waiters live, giving back what nobody came for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/context.hpp"
#include "engine/operation.hpp"
#include "locks/hold.hpp"
#include "locks/target.hpp"

namespace redislock::locks {

class refresh_request final : public engine::operation_of<std::vector<wire::reply>> {
public:
    refresh_request(std::vector<lock_keys> lines, const std::string& channel, const std::string& waits);

    const std::vector<lock_keys>& lines() const noexcept { return lines_; }

private:
    engine::task<result<std::vector<wire::reply>>> body(engine::context& with) override;

    std::vector<lock_keys> lines_;
    const std::string& channel_;
    const std::string& waits_;
};

/// Asks for leases from now on.
class lease_request : public engine::operation_of<std::vector<bool>> {
public:
    const std::vector<std::shared_ptr<hold>>& holds() const noexcept { return holds_; }
    /// Whether the server says that the one at `index` is ours and has its lease; empty where it is not
    /// known.
    std::optional<bool> granted(std::size_t index);
    /// The server has granted the one at `index`.
    void extend(std::size_t index) const {
        holds_[index]->extended(asked_at_, asked_[index].lease, asked_[index].since);
    }

protected:
    struct wish {
        nanos lease;
        std::uint32_t since;
        std::string milliseconds;
    };

    explicit lease_request(std::vector<std::shared_ptr<hold>> holds);
    const std::vector<wish>& ask(nanos now);

private:
    std::vector<std::shared_ptr<hold>> holds_;
    std::vector<wish> asked_;
    nanos asked_at_ = 0;
};

class renew_request final : public lease_request {
public:
    explicit renew_request(std::vector<std::shared_ptr<hold>> holds) : lease_request(std::move(holds)) {}

private:
    engine::task<result<std::vector<bool>>> body(engine::context& with) override;
};

class claim_request final : public lease_request {
public:
    claim_request(std::shared_ptr<hold> which, const std::string& channel)
        : lease_request({std::move(which)}), channel_(channel) {}

private:
    engine::task<result<std::vector<bool>>> body(engine::context& with) override;

    const std::string& channel_;
};

class give_back_request final : public engine::operation_of<done> {
public:
    explicit give_back_request(std::shared_ptr<hold> which);

private:
    engine::task<result<done>> body(engine::context& with) override;

    std::shared_ptr<hold> which_;
};

}  // namespace redislock::locks
