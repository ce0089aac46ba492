// URLs and options: every form that is understood, every one that is refused, and that no message
// and nothing that is printed repeats a password.
#include "wire/options.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace redislock::wire {
namespace {

options parsed(std::string_view url) {
    auto made = parse_url(url);
    EXPECT_TRUE(made.has_value()) << url << ": " << (made ? "" : made.error().message);
    return made ? *made : options{};
}

error refusal(std::string_view url) {
    const auto made = parse_url(url);
    EXPECT_FALSE(made.has_value()) << url;
    return made ? error{} : made.error();
}

TEST(options, of_a_full_tcp_url) {
    const auto got = parsed("redis://bob:s3cret@example.org:7000/3");
    EXPECT_EQ(got.scheme, scheme::tcp);
    EXPECT_EQ(got.host, "example.org");
    EXPECT_EQ(got.port, 7000);
    EXPECT_EQ(got.db, 3);
    EXPECT_EQ(got.username, "bob");
    EXPECT_EQ(got.password, "s3cret");
    EXPECT_EQ(got.timeout, 5 * second);
    EXPECT_EQ(got.effective_connect_timeout(), 5 * second);
    EXPECT_EQ(got.max_connections, 64U);
    EXPECT_TRUE(got.tls.verify_peer);
    EXPECT_TRUE(got.tls.check_hostname);
}

TEST(options, have_defaults_for_what_is_left_out) {
    for (const auto* url : {"redis://", "redis://localhost", "localhost", "localhost:6379", ":6379",
                            "redis:///0", "redis://localhost/", "localhost/0"}) {
        const auto got = parsed(url);
        EXPECT_EQ(got.host, "localhost") << url;
        EXPECT_EQ(got.port, 6379) << url;
        EXPECT_EQ(got.db, 0) << url;
        EXPECT_TRUE(got.username.empty() && got.password.empty()) << url;
    }
    EXPECT_EQ(parsed("cache.local:6380").host, "cache.local");
    EXPECT_EQ(parsed("cache.local:6380").port, 6380);
    EXPECT_EQ(parsed(":pw@host").password, "pw");
    EXPECT_EQ(parsed("redis://:pw@host").username, "");
    EXPECT_EQ(parsed("redis://bob@host").username, "bob");
}

TEST(options, of_the_other_schemes) {
    EXPECT_EQ(parsed("rediss://host").scheme, scheme::tls);
    const auto unix_socket = parsed("unix:///run/redis.sock?db=2&password=pw");
    EXPECT_EQ(unix_socket.scheme, scheme::unix_socket);
    EXPECT_EQ(unix_socket.path, "/run/redis.sock");
    EXPECT_EQ(unix_socket.db, 2);
    EXPECT_EQ(unix_socket.password, "pw");
    const auto with_user = parsed("unix://bob:pw@/run/redis.sock");
    EXPECT_EQ(with_user.username, "bob");
    EXPECT_EQ(with_user.path, "/run/redis.sock");
    EXPECT_EQ(parsed("unix:///with%20space").path, "/with space");
    EXPECT_EQ(parsed("unix:///has@sign").path, "/has@sign");
    EXPECT_EQ(parsed("memory://").scheme, scheme::memory);
    EXPECT_EQ(parsed("memory://shared").path, "shared");
}

TEST(options, of_addresses_in_version_6) {
    const auto got = parsed("redis://[2001:db8::1]:7000/1");
    EXPECT_EQ(got.host, "2001:db8::1");
    EXPECT_EQ(got.port, 7000);
    EXPECT_EQ(parsed("[::1]").host, "::1");
    EXPECT_EQ(got.redacted(), "redis://[2001:db8::1]:7000/1");
}

TEST(options, decode_what_is_percent_encoded) {
    const auto got = parsed("redis://b%40b:p%2Fw%3a%25@host%2eorg");
    EXPECT_EQ(got.username, "b@b");
    EXPECT_EQ(got.password, "p/w:%");
    EXPECT_EQ(got.host, "host.org");
    EXPECT_EQ(parsed("redis://a:b@c@host").password, "b@c") << "the last @ ends the credentials";
}

TEST(options, come_as_query_parameters) {
    const auto got = parsed(
        "rediss://host?timeout=2.5&connect_timeout=0.25&username=bob&password=p%26w&db=4&client_name=till-1&"
        "max_connections=7&ssl_ca_certs=/ca.pem&ssl_ca_path=/ca&ssl_certfile=/me.pem&ssl_keyfile=/me.key&"
        "ssl_cert_reqs=none&ssl_check_hostname=false");
    EXPECT_EQ(got.timeout, 2'500 * millisecond);
    EXPECT_EQ(got.connect_timeout, 250 * millisecond);
    EXPECT_EQ(got.effective_connect_timeout(), 250 * millisecond);
    EXPECT_EQ(got.username, "bob");
    EXPECT_EQ(got.password, "p&w");
    EXPECT_EQ(got.db, 4);
    EXPECT_EQ(got.client_name, "till-1");
    EXPECT_EQ(got.max_connections, 7U);
    EXPECT_EQ(got.tls.ca_certs, "/ca.pem");
    EXPECT_EQ(got.tls.ca_path, "/ca");
    EXPECT_EQ(got.tls.certfile, "/me.pem");
    EXPECT_EQ(got.tls.keyfile, "/me.key");
    EXPECT_FALSE(got.tls.verify_peer);
    EXPECT_FALSE(got.tls.check_hostname);
    EXPECT_EQ(parsed("host?&&db=1&").db, 1);
}

TEST(options, name_the_part_that_is_wrong) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"", "empty"},
        {"http://host", "scheme"},
        {"REDIS:/host", "port"},
        {"redis://host:port", "port"},
        {"redis://host:", "port"},
        {"redis://host:0", "port"},
        {"redis://host:65536", "port"},
        {"redis://host:-1", "port"},
        {"redis://::1", "port"},
        {"redis://host/x", "db"},
        {"redis://host/-1", "db"},
        {"redis://host/0/1", "db"},
        {"redis://host/1000001", "db"},
        {"redis://[::1", "]"},
        {"redis://[::1]6379", "]"},
        {"redis://ho st", "host"},
        {"redis://host\n", "host"},
        {"redis://ho%zzst", "host"},
        {"redis://ho%2", "host"},
        {"redis://a%:b@host", "user name or password"},
        {"redis://a:b%4@host", "user name or password"},
        {"redis://host#1", "#"},
        {"unix://run/redis.sock", "absolute path"},
        {"unix://", "absolute path"},
        {"/run/redis.sock", "unix:///run/redis.sock"},
        {"unix:///a%z0", "path"},
        {"redis://host?timeout=0", "timeout"},
        {"redis://host?timeout=-1", "timeout"},
        {"redis://host?timeout=nan", "timeout"},
        {"redis://host?timeout=inf", "timeout"},
        {"redis://host?timeout=", "timeout"},
        {"redis://host?timeout", "timeout"},
        {"redis://host?timeout=5s", "timeout"},
        {"redis://host?timeout=%205", "timeout"},
        {"redis://host?timeout=2e6", "timeout"},
        {"redis://host?connect_timeout=soon", "connect_timeout"},
        {"redis://host?db=one", "db"},
        {"redis://host?max_connections=0", "max_connections"},
        {"redis://host?max_connections=10001", "max_connections"},
        {"redis://host?client_name=a%20b", "client_name"},
        {"redis://host?client_name=a%0ab", "client_name"},
        {"rediss://host?ssl_cert_reqs=optional", "ssl_cert_reqs"},
        {"rediss://host?ssl_check_hostname=maybe", "ssl_check_hostname"},
        {"redis://host?db=%zz", "db"},
        {"redis://host?colour=blue", "colour"},
    };
    for (const auto& [url, word] : cases) {
        const auto why = refusal(url);
        EXPECT_EQ(why.code, errc::configuration) << url;
        EXPECT_NE(why.message.find(word), std::string::npos) << url << ": " << why.message;
    }
}

TEST(options, unix_paths_may_be_as_long_as_the_system_takes) {
    EXPECT_EQ(parsed("unix:///" + std::string(102, 'x')).path.size(), 103U);
    EXPECT_NE(refusal("unix:///" + std::string(103, 'x')).message.find("103"), std::string::npos);
}

TEST(options, messages_never_repeat_a_password) {
    for (const auto* url : {"redis://bob:hunter2@host:bad",   "redis://bob:hunter2@host/x",
                            "redis://bob:hunter2%@host",      "http://bob:hunter2@host",
                            "redis://:hunter2@[::1",          "redis://bob:hunter2@ho st",
                            "redis://bob:hunter2#@host",      "redis://bob:hunter2/more@host",
                            "redis://bob:a/hunter2@host",     "redis://bob:a?hunter2@host",
                            "redis://bob:1?b=hunter2@host",   "redis://bob:1?hunter2=b@host",
                            "redis://bob:1?b&hunter2@host",   "redis://bob:1?hunter2@host",
                            "redis://bob:1?hunter2=%zz@host", "redis://host?password=hunter2%",
                            "redis://host:hunter2",           "unix://bob:a?hunter2@/run/x",
                            "unix://bob:hunter2@run",         "bob:hunter2@host:x",
                            "redis://bob:hunter2@host?db=x"}) {
        EXPECT_EQ(refusal(url).message.find("hunter2"), std::string::npos)
            << url << ": " << refusal(url).message;
    }
}

TEST(options, are_printed_without_the_password) {
    EXPECT_EQ(parsed("redis://bob:hunter2@host/1").redacted(), "redis://bob:***@host:6379/1");
    EXPECT_EQ(parsed("redis://:hunter2@host").redacted(), "redis://:***@host:6379/0");
    EXPECT_EQ(parsed("redis://bob@host").redacted(), "redis://bob@host:6379/0");
    EXPECT_EQ(parsed("rediss://host").redacted(), "rediss://host:6379/0");
    EXPECT_EQ(parsed("unix://bob:hunter2@/run/x?db=2").redacted(), "unix://bob:***@/run/x?db=2");
    EXPECT_EQ(parsed("unix:///run/x").redacted(), "unix:///run/x");
    EXPECT_EQ(parsed("memory://till?password=hunter2").redacted(), "memory://till");
}

TEST(options, of_tls_are_refused_where_the_url_names_no_tls) {
    for (const char* name : {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs",
                             "ssl_check_hostname"}) {
        for (const char* url : {"redis://host", "host", "unix:///run/redis.sock"}) {
            options target = parsed(url);
            const auto set = set_option(target, name, "true");
            ASSERT_FALSE(set.has_value()) << url << ' ' << name;
            EXPECT_NE(set.error().message.find(name), std::string::npos);
            EXPECT_NE(set.error().message.find("rediss://"), std::string::npos);
            EXPECT_EQ(refusal(std::string(url) + '?' + name + "=true").message, set.error().message);
        }
    }
    options rehearsal = parsed("memory://till");
    EXPECT_TRUE(set_option(rehearsal, "ssl_ca_certs", "/ca.pem").has_value())
        << "it takes what a server takes";
}

TEST(options, can_be_set_one_by_one) {
    options target = parsed("rediss://host/1");
    EXPECT_TRUE(set_option(target, "db", "2").has_value());
    EXPECT_TRUE(set_option(target, "password", "a b%").has_value());
    EXPECT_TRUE(set_option(target, "timeout", "1e-05").has_value()) << "as Python writes it";
    EXPECT_EQ(target.db, 2);
    EXPECT_EQ(target.password, "a b%") << "text of its own is not decoded";
    EXPECT_EQ(target.timeout, 10 * microsecond);
    for (const auto* yes : {"true", "True", "1", "yes"}) {
        target.tls.check_hostname = false;
        EXPECT_TRUE(set_option(target, "ssl_check_hostname", yes).has_value());
        EXPECT_TRUE(target.tls.check_hostname) << yes;
    }
    EXPECT_EQ(set_option(target, "host", "x").error().code, errc::configuration);
}

}  // namespace
}  // namespace redislock::wire
