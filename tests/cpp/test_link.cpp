// One connection's life against a server that says what the test tells it: addresses, the time that
// connecting may take, large writes, and a server that goes silent while others still wait.
#include "engine/link.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "scripted_peer.hpp"

namespace redislock::engine {
namespace {

std::shared_ptr<request> ask(const wired_reactor& on, const std::string& word, resend policy = resend::read,
                             nanos timeout = 5 * second) {
    return on.submit<request>(std::vector<std::string>{word}, policy, timeout);
}

TEST(links, over_tcp_are_killed_by_id_and_address) {
    const wired_reactor on({}, scripted_peer::over::tcp);
    auto own = ask(on, "CHANGE", resend::recorded);
    auto line = on.welcome(7);
    line->send_reset();
    std::string greeting;
    line = on.welcome(8, &greeting);
    EXPECT_TRUE(greeting.starts_with("HELLO 3 | CLIENT INFO | CLIENT KILL ID 7 ADDR 127.0.0.1:")) << greeting;
    EXPECT_EQ(line->words(), "CHANGE");
}

TEST(links, behind_nat_are_killed_by_the_address_that_the_server_knows) {
    for (const auto over : {scripted_peer::over::tcp, scripted_peer::over::unix_socket}) {
        const wired_reactor on({}, over);
        auto own = ask(on, "CHANGE", resend::recorded);
        on.welcome(7, nullptr, "192.0.2.7:40123")->hang_up();
        std::string greeting;
        const auto line = on.welcome(8, &greeting);
        EXPECT_EQ(greeting, "HELLO 3 | CLIENT INFO | CLIENT KILL ID 7 ADDR 192.0.2.7:40123");
        EXPECT_EQ(line->words(), "CHANGE");
    }
}

TEST(links, warn_where_killing_is_forbidden) {
    const wired_reactor on;
    auto own = ask(on, "CHANGE", resend::recorded);
    on.welcome(7)->hang_up();
    auto line = on.accept();
    on.settle();
    line->say(
        "%1\r\n+id\r\n:8\r\n+id=8 addr=x:1 laddr=x:2\r\n"
        "-NOPERM this user has no permissions to run the 'client|kill' command\r\n");
    on.settle();
    EXPECT_TRUE(on.logged("forbids CLIENT KILL"));
    EXPECT_NE(line->words().find("CHANGE"), std::string::npos);
}

TEST(links, that_nobody_answers_end_with_the_connect_timeout) {
    const wired_reactor on("?connect_timeout=0.25");
    auto own = ask(on, "READ");
    const auto line = on.accept();
    on.pass(249 * millisecond);
    EXPECT_FALSE(own->finished());
    on.pass(millisecond);
    EXPECT_EQ(beginning_of(outcome_of(*own)), "connection_failed");
    EXPECT_NE(outcome_of(*own).find("within 0.25 s: connected, but the server did not answer the greeting"),
              std::string::npos)
        << outcome_of(*own);
    EXPECT_TRUE(line->closed());
}

// The total holds however the server dribbles.
TEST(links, that_are_greeted_byte_by_byte_do_not_outlive_it_either) {
    const wired_reactor on("?connect_timeout=0.25");
    auto own = ask(on, "READ");
    const auto line = on.accept();
    const std::string slow = "%1\r\n+id\r\n:7\r\n";
    for (std::size_t i = 0; i + 1 < slow.size(); ++i) {
        line->say(slow.substr(i, 1));
        on.pass(25 * millisecond);
        if (own->finished()) break;
    }
    EXPECT_EQ(beginning_of(outcome_of(*own)), "connection_failed");
}

TEST(links, try_every_address_of_a_name) {
    const wired_reactor on({}, scripted_peer::over::tcp);
    // "localhost" may stand for ::1 first, where nobody listens.
    const auto port = on.peer.url().substr(on.peer.url().rfind(':'));
    auto settings = wire::parse_url("redis://localhost" + port);
    auto named = reactor::make(
        [&](loop& home) -> result<std::unique_ptr<backend>> {
            return std::unique_ptr<backend>(std::move(*server_backend::make(home, *settings)));
        },
        fake_now);
    auto own = std::make_shared<request>(std::vector<std::string>{"READ"}, resend::read);
    (*named)->submit(own);
    std::unique_ptr<peer_line> line;
    for (int round = 0; round < 100 && !line; ++round) {
        (*named)->pump(millisecond);
        line = on.peer.accept_now();
    }
    ASSERT_NE(line, nullptr);
    (*named)->pump(0);
    EXPECT_EQ(line->words(), "HELLO 3 | CLIENT INFO");
}

TEST(links, to_a_port_where_nobody_listens_say_where) {
    wired_reactor on({}, scripted_peer::over::tcp);
    const auto address = on.peer.url().substr(8);
    on.peer.stop_listening();
    auto own = ask(on, "READ");
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "connection_failed");
    EXPECT_NE(outcome_of(*own).find("cannot connect to " + address), std::string::npos) << outcome_of(*own);
}

TEST(links, write_what_the_socket_does_not_take_at_once_in_parts) {
    const wired_reactor on;
    const std::string large(4'000'000, 'x');
    auto own = ask(on, large, resend::once);
    auto next = ask(on, "NEXT");
    auto line = on.welcome(1);
    std::string heard;
    for (int round = 0; round < 2000 && heard.size() < large.size() + 30; ++round) {
        heard += line->heard();
        on.core->pump(0);
    }
    EXPECT_EQ(heard, "*1\r\n$4000000\r\n" + large + "\r\n*1\r\n$4\r\nNEXT\r\n");
    line->say("+1\r\n+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*own) + outcome_of(*next), "+1+2");
}

TEST(links, take_what_is_larger_than_one_read) {
    const wired_reactor on;
    auto own = ask(on, "READ");
    auto line = on.welcome(1);
    const std::string large(150'000, 'y');
    line->say(bulk_bytes(large));
    on.settle();
    EXPECT_EQ(outcome_of(*own), "\"" + large + "\"");
}

TEST(links, that_went_silent_are_retired_and_neighbours_keep_their_answers) {
    const wired_reactor on;
    auto warm = ask(on, "WARM");
    auto old = on.welcome(1);
    old->say("+OK\r\n");
    on.settle();
    auto impatient = ask(on, "ONE", resend::once, 200 * millisecond);
    auto neighbour = ask(on, "TWO", resend::once);
    on.settle();
    EXPECT_EQ(old->words(), "WARM | ONE | TWO");
    on.pass(200 * millisecond);
    EXPECT_EQ(beginning_of(outcome_of(*impatient)), "outcome_unknown");
    EXPECT_FALSE(neighbour->finished());
    EXPECT_TRUE(on.logged("gone silent"));
    auto later = ask(on, "LATER", resend::once);
    auto fresh = on.welcome(2);
    EXPECT_EQ(fresh->words(), "LATER") << "new work goes elsewhere";
    fresh->say("+3\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*later), "+3");
    old->say("+late\r\n");  // for the tombstone
    on.settle();
    EXPECT_FALSE(neighbour->finished() || old->closed());
    old->say("+2\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*neighbour), "+2");
    EXPECT_TRUE(old->closed()) << "nothing is owed there any more";
}

TEST(links, where_others_are_answered_stay_though_one_caller_gave_up) {
    const wired_reactor on;
    auto slow = ask(on, "SLOW", resend::once, 200 * millisecond);
    auto line = on.welcome(1);
    auto other = ask(on, "OTHER");
    on.settle();
    on.pass(150 * millisecond);
    line->say("+late but there\r\n");
    on.settle();
    EXPECT_EQ(outcome_of(*slow), "+late but there");
    auto impatient = ask(on, "THREE", resend::read, 100 * millisecond);
    on.pass(60 * millisecond);
    line->say("+other\r\n");
    on.settle();
    on.pass(40 * millisecond);
    EXPECT_EQ(beginning_of(outcome_of(*impatient)), "timed_out");
    EXPECT_EQ(outcome_of(*other), "+other");
    auto next = ask(on, "FOUR");
    on.settle();
    EXPECT_EQ(line->words(), "SLOW | OTHER | THREE | FOUR") << "bytes came a moment ago";
    EXPECT_FALSE(on.connects_again());
}

TEST(links, with_late_replies_of_cancelled_calls_serve_the_next_ones_rightly) {
    const wired_reactor on;
    auto warm = ask(on, "WARM");
    auto line = on.welcome(1);
    line->say("+OK\r\n");
    on.settle();
    for (int round = 0; round < 20; ++round) {
        auto gone = on.submit<request>(std::vector<std::string>{"ONE", "TWO"}, resend::once);
        auto stays = ask(on, "THREE");
        on.settle();
        on.core->cancel(*gone);
        on.settle();
        EXPECT_EQ(beginning_of(outcome_of(*gone)), "outcome_unknown");
        line->say("+1\r\n+2\r\n+three " + std::to_string(round) + "\r\n");
        on.settle();
        ASSERT_EQ(outcome_of(*stays), "+three " + std::to_string(round));
    }
}

TEST(links, that_were_never_written_to_lose_nothing) {
    const wired_reactor on;
    auto own = ask(on, "CHANGE", resend::once, second);
    auto line = on.accept();  // connected, not greeted
    on.core->cancel(*own);
    on.settle();
    EXPECT_EQ(beginning_of(outcome_of(*own)), "cancelled");
    on.settle();
    line->say(wired_reactor::answer_to_greeting("HELLO 3 | CLIENT INFO", 1));
    on.settle();
    EXPECT_EQ(line->words(), "HELLO 3 | CLIENT INFO") << "what was cancelled is not sent any more";
}

TEST(links, close_their_sockets_with_the_reactor) {
    std::unique_ptr<peer_line> line;
    {
        const wired_reactor on;
        auto own = ask(on, "READ");
        line = on.welcome(1);
        EXPECT_FALSE(line->closed());
    }
    EXPECT_TRUE(line->closed());
}

}  // namespace
}  // namespace redislock::engine
