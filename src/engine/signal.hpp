// Words from other threads to one coroutine. A signal is made in its reactor's thread and posted to
// from any; all signals of a loop share one mailbox, so that a wake costs in proportion to what was
// posted and not to who waits. What threads share is the mailbox's content, under its mutex, and
// nothing else.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/loop.hpp"

namespace redislock::engine {

class mailbox;

/// Told when a word has come.
class signal_listener {
public:
    virtual void on_word() = 0;

protected:
    ~signal_listener() = default;
};

/// Where words for one coroutine arrive. Await them with `context::receive`. Everything but `post`
/// belongs to the loop's thread; the last owner may be any thread.
class signal final : public std::enable_shared_from_this<signal> {
public:
    static std::shared_ptr<signal> make(engine::loop& loop);
    signal(const signal&) = delete;
    signal& operator=(const signal&) = delete;

    /// From any thread, also after the loop has gone: then it does nothing. Never waits for anybody's
    /// code, and never calls back.
    void post(std::string word);

    bool has_words() const noexcept { return !words_.empty(); }
    /// The oldest word that came and was not taken yet.
    std::optional<std::string> take();

    signal_listener* listener = nullptr;  ///< who awaits a word; one at a time

private:
    friend class mailbox;
    explicit signal(std::shared_ptr<mailbox> through) noexcept : mailbox_(std::move(through)) {}
    void deliver(std::string word);

    const std::shared_ptr<mailbox> mailbox_;
    std::list<std::string> words_;  // costs nothing while it is empty
};

/// What was posted to the signals of one loop. Outlives the loop for as long as there are signals.
class mailbox : public wakeable {
public:
    explicit mailbox(std::shared_ptr<waker> wake) noexcept : waker_(std::move(wake)) {}
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;
    virtual ~mailbox() = default;

    void post(std::shared_ptr<signal> to, std::string word);
    /// The loop goes: forgets what was not delivered, and everything that comes later.
    void close() noexcept;
    /// In the loop's thread: hands the words to their signals.
    void on_wake() override;

private:
    struct letter {
        std::shared_ptr<signal> to;
        std::string word;
    };

    const std::shared_ptr<waker> waker_;
    std::mutex mutex_;
    std::vector<letter> posted_;
    bool closed_ = false;
};

}  // namespace redislock::engine
