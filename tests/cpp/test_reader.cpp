// Bytes to replies: every type, torn at every byte, merged, and the limits beyond which a peer is
// given up.
#include "wire/reader.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reply_text.hpp"
#include "wire/hiredis.hpp"

namespace redislock::wire {
namespace {

class stream {
public:
    explicit stream(reply_limits limits = {}) : builder_(limits) { builder_.attach(*reader_); }

    void feed(std::string_view bytes) {
        ASSERT_EQ(redisReaderFeed(reader_.get(), bytes.data(), bytes.size()), REDIS_OK);
    }

    /// What can be read now, one line a reply; ends with "!" and the message where the peer is given up.
    std::vector<std::string> drain() {
        std::vector<std::string> said;
        for (;;) {
            auto got = builder_.next(*reader_);
            if (!got) {
                EXPECT_EQ(got.error().code, errc::protocol);
                said.push_back("!" + got.error().message);
                return said;
            }
            if (!*got) return said;
            said.push_back(to_text(**got));
        }
    }

    /// Whether the peer was given up, and why.
    std::string complaint() {
        for (const auto& each : drain()) {
            if (each.front() == '!') return each;
        }
        return {};
    }

private:
    struct freer {
        void operator()(redisReader* which) const noexcept { redisReaderFree(which); }
    };
    std::unique_ptr<redisReader, freer> reader_{redisReaderCreateWithFunctions(nullptr)};
    reply_builder builder_;
};

using lines = std::vector<std::string>;

std::string complaint_about(std::string_view bytes, reply_limits limits = {}) {
    stream from(limits);
    from.feed(bytes);
    return from.complaint();
}

constexpr std::pair<std::string_view, std::string_view> every_type[] = {
    {"+OK\r\n", "+OK"},
    {"-ERR no\r\n", "-ERR no"},
    {":-42\r\n", ":-42"},
    {":9223372036854775807\r\n", ":9223372036854775807"},
    {"$5\r\na\r\nbc\r\n", "\"a\r\nbc\""},
    {"$0\r\n\r\n", "\"\""},
    {"$-1\r\n", "nil"},
    {"*-1\r\n", "nil"},
    {"*0\r\n", "[]"},
    {"_\r\n", "nil"},
    {"#t\r\n", ":1"},
    {"#f\r\n", ":0"},
    {",3.25\r\n", "\"3.25\""},
    {",inf\r\n", "\"inf\""},
    {"(3492890328409238509324850943850943825024385\r\n", "\"3492890328409238509324850943850943825024385\""},
    {"=6\r\ntxt:ab\r\n", "\"ab\""},
    {"%2\r\n+id\r\n:7\r\n$1\r\nk\r\n_\r\n", "[+id :7 \"k\" nil]"},
    {"~2\r\n:1\r\n:2\r\n", "[:1 :2]"},
    {">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", ">[+invalidate [\"k\"]]"},
    {"*4\r\n+OK\r\n$-1\r\n*2\r\n:1\r\n-WRONGTYPE x\r\n$2\r\nhi\r\n", "[+OK nil [:1 -WRONGTYPE x] \"hi\"]"},
};

TEST(reader, knows_every_type) {
    for (const auto& [bytes, meaning] : every_type) {
        stream from;
        from.feed(bytes);
        EXPECT_EQ(from.drain(), lines{std::string(meaning)});
    }
}

TEST(reader, takes_replies_that_come_torn_at_every_byte) {
    std::string all;
    lines meanings;
    for (const auto& [bytes, meaning] : every_type) {
        all += bytes;
        meanings.emplace_back(meaning);
    }
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        stream from;
        from.feed(std::string_view(all).substr(0, cut));
        lines said = from.drain();
        from.feed(std::string_view(all).substr(cut));
        for (auto& each : from.drain()) said.push_back(std::move(each));
        ASSERT_EQ(said, meanings) << "cut at " << cut;
    }
}

TEST(reader, takes_replies_byte_by_byte_and_no_sooner_than_whole) {
    for (const auto& [bytes, meaning] : every_type) {
        stream from;
        for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
            from.feed(bytes.substr(i, 1));
            ASSERT_EQ(from.drain(), lines{}) << bytes;
        }
        from.feed(bytes.substr(bytes.size() - 1));
        EXPECT_EQ(from.drain(), lines{std::string(meaning)});
    }
}

TEST(reader, takes_many_merged_replies) {
    std::string all;
    for (int i = 0; i < 10'000; ++i) all += ":" + std::to_string(i) + "\r\n";
    stream from;
    from.feed(all);
    const auto said = from.drain();
    ASSERT_EQ(said.size(), 10'000U);
    EXPECT_EQ(said.front(), ":0");
    EXPECT_EQ(said.back(), ":9999");
}

// Attributes are about the reply that follows; taken for a reply they would shift all others.
TEST(reader, takes_attributes_out_of_band) {
    stream from;
    from.feed("|1\r\n+ttl\r\n:3600\r\n$2\r\nhi\r\n");
    EXPECT_EQ(from.drain(), (lines{">[+ttl :3600]", "\"hi\""}));
}

TEST(reader, gives_up_on_garbage) {
    for (const auto* bytes : {"HTTP/1.1 400 Bad Request\r\n", "\r\n", "?\r\n", ":12x\r\n", ":\r\n",
                              ":9223372036854775808\r\n", "$x\r\n", "$-2\r\n", "*x\r\n", "*-2\r\n", "#x\r\n",
                              ",x\r\n", "_x\r\n", "=3\r\nabc\r\n", "*1\r\n?\r\n", "(12a\r\n"}) {
        EXPECT_NE(complaint_about(bytes).find("does not speak the Redis protocol"), std::string::npos)
            << bytes;
    }
}

TEST(reader, gives_up_on_replies_that_are_too_deep) {
    reply_limits limits;
    limits.depth = 3;
    EXPECT_EQ(complaint_about("*1\r\n*1\r\n*1\r\n:1\r\n", limits), "");
    EXPECT_NE(complaint_about("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", limits).find("nested deeper"),
              std::string::npos);
    std::string million;
    for (int i = 0; i < 1'000'000; ++i) million += "*1\r\n";
    EXPECT_NE(complaint_about(million).find("nested deeper"), std::string::npos);
}

TEST(reader, gives_up_on_replies_with_too_many_elements) {
    reply_limits limits;
    limits.elements = 6;
    EXPECT_EQ(complaint_about("*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", limits), "") << "the array counts too";
    EXPECT_NE(complaint_about("*7\r\n", limits), "");
    EXPECT_NE(complaint_about("*2\r\n*2\r\n:1\r\n:1\r\n*2\r\n:1\r\n:1\r\n", limits).find("more elements"),
              std::string::npos);
    EXPECT_NE(complaint_about("*3333333333\r\n"), "");
    EXPECT_NE(complaint_about("*9223372036854775807\r\n"), "");
    EXPECT_NE(complaint_about("%4611686018427387904\r\n"), "");
    stream many(limits);  // of one reply, not of all
    for (int i = 0; i < 10; ++i) {
        many.feed("*2\r\n:1\r\n:2\r\n");
        EXPECT_EQ(many.drain(), lines{"[:1 :2]"});
    }
}

TEST(reader, gives_up_on_replies_that_are_too_long) {
    reply_limits limits;
    limits.bytes = 100;
    EXPECT_EQ(complaint_about("$100\r\n" + std::string(100, 'x') + "\r\n", limits), "");
    EXPECT_NE(complaint_about("$101\r\n", limits).find("longer than the limit"), std::string::npos)
        << "as soon as it says so";
    EXPECT_NE(complaint_about("*2\r\n$10\r\n0123456789\r\n$101\r\n", limits).find("longer"),
              std::string::npos);
    EXPECT_NE(complaint_about("=101\r\n", limits).find("longer"), std::string::npos);
    EXPECT_NE(complaint_about("+" + std::string(200, 'x'), limits).find("longer"), std::string::npos)
        << "a line without end";
    EXPECT_NE(complaint_about("$9223372036854775807\r\n").find("longer"), std::string::npos);
    EXPECT_EQ(complaint_about("$1", limits), "") << "who knows how it goes on";
}

TEST(reader, counts_the_bytes_of_all_elements_together) {
    reply_limits limits;
    limits.bytes = 100;
    std::string many = "*5\r\n";
    for (int i = 0; i < 5; ++i) many += "$40\r\n" + std::string(40, 'x') + "\r\n";
    stream from(limits);
    std::string complaint;
    for (char c : many) {
        from.feed(std::string_view(&c, 1));
        complaint = from.complaint();
        if (!complaint.empty()) break;
    }
    EXPECT_NE(complaint.find("longer than the limit"), std::string::npos);
    stream few(limits);  // of one reply, not of all
    for (int i = 0; i < 10; ++i) {
        few.feed("$60\r\n" + std::string(60, 'x') + "\r\n");
        EXPECT_EQ(few.drain().size(), 1U);
    }
}

}  // namespace
}  // namespace redislock::wire
