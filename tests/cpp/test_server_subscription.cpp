// A channel listened to on a server that says what the test tells it: both protocols, refusals, lost
// connections, and a peer that goes silent without a word.
#include "engine/server_subscription.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "scripted_peer.hpp"

namespace redislock::engine {
namespace {

// Writes down what it is told.
class notes final : public subscriber {
public:
    void on_message(std::string_view payload) override { add("got " + std::string(payload)); }
    void on_subscribed() override { add("on"); }
    void on_unsubscribed(const error& why) override {
        add("off " + std::string(to_string(why.code)));
        last_reason = why.message;
    }
    /// What was told since the last call.
    std::string take() { return std::exchange(text_, {}); }

    std::string last_reason;

private:
    void add(const std::string& what) { text_ += (text_.empty() ? "" : ", ") + what; }
    std::string text_;
};

std::string subscribed(std::string_view kind = ">") {
    return std::string(kind) + "3\r\n" + bulk_bytes("subscribe") + bulk_bytes("ch") + ":1\r\n";
}

std::string message(std::string_view payload, std::string_view kind = ">") {
    return std::string(kind) + "3\r\n" + bulk_bytes("message") + bulk_bytes("ch") + bulk_bytes(payload);
}

constexpr std::string_view refusal =
    "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";

struct server_subscriptions : testing::Test {
    explicit server_subscriptions(const std::string& query = {}) : on(query) {}

    void subscribe() { own = on.core->server().subscribe("ch", who); }
    /// A greeted connection on which the client has asked to subscribe.
    std::unique_ptr<peer_line> asked() const {
        auto line = on.welcome(1);
        EXPECT_EQ(line->words(), "SUBSCRIBE ch");
        return line;
    }
    void say(const peer_line& line, std::string_view bytes) const {
        line.say(bytes);
        on.settle();
    }
    /// Lets the longest pause before another attempt go by.
    void pause() const { on.pass(second); }

    wired_reactor on;
    notes who;
    std::unique_ptr<subscription> own;
};

TEST_F(server_subscriptions, tell_what_is_published) {
    subscribe();
    EXPECT_EQ(who.take(), "") << "never from within the call";
    const auto line = asked();
    EXPECT_EQ(who.take(), "");
    say(*line, subscribed());
    EXPECT_EQ(who.take(), "on");
    say(*line, message("one") + message("") + message(std::string_view("\0\r\n", 3)));
    EXPECT_EQ(who.take(), "got one, got , got " + std::string("\0\r\n", 3));
    say(*line, ">2\r\n+invalidate\r\n*0\r\n" + message("two"));
    EXPECT_EQ(who.take(), "got two") << "other pushes are nobody's";
    EXPECT_FALSE(on.connects_again());
}

TEST_F(server_subscriptions, take_a_message_that_comes_byte_by_byte) {
    subscribe();
    const auto line = asked();
    for (const char each : subscribed() + message("slow")) {
        EXPECT_EQ(who.take().find("got"), std::string::npos);
        say(*line, {&each, 1});
    }
    EXPECT_EQ(who.take(), "got slow");
}

TEST_F(server_subscriptions, speak_the_older_protocol) {
    subscribe();
    auto line = on.accept();
    on.settle();
    line->heard();
    say(*line, "-ERR unknown command 'HELLO'\r\n-ERR unknown subcommand\r\n");
    EXPECT_EQ(line->words(), "CLIENT ID | CLIENT INFO");
    say(*line, ":7\r\n-ERR unknown subcommand\r\n");
    EXPECT_EQ(line->words(), "SUBSCRIBE ch");
    say(*line, subscribed("*") + message("old", "*"));
    EXPECT_EQ(who.take(), "on, got old");
    on.pass(5 * second);
    EXPECT_EQ(line->words(), "PING");
    say(*line, "*2\r\n" + bulk_bytes("pong") + bulk_bytes(""));
    on.pass(5 * second);
    EXPECT_EQ(line->words(), "PING");
    say(*line, message("still", "*"));
    on.pass(5 * second);
    EXPECT_EQ(who.take(), "got still");
}

TEST_F(server_subscriptions, that_are_refused_ask_again_on_the_same_connection) {
    subscribe();
    const auto line = asked();
    say(*line, refusal);
    EXPECT_EQ(who.take(), "off no_permission");
    EXPECT_NE(who.last_reason.find("one of the channels"), std::string::npos) << who.last_reason;
    EXPECT_TRUE(on.logged("not subscribed to ch on unix://"));
    pause();
    EXPECT_EQ(line->words(), "SUBSCRIBE ch");
    say(*line, refusal);
    EXPECT_EQ(who.take(), "off no_permission");
    EXPECT_FALSE(on.logged("not subscribed")) << "told once";
    pause();
    EXPECT_EQ(line->words(), "SUBSCRIBE ch");
    say(*line, subscribed());
    EXPECT_EQ(who.take(), "on");
    EXPECT_TRUE(on.logged("subscribed again"));
}

TEST_F(server_subscriptions, begin_anew_when_the_connection_is_lost) {
    subscribe();
    auto line = asked();
    say(*line, subscribed());
    on.pass(2 * second);
    line->hang_up();
    on.settle();
    EXPECT_EQ(who.take(), "on, off connection_failed");
    on.pass(20 * millisecond);
    line = asked();
    say(*line, subscribed() + message("again"));
    EXPECT_EQ(who.take(), "on, got again");
}

TEST_F(server_subscriptions, cut_at_every_byte_tell_whole_messages_only) {
    subscribe();
    const auto bytes = subscribed() + message("whole");
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        auto line = asked();
        who.take();
        line->say(bytes.substr(0, cut));
        line->hang_up();
        on.settle();
        ASSERT_EQ(who.take(),
                  cut < subscribed().size() ? "off connection_failed" : "on, off connection_failed")
            << cut;
        pause();
    }
}

TEST_F(server_subscriptions, try_for_as_long_as_nobody_is_there_at_least_once_a_second) {
    on.peer.stop_listening();
    subscribe();
    on.settle();
    EXPECT_EQ(who.take(), "off connection_failed");
    for (int i = 0; i < 10; ++i) {
        pause();
        EXPECT_TRUE(who.take().starts_with("off connection_failed"));
    }
    on.peer.listen_again();
    pause();
    const auto line = asked();
    say(*line, subscribed());
    EXPECT_EQ(who.take(), "on");
}

TEST_F(server_subscriptions, do_not_hurry_where_each_one_ends_at_once) {
    subscribe();
    int attempts = 0;
    for (int i = 0; i < 1000; ++i) {
        if (auto line = on.peer.accept_now()) {
            ++attempts;
            on.settle();
            line->say(wired_reactor::answer_to_greeting(line->words(), 1) + subscribed());
        }
        on.pass(10 * millisecond);
    }
    EXPECT_GE(attempts, 10);
    EXPECT_LE(attempts, 60) << "within ten seconds";
}

TEST_F(server_subscriptions, ask_a_silent_server_whether_it_is_there) {
    subscribe();
    const auto line = asked();
    say(*line, subscribed());
    on.pass(5 * second - 1);
    EXPECT_EQ(line->words(), "");
    on.pass(1);
    EXPECT_EQ(line->words(), "PING");
    say(*line, "+PONG\r\n");
    on.pass(4 * second);
    say(*line, message("alive"));
    on.pass(4 * second);
    EXPECT_EQ(line->words(), "") << "a message is a sign of life";
    on.pass(1 * second);
    EXPECT_EQ(line->words(), "PING");
    EXPECT_EQ(who.take(), "on, got alive");
    EXPECT_FALSE(line->closed());
}

TEST_F(server_subscriptions, leave_a_server_that_does_not_answer_that) {
    subscribe();
    const auto line = asked();
    say(*line, subscribed());
    on.pass(5 * second);
    on.pass(5 * second - 1);
    EXPECT_FALSE(line->closed());
    EXPECT_EQ(who.take(), "on");
    on.pass(1);
    EXPECT_EQ(who.take(), "off connection_failed");
    EXPECT_EQ(who.last_reason, "the server went silent");
    EXPECT_TRUE(line->closed());
    pause();
    asked();
}

TEST_F(server_subscriptions, leave_a_server_that_swallows_the_question) {
    subscribe();
    const auto line = asked();
    on.pass(5 * second);
    EXPECT_EQ(line->words(), "PING");
    say(*line, "+PONG\r\n");
    EXPECT_EQ(who.take(), "off protocol");
    EXPECT_TRUE(line->closed());
}

TEST_F(server_subscriptions, that_the_server_ends_are_begun_anew) {
    subscribe();
    const auto line = asked();
    say(*line, subscribed());
    say(*line, ">3\r\n" + bulk_bytes("unsubscribe") + bulk_bytes("ch") + ":0\r\n" + message("never told"));
    EXPECT_EQ(who.take(), "on, off connection_failed");
    pause();
    const auto next = asked();
    say(*next, subscribed());
    EXPECT_EQ(who.take(), "on");
}

TEST_F(server_subscriptions, end_with_their_owner) {
    for (const bool early : {true, false}) {
        subscribe();
        const auto line = asked();
        if (!early) say(*line, subscribed() + message("heard"));
        who.take();
        line->say(message("unheard"));
        own.reset();
        on.settle();
        pause();
        EXPECT_EQ(who.take(), "");
        line->heard();  // a reset comes first, since something was left unread
        EXPECT_TRUE(line->closed());
        EXPECT_FALSE(on.connects_again());
    }
}

TEST_F(server_subscriptions, have_a_connection_of_their_own) {
    subscribe();
    const auto line = asked();
    say(*line, subscribed());
    auto asks = on.submit<request>(std::vector<std::string>{"READ"}, resend::read);
    const auto shared = on.welcome(2);
    EXPECT_EQ(shared->words(), "READ");
    say(*shared, message("not for this one") + "+OK\r\n");
    EXPECT_EQ(outcome_of(*asks), "+OK");
    EXPECT_EQ(who.take(), "on");
    shared->hang_up();
    on.settle();
    EXPECT_EQ(who.take(), "");
    EXPECT_FALSE(line->closed());
}

struct named_server_subscriptions : server_subscriptions {
    named_server_subscriptions() : server_subscriptions("?password=secret&client_name=me&db=3") {}
};

TEST_F(named_server_subscriptions, greet_as_every_connection_does) {
    subscribe();
    std::string greeting;
    const auto line = on.welcome(1, &greeting);
    EXPECT_EQ(greeting, "HELLO 3 AUTH default secret | CLIENT INFO | CLIENT SETNAME me | SELECT 3");
    EXPECT_EQ(line->words(), "SUBSCRIBE ch");
}

TEST_F(named_server_subscriptions, tell_why_they_are_not_let_in_and_try_again) {
    subscribe();
    for (int i = 0; i < 3; ++i) {
        const auto line = on.accept();
        on.settle();
        line->heard();
        say(*line,
            "-WRONGPASS invalid username-password pair or user is "
            "disabled.\r\n-NOAUTH\r\n-NOAUTH\r\n-NOAUTH\r\n");
        EXPECT_EQ(who.take(), "off authentication");
        EXPECT_TRUE(line->closed());
        pause();
    }
}

}  // namespace
}  // namespace redislock::engine
