// What is known of a lock that is held: until when, and who hears of its end.
#include "locks/hold.hpp"

#include <gtest/gtest.h>

#include "locks/identity.hpp"

namespace redislock::locks {
namespace {

std::shared_ptr<hold> make_hold(nanos asked_at, nanos lease) {
    return std::make_shared<hold>(std::make_shared<const target>(*target::make({"x"}, kind::mutex)), "token",
                                  std::vector<std::int64_t>{7}, deadline_of(asked_at, lease), lease);
}

TEST(hold, ends_for_its_owner_before_it_can_end_on_the_server) {
    const auto held = make_hold(5 * second, 10 * second);
    EXPECT_EQ(held->deadline(), 15 * second - 100 * millisecond - 2 * millisecond);
    EXPECT_FALSE(held->lost(held->deadline() - 1));
    EXPECT_TRUE(held->lost(held->deadline()));
    held->extended(15 * second, 10 * second, held->changes());
    EXPECT_FALSE(held->lost(16 * second));
}

TEST(hold, extended_by_two_at_once_counts_with_the_earlier_end) {
    const auto held = make_hold(0, 10 * second);
    const auto before = held->changes();
    held->extended(second, 60 * second, before);
    held->extended(2 * second, 10 * second, before);  // which of them came last at the server?
    EXPECT_EQ(held->deadline(), deadline_of(2 * second, 10 * second));
    held->extended(3 * second, 60 * second, before);
    EXPECT_EQ(held->deadline(), deadline_of(2 * second, 10 * second));
    held->extended(4 * second, 60 * second, held->changes());
    EXPECT_EQ(held->deadline(), deadline_of(4 * second, 60 * second));
}

TEST(hold, without_a_lease_never_ends_by_itself) {
    const auto held = make_hold(5 * second, no_lease);
    EXPECT_EQ(held->deadline(), never);
    EXPECT_FALSE(held->lost(never - 1));
}

TEST(hold, shorter_than_the_drift_is_lost_at_once) {
    EXPECT_TRUE(make_hold(second, millisecond)->lost(second));
}

TEST(hold, ends_once) {
    const auto held = make_hold(0, second);
    EXPECT_TRUE(held->lose());
    EXPECT_FALSE(held->lose());
    EXPECT_FALSE(held->release());
    EXPECT_FALSE(held->released());
    EXPECT_TRUE(held->lost(0));
}

TEST(hold, tells_watchers_of_its_end_also_afterwards) {
    engine::loop loop;
    const auto held = make_hold(0, second);
    const auto early = engine::signal::make(loop);
    const auto late = engine::signal::make(loop);
    held->watch(early);
    EXPECT_TRUE(held->release());
    held->watch(late);
    loop.poller().wait(second);
    loop.turn();
    EXPECT_TRUE(early->has_words());
    EXPECT_TRUE(late->has_words());
}

TEST(identity, names_its_owner_before_128_random_bits) {
    const auto token = make_token("t3", "shop 1/a:b");
    const auto slash = token.find('/');
    ASSERT_NE(slash, std::string::npos);
    EXPECT_EQ(token.substr(0, slash), process_name() + ":t3");
    EXPECT_EQ(token.substr(slash + 33), "/shop_1_a_b");
    EXPECT_NE(token, make_token("t3", "shop 1/a:b"));
    EXPECT_EQ(make_token("t3", "").size(), slash + 33);
}

TEST(losses, come_in_order_and_not_after_the_end) {
    const auto first = make_hold(0, second);
    const auto other = make_hold(0, second);
    push_loss(first);
    push_loss(other);
    EXPECT_EQ(next_loss(second), first);
    EXPECT_EQ(next_loss(second), other);
    EXPECT_EQ(next_loss(0), nullptr);
}

}  // namespace
}  // namespace redislock::locks
