// WATCH, MULTI and EXEC.
// https://redis.io/docs/latest/develop/using-commands/transactions/
#include "memory/answers.hpp"
#include "memory/handlers.hpp"

namespace redislock::memory {

void run_watch(call& which) {
    if (which.by.queueing) return answer_failure(which.out, "ERR WATCH inside MULTI is not allowed");
    for (std::size_t i = 1; i < which.words.size(); ++i) which.server.keys.watch(which.word(i), which.by);
    answer_ok(which.out);
}

void run_unwatch(call& which) {
    which.server.keys.unwatch(which.by);
    answer_ok(which.out);
}

void run_multi(call& which) {
    if (which.by.queueing) return answer_failure(which.out, "ERR MULTI calls can not be nested");
    which.by.queueing = true;
    answer_ok(which.out);
}

void run_discard(call& which) {
    if (!which.by.queueing) return answer_failure(which.out, "ERR DISCARD without MULTI");
    which.by.stop_queueing();
    which.server.keys.unwatch(which.by);
    answer_ok(which.out);
}

void run_exec(call& which) {
    client& by = which.by;
    if (!by.queueing) return answer_failure(which.out, "ERR EXEC without MULTI");
    const bool refused = by.refused;
    const bool conflict = which.server.keys.was_touched(by);
    by.queueing = by.refused = false;
    which.server.keys.unwatch(by);
    if (refused) {
        answer_failure(which.out, "EXECABORT Transaction discarded because of previous errors.");
    } else if (!conflict) {
        auto& items = answer_array(which.out, by.queued_count);
        request_reader reader(by.queued);
        for (auto& item : items) {
            reader.next(which.server.queued_words);  // it was read once already
            call one{which.server, by, which.server.queued_words, item};
            find_command(one.word(0))->run(one);
        }
    }
    by.stop_queueing();
}

}  // namespace redislock::memory
