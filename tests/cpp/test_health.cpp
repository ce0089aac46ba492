// What a server says of itself: INFO read as a report, and the warnings about settings that endanger
// money.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "accounts/ledger.hpp"
#include "fake_engine.hpp"

namespace redislock::accounts {
namespace {

using wire::bulk;
using wire::list;
using wire::refusal_of;
using wire::simple;

class health_run final : public engine::operation_of<health_report> {
public:
    health_run() : operation_of(5 * second) {}

private:
    engine::task<result<health_report>> body(engine::context& with) override { return health(with); }
};

struct health_test : testing::Test {
    engine::fake_reactor on;

    health_report report(const std::string& info, const std::string& save = "") const {
        auto own = on.submit<health_run>();
        for (int ping = 0; ping < 2; ++ping) {
            EXPECT_EQ(on.shared().oldest(), "PING");
            on.pass((ping + 1) * millisecond);
            on.shared().answer(simple("PONG"));
            on.settle();
        }
        EXPECT_EQ(on.shared().oldest(), "INFO | CONFIG GET save");
        on.shared().answer({bulk(info), list({bulk("save"), bulk(save)})});
        on.settle();
        EXPECT_TRUE(own->finished() && own->outcome().has_value());
        return *own->outcome();
    }
    static std::vector<std::string> kinds(const health_report& of) {
        std::vector<std::string> found;
        for (const auto& each : of.warnings) {
            for (const auto* word : {"evicted", "no persistence", "append-only", "refuses writes"}) {
                if (each.find(word) != std::string::npos) found.emplace_back(word);
            }
        }
        return found;
    }
};

using words = std::vector<std::string>;

constexpr const char* good =
    "# Server\r\nredis_version:7.0.15\r\nos:Linux\r\n\r\n# "
    "Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
    "# Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\n";

std::string with(std::string text, const std::string& before, const std::string& after) {
    return text.replace(text.find(before), before.size(), after);
}

TEST_F(health_test, names_the_server_and_measures_the_second_ping) {
    const auto own = report(good);
    EXPECT_TRUE(own.reachable);
    EXPECT_EQ(own.server, "redis");
    EXPECT_EQ(own.version, "7.0.15");
    EXPECT_EQ(own.role, "master");
    EXPECT_EQ(own.latency, 2 * millisecond) << "the first may include the connecting";
    EXPECT_TRUE(own.warnings.empty());
    EXPECT_TRUE(own.error.empty());
    EXPECT_EQ(own.details.at("maxmemory_policy"), "noeviction");
}

TEST_F(health_test, knows_the_relatives) {
    EXPECT_EQ(report(std::string(good) + "server_name:valkey\r\nvalkey_version:9.0.1\r\n").server, "valkey");
    EXPECT_EQ(report(std::string(good) + "server_name:valkey\r\nvalkey_version:9.0.1\r\n").version, "9.0.1");
    EXPECT_EQ(report(std::string(good) + "dragonfly_version:df-v1.2\r\n").server, "dragonfly");
    EXPECT_EQ(report("something:else\n").server, "unknown");
    EXPECT_EQ(report("").server, "unknown");
}

TEST_F(health_test, warns_of_eviction_only_where_it_can_happen) {
    const auto policy = with(good, "noeviction", "allkeys-lru");
    EXPECT_EQ(kinds(report(policy)), words{}) << "no limit, no eviction";
    EXPECT_EQ(kinds(report(with(policy, "maxmemory:0", "maxmemory:100"))), words{"evicted"});
    EXPECT_EQ(kinds(report(with(good, "maxmemory:0", "maxmemory:100"))), words{});
}

TEST_F(health_test, warns_of_what_a_restart_would_lose) {
    const auto no_log = with(good, "aof_enabled:1", "aof_enabled:0");
    EXPECT_EQ(kinds(report(no_log, "")), words{"no persistence"});
    EXPECT_EQ(kinds(report(no_log, "3600 1")), words{"append-only"});
    EXPECT_EQ(kinds(report(good, "3600 1")), words{});
}

TEST_F(health_test, warns_of_a_replica) {
    const auto own = report(with(good, "role:master", "role:slave"));
    EXPECT_EQ(own.role, "slave");
    EXPECT_EQ(kinds(own), words{"refuses writes"});
}

TEST_F(health_test, reads_lines_however_they_end) {
    EXPECT_EQ(report("redis_version:7\nrole:master").version, "7");
    EXPECT_EQ(report("no colon here\r\n:\r\nredis_version:7:2\r\n").version, "7:2");
}

TEST_F(health_test, a_server_without_config_is_given_the_benefit_of_the_doubt) {
    auto own = on.submit<health_run>();
    for (int ping = 0; ping < 2; ++ping) {
        on.shared().answer(simple("PONG"));
        on.settle();
    }
    on.shared().answer(
        {bulk(with(good, "aof_enabled:1", "aof_enabled:0")), refusal_of("NOPERM no config for you")});
    on.settle();
    EXPECT_EQ(kinds(*own->outcome()), words{"append-only"});
}

TEST_F(health_test, is_never_an_error) {
    auto unreachable = on.submit<health_run>();
    on.shared().fail(errc::connection_failed, "cannot connect to nowhere");
    on.settle();
    ASSERT_TRUE(unreachable->outcome().has_value());
    EXPECT_FALSE(unreachable->outcome()->reachable);
    EXPECT_EQ(unreachable->outcome()->error, "cannot connect to nowhere");
    auto forbidden = on.submit<health_run>();
    on.shared().answer(refusal_of("NOPERM no ping for you"));
    on.settle();
    EXPECT_FALSE(forbidden->outcome()->reachable);
    EXPECT_EQ(forbidden->outcome()->error, "NOPERM no ping for you");
    auto silent = on.submit<health_run>();
    for (int ping = 0; ping < 2; ++ping) {
        on.shared().answer(simple("PONG"));
        on.settle();
    }
    on.pass(5 * second);
    ASSERT_TRUE(silent->finished());
    EXPECT_TRUE(silent->outcome()->reachable) << "it did answer PING";
    EXPECT_EQ(silent->outcome()->warnings.size(), 1U);
}

}  // namespace
}  // namespace redislock::accounts
