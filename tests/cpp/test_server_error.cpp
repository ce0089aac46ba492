// What a server's error words mean.
#include "wire/server_error.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "reply_text.hpp"

namespace redislock::wire {
namespace {

TEST(server_error, is_sorted_by_its_first_word_and_keeps_the_others) {
    const std::pair<const char*, errc> cases[] = {
        {"MOVED 3999 127.0.0.1:6381", errc::redirected},
        {"ASK 3999 127.0.0.1:6381", errc::redirected},
        {"NOAUTH Authentication required.", errc::authentication},
        {"WRONGPASS invalid username-password pair", errc::authentication},
        {"NOPERM this user has no permissions", errc::no_permission},
        {"ERR The user executing the script can't run this command or subcommand script: 6b1bf",
         errc::no_permission},
        {"ERR ACL failure in script: User u has no permissions to run the 'get' command",
         errc::no_permission},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", errc::wrong_type},
        {"OOM command not allowed when used memory > 'maxmemory'.", errc::server_refused},
        {"MISCONF Redis is configured to save RDB snapshots", errc::server_refused},
        {"BUSY Redis is busy running a script.", errc::server_refused},
        {"ERR unknown command 'FOO'", errc::server_refused},
        {"MOVEDX is another word", errc::server_refused},
        {"", errc::server_refused},
    };
    for (const auto& [words, code] : cases) {
        const auto made = to_error(refusal_of(words));
        EXPECT_EQ(made.code, code) << words;
        EXPECT_NE(made.message.find(words), std::string::npos);
    }
}

TEST(server_error, of_a_state_that_may_pass_asks_to_come_back) {
    for (const auto* words :
         {"READONLY You can't write against a read only replica.", "LOADING Redis is loading",
          "MASTERDOWN Link with MASTER is down",
          "ERR Error running script (call to f_6b1bf): @user_script:3: -READONLY You can't write",
          "ERR Error running script: -LOADING Redis is loading",
          "EXECABORT Transaction discarded because of: READONLY You can't write against a replica."}) {
        EXPECT_TRUE(asks_to_come_back(refusal_of(words))) << words;
    }
    for (const auto* words : {"ERR no", "NOSCRIPT No matching script", "READONLYX", "OOM command not allowed",
                              "EXECABORT Transaction discarded because of: OOM command not allowed",
                              "EXECABORT Transaction discarded because of previous errors.", ""}) {
        EXPECT_FALSE(asks_to_come_back(refusal_of(words))) << words;
    }
    EXPECT_FALSE(asks_to_come_back(bulk("READONLY is a user's own text here")));
    EXPECT_FALSE(asks_to_come_back(nil()));
}

TEST(reply, fails_with_a_whole_word_only) {
    EXPECT_TRUE(refusal_of("NOSCRIPT No matching").failed_with("NOSCRIPT"));
    EXPECT_TRUE(refusal_of("NOSCRIPT").failed_with("NOSCRIPT"));
    EXPECT_TRUE(refusal_of("READONLY: no").failed_with("READONLY"));
    EXPECT_FALSE(refusal_of("NOSCRIPTS").failed_with("NOSCRIPT"));
    EXPECT_FALSE(refusal_of("NOSC").failed_with("NOSCRIPT"));
    EXPECT_FALSE(bulk("NOSCRIPT").failed_with("NOSCRIPT"));
}

}  // namespace
}  // namespace redislock::wire
