// WATCH, MULTI and EXEC.
// https://redis.io/docs/latest/develop/using-commands/transactions/
#include "memory/handlers.hpp"
#include "memory/replies.hpp"

namespace redislock::memory {

wire::reply run_watch(call& which) {
    if (which.by.queueing) return make_failure("ERR WATCH inside MULTI is not allowed");
    for (std::size_t i = 1; i < which.words.size(); ++i) which.server.keys.watch(which.word(i), which.by);
    return make_ok();
}

wire::reply run_unwatch(call& which) {
    which.server.keys.unwatch(which.by);
    return make_ok();
}

wire::reply run_multi(call& which) {
    if (which.by.queueing) return make_failure("ERR MULTI calls can not be nested");
    which.by.queueing = true;
    return make_ok();
}

wire::reply run_discard(call& which) {
    if (!which.by.queueing) return make_failure("ERR DISCARD without MULTI");
    which.by.stop_queueing();
    which.server.keys.unwatch(which.by);
    return make_ok();
}

wire::reply run_exec(call& which) {
    client& by = which.by;
    if (!by.queueing) return make_failure("ERR EXEC without MULTI");
    const bool refused = by.refused;
    const bool conflict = which.server.keys.was_touched(by);
    by.queueing = false;  // what runs now is not queued again
    which.server.keys.unwatch(by);
    auto said = make_nil();
    if (refused) {
        said = make_failure("EXECABORT Transaction discarded because of previous errors.");
    } else if (!conflict) {
        said = make_array(by.queued_count);
        request_reader reader(by.queued);
        call one{which.server, by, which.server.queued_words};
        while (reader.next(which.server.queued_words) == request_reader::outcome::command) {
            said.items.push_back(find_command(one.word(0))->run(one));
        }
    }
    by.stop_queueing();
    return said;
}

}  // namespace redislock::memory
