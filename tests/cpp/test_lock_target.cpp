// Names of locks become keys in one slot, and never those of another lock.
#include "locks/target.hpp"

#include <gtest/gtest.h>

#include <set>

namespace redislock::locks {
namespace {

TEST(lock_keys, share_the_slot_of_the_name) {
    const lock_keys plain("orders");
    EXPECT_EQ(plain.name, "orders");
    EXPECT_EQ(plain.queue, "{orders}:redislock:queue");
    const lock_keys tagged("shop:{42}:stock");
    EXPECT_EQ(tagged.queue, "shop:{42}:stock:redislock:t:queue");
    EXPECT_EQ(tagged.fence, "shop:{42}:stock:redislock:t:fence");
}

TEST(lock_keys, are_never_shared_between_two_names) {
    std::set<std::string> seen;
    std::size_t made = 0;
    for (const char* name :
         {"x", "{x}", "{x}:redislock:t", "{{x}}", "{}x", "x{}", "x}", "{x", "", "{x}{y}"}) {
        const lock_keys keys(name);
        for (const auto& each : {keys.queue, keys.waiters, keys.alive, keys.fence, keys.holders}) {
            seen.insert(each);
            ++made;
        }
    }
    EXPECT_EQ(seen.size(), made);
}

TEST(target, orders_names_and_packs_them_behind_their_lengths) {
    const auto both = target::make({"stock", "a b"}, kind::mutex);
    ASSERT_TRUE(both);
    EXPECT_EQ(both->locks[0].name, "a b");
    EXPECT_EQ(both->packed_names, "3:a b5:stock");
    EXPECT_EQ(both->words(), "'a b' and 'stock'");
    const auto one = target::make({"stock"}, kind::permit, 3);
    ASSERT_TRUE(one);
    EXPECT_EQ(one->packed_names, "");
}

TEST(target, refuses_what_cannot_be_locked) {
    for (const auto& names : {std::vector<std::string>{}, {""}, {"a", "a"}}) {
        const auto made = target::make(names, kind::mutex);
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().code, errc::invalid_argument);
    }
    EXPECT_FALSE(target::make({"a", "b"}, kind::reader));
}

}  // namespace
}  // namespace redislock::locks
