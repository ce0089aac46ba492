// Subscriptions on a real redis-server, where one is on the PATH: both protocols, its ACL, its CLIENT
// KILL, and a server that comes after its subscribers.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/operation.hpp"
#include "engine/reactor.hpp"
#include "engine/server_backend.hpp"

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace redislock::engine {
namespace {

constexpr nanos patience = 20 * second;

// A server on a unix socket in a folder of its own, without persistence.
class private_server {
public:
    private_server() {
        char name[] = "/tmp/redislock-server-XXXXXX";
        folder_ = mkdtemp(name);
    }
    private_server(const private_server&) = delete;
    private_server& operator=(const private_server&) = delete;
    ~private_server() {
        stop();
        unlink(socket().c_str());
        rmdir(folder_.c_str());
    }
    std::string socket() const { return folder_ + "/s"; }
    std::string url() const { return "unix://" + socket(); }

    static bool exists() {
        int status = -1;
        const pid_t asked = run({"redis-server", "--version"});
        return asked > 0 && waitpid(asked, &status, 0) == asked && WIFEXITED(status) &&
               WEXITSTATUS(status) != not_found;
    }
    void start(std::vector<std::string> more = {}) {
        std::vector<std::string> words{"redis-server", "--port", "0", "--unixsocket", socket(),   "--dir",
                                       folder_,        "--save", "",  "--logfile",    "/dev/null"};
        words.insert(words.end(), more.begin(), more.end());
        pid_ = run(std::move(words));
        ASSERT_GT(pid_, 0);
    }
    void stop() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

private:
    static constexpr int not_found = 127;

    static pid_t run(std::vector<std::string> words) {
        std::vector<char*> arguments;
        arguments.reserve(words.size() + 1);
        for (auto& each : words) arguments.push_back(each.data());
        arguments.push_back(nullptr);
        const pid_t started = fork();
        if (started != 0) return started;
#if defined(__linux__)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        const int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        execvp(arguments.front(), arguments.data());
        _exit(not_found);
    }

    std::string folder_;
    pid_t pid_ = -1;
};

class notes final : public subscriber {
public:
    void on_message(std::string_view payload) override { messages.emplace_back(payload); }
    void on_subscribed() override { ++subscribed; }
    void on_unsubscribed(const error& why) override { reasons.push_back(why.code); }

    std::vector<std::string> messages;
    int subscribed = 0;
    std::vector<errc> reasons;
};

// Sends the words of one command on the shared connection.
class command final : public operation_of<std::string> {
public:
    explicit command(std::string words) : operation_of(patience), words_(std::move(words)) {}

private:
    task<result<std::string>> body(context& with) override {
        auto slot = with.make_slot();
        slot->request.policy = resend::read;
        std::vector<std::string> words;
        std::istringstream from(words_);
        for (std::string word; from >> word;) words.push_back(word);
        slot->request.commands.begin(words.size());
        for (const auto& each : words) slot->request.commands.argument(std::string_view(each));
        auto said = co_await with.send(std::move(slot));
        if (!said) co_return std::move(said.error());
        co_return (*said)[0].is_failure() ? "failed: " + (*said)[0].text : std::string("done");
    }

    std::string words_;
};

std::unique_ptr<reactor> connect_to(const std::string& url) {
    auto settings = wire::parse_url(url);
    return std::move(*reactor::make([&](loop& home) -> result<std::unique_ptr<backend>> {
        return std::unique_ptr<backend>(std::move(*server_backend::make(home, *settings)));
    }));
}

class subscriptions_on_a_server : public testing::Test {
protected:
    void SetUp() override {
        if (!private_server::exists()) GTEST_SKIP() << "there is no redis-server on the PATH";
    }
    template <class Condition>
    static bool reaches(reactor& core, const Condition& condition) {
        const nanos until = monotonic_now() + patience;
        while (!condition() && monotonic_now() < until) {
            core.pump(100 * millisecond);
            core.take_finished();
        }
        return condition();
    }
    static bool speaks_the_older_protocol(reactor& core) {
        const auto log = core.loop().take_log();
        return std::any_of(log.begin(), log.end(),
                           [](const log_record& each) { return each.text.ends_with("using RESP2"); });
    }
    static void run(reactor& core, const std::string& words) {
        auto own = std::make_shared<command>(words);
        core.submit(own);
        ASSERT_TRUE(reaches(core, [&] { return own->finished(); }));
        ASSERT_TRUE(own->outcome()) << own->outcome().error().message;
        ASSERT_EQ(*own->outcome(), "done") << words;
    }

    private_server server_;
    notes who_;
};

TEST_F(subscriptions_on_a_server, are_told_in_either_protocol_and_survive_being_killed) {
    for (const bool old : {false, true}) {
        who_ = {};
        const auto core = connect_to(server_.url());
        const auto own = core->server().subscribe("ch", who_);
        ASSERT_TRUE(reaches(*core, [&] { return !who_.reasons.empty(); })) << "nobody is there yet";
        if (old) server_.start({"--rename-command", "HELLO", ""});
        else server_.start();
        ASSERT_TRUE(reaches(*core, [&] { return who_.subscribed == 1; }));
        EXPECT_EQ(speaks_the_older_protocol(*core), old);
        run(*core, "PUBLISH ch one");
        run(*core, "PUBLISH other two");
        run(*core, "CLIENT KILL TYPE pubsub");
        ASSERT_TRUE(reaches(*core, [&] { return who_.subscribed == 2; }));
        run(*core, "PUBLISH ch three");
        ASSERT_TRUE(reaches(*core, [&] { return who_.messages.size() == 2; }));
        EXPECT_EQ(who_.messages, (std::vector<std::string>{"one", "three"}));
        server_.stop();
        unlink(server_.socket().c_str());
    }
}

TEST_F(subscriptions_on_a_server, that_its_acl_refuses_begin_once_it_allows_them) {
    server_.start();
    const auto owner = connect_to(server_.url());
    notes warm;
    const auto first = owner->server().subscribe("ch", warm);
    ASSERT_TRUE(reaches(*owner, [&] { return warm.subscribed == 1; }));
    run(*owner, "ACL SETUSER guest on >word +@all ~* resetchannels");
    const auto guest = connect_to(server_.url() + "?username=guest&password=word");
    const auto own = guest->server().subscribe("ch", who_);
    ASSERT_TRUE(reaches(*guest, [&] { return !who_.reasons.empty(); }));
    EXPECT_EQ(who_.reasons.front(), errc::no_permission);
    EXPECT_EQ(who_.subscribed, 0);
    run(*owner, "ACL SETUSER guest &ch");
    ASSERT_TRUE(reaches(*guest, [&] { return who_.subscribed == 1; }));
    run(*owner, "PUBLISH ch hello");
    ASSERT_TRUE(reaches(*guest, [&] { return who_.messages.size() == 1; }));
}

}  // namespace
}  // namespace redislock::engine
