// Units and slots: the bytes of EVALSHA and of the EVAL that replaces it, shared ownership, reuse.
#include "engine/slot.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "reply_text.hpp"

namespace redislock::engine {
namespace {

constexpr script greet{"greet", "0123456789abcdef0123456789abcdef01234567", "return 'hello\r\nthere'"};

std::string call(std::string_view how, std::string_view script_text) {
    wire::commands out;
    out.add(how, script_text, 1, "key", "one", "two");
    return out.bytes();
}

void fill(unit& target) {
    target.evalsha(greet, std::array<std::string_view, 1>{"key"},
                   std::array<std::string_view, 2>{"one", "two"});
}

class counting_listener final : public slot_listener {
public:
    int told = 0;
    void on_complete(slot& /*which*/) override { ++told; }
};

TEST(unit, calls_a_script_by_its_digest) {
    unit target;
    fill(target);
    EXPECT_EQ(target.commands.bytes(), call("EVALSHA", greet.sha1));
    EXPECT_EQ(target.commands.count(), 1U);
    EXPECT_EQ(target.fallback, &greet);
}

TEST(unit, sends_the_body_instead_on_the_letter) {
    unit target;
    fill(target);
    target.use_eval();
    EXPECT_EQ(target.commands.bytes(), call("EVAL", greet.body));
    EXPECT_EQ(target.commands.count(), 1U);
    EXPECT_EQ(target.fallback, nullptr) << "once is enough";
}

TEST(unit, leaves_its_other_commands_alone_when_the_script_is_sent_whole) {
    unit target;
    target.commands.add("GET", "EVALSHA").add("TIME");
    fill(target);
    target.commands.add("PING");
    target.use_eval();
    wire::commands expected;
    expected.add("GET", "EVALSHA").add("TIME").add("EVAL", greet.body, 1, "key", "one", "two").add("PING");
    EXPECT_EQ(target.commands.bytes(), expected.bytes());
    EXPECT_EQ(target.commands.count(), expected.count());
}

TEST(unit, may_have_no_keys_and_no_arguments) {
    unit target;
    target.evalsha(greet, std::array<std::string_view, 0>{}, std::array<std::string_view, 0>{});
    target.use_eval();
    wire::commands expected;
    expected.add("EVAL", greet.body, 0);
    EXPECT_EQ(target.commands.bytes(), expected.bytes());
}

TEST(slot, tells_its_listener_once) {
    slot_pool pool;
    counting_listener listener;
    auto own = pool.take();
    own->listener = &listener;
    own->offered = true;
    own->finish();
    own->finish();
    EXPECT_EQ(listener.told, 1);
    EXPECT_FALSE(own->offered);
    auto other = pool.take();
    other->fail({errc::timed_out, "late"});
    EXPECT_EQ(other->failure->code, errc::timed_out);
}

TEST(slot, is_complete_with_a_reply_to_each_command) {
    slot_pool pool;
    auto own = pool.take();
    own->request.commands.add("PING").add("PING");
    own->replies.push_back(wire::simple("PONG"));
    EXPECT_FALSE(own->complete());
    own->replies.push_back(wire::simple("PONG"));
    EXPECT_TRUE(own->complete());
}

TEST(slot, knows_whether_it_changes_money) {
    slot_pool pool;
    auto own = pool.take();
    for (auto [policy, changes] : {std::pair{resend::read, false}, std::pair{resend::token, false},
                                   std::pair{resend::once, true}, std::pair{resend::recorded, true}}) {
        own->request.policy = policy;
        EXPECT_EQ(own->changes_money(), changes);
    }
}

TEST(slot_pool, takes_back_what_nobody_holds_and_clears_it) {
    slot_pool pool;
    counting_listener listener;
    auto own = pool.take();
    slot* const raw = own.get();
    auto shared = own;
    fill(own->request);
    own->replies.push_back(wire::simple());
    own->failure = error{errc::closed, "x"};
    own->listener = &listener;
    own->offered = own->in_doubt = own->abandoned = true;
    own->expires_at = 1;
    own = {};
    EXPECT_NE(pool.take().get(), raw) << "somebody still holds it";
    shared = {};
    // The last one given back is the first one taken.
    auto again = pool.take();
    ASSERT_EQ(again.get(), raw);
    EXPECT_TRUE(again->request.commands.bytes().empty());
    EXPECT_EQ(again->request.commands.count(), 0U);
    EXPECT_EQ(again->request.policy, resend::once);
    EXPECT_EQ(again->request.fallback, nullptr);
    EXPECT_TRUE(again->replies.empty());
    EXPECT_FALSE(again->failure);
    EXPECT_EQ(again->listener, nullptr);
    EXPECT_FALSE(again->offered || again->in_doubt || again->abandoned);
    EXPECT_EQ(again->expires_at, never);
}

TEST(slot_pool, does_not_keep_large_buffers) {
    slot_pool pool;
    auto own = pool.take();
    own->request.commands.add(std::string(100'000, 'x'));
    own = {};
    EXPECT_LT(pool.take()->request.commands.bytes().capacity(), 10'000U);
}

TEST(slot_ptr, is_a_shared_pointer) {
    slot_pool pool;
    slot_ptr none;
    EXPECT_FALSE(none);
    auto one = pool.take();
    auto two = one;
    auto three = std::move(one);
    EXPECT_FALSE(one);  // NOLINT(bugprone-use-after-move): a moved-from pointer is empty
    EXPECT_EQ(two.get(), three.get());
    two = pool.take();
    EXPECT_NE(two.get(), three.get());
    slot_ptr& alias = three;
    three = alias;
    EXPECT_TRUE(three);
}

}  // namespace
}  // namespace redislock::engine
