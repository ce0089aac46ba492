// _core.Stepper: withdrawals that Python leads through a race, one round trip at a time.
#include <unistd.h>

#include <mutex>

#include "bindings/bindings.hpp"
#include "bindings/without_gil.hpp"
#include "load/stepper.hpp"

namespace redislock::bindings {
namespace {

constexpr amount most_buyers = 1'000;
constexpr amount most_retries = 1'000'000;
constexpr amount most_history = 1'000'000;

// What a server says is text of any bytes.
py::str to_text(const std::string& bytes) {
    auto* made =
        PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace");
    if (made == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::str>(made);
}

// None, int, str, list, or {"error": str}.
py::object to_python(const wire::reply& said) {
    using kind = wire::reply::kind;
    switch (said.type) {
        case kind::nil: return py::none();
        case kind::integer: return py::int_(said.integer);
        case kind::text:
        case kind::status: return to_text(said.text);
        case kind::failure: {
            py::dict failed;
            failed["error"] = to_text(said.text);
            return failed;
        }
        case kind::array:
        case kind::push: break;
    }
    py::list items;
    for (const auto& each : said.items) items.append(to_python(each));
    return items;
}

py::dict to_python(const load::exchange& told) {
    py::list commands;
    for (const auto& command : told.commands) {
        py::list words;
        for (const auto& word : command) words.append(to_text(word));
        commands.append(words);
    }
    py::list replies;
    for (const auto& reply : told.replies) replies.append(to_python(reply));
    py::dict out;
    out["commands"] = commands;
    out["script"] = told.script;
    out["replies"] = replies;
    out["failure"] = told.failure ? make_exception(*told.failure) : py::none();
    return out;
}

std::uint32_t to_count(const py::object& given, const char* name, amount least, amount most) {
    const amount value = to_amount(given, name, least, "an int");
    if (value > most) throw py::value_error(std::string(name) + " must be at most " + std::to_string(most));
    return static_cast<std::uint32_t>(value);
}

// Its own mutex, since buyers settle without the GIL.
class race_stepper {
public:
    race_stepper(const address& where, load::race_settings asked)
        : owner_(getpid()),
          buyers_(asked.buyers),
          run_(unwrap(load::stepper::make(std::move(asked), make_factory(where)))) {}
    race_stepper(const race_stepper&) = delete;
    race_stepper& operator=(const race_stepper&) = delete;
    ~race_stepper() {
        // In a forked child: what it shares with its parent must not be touched.
        if (getpid() != owner_ && run_) abandon();
    }

    void release(std::size_t buyer) {
        const auto held = look(buyer);
        run_->release(buyer);
    }

    bool settle(std::size_t buyer, const py::object& budget) {
        const nanos patience = to_nanos(budget, "seconds", true);
        check(buyer);
        bool rests = false;
        std::vector<engine::log_record> log;
        {
            const without_gil released;
            const std::scoped_lock guard(mutex_);
            rests = !run_ || run_->settle(buyer, patience);
            if (run_) log = run_->take_log();
        }
        emit(log);
        return rests;
    }

    py::object next(std::size_t buyer) {
        const auto held = look(buyer);
        const auto& gate = run_->gate_of(buyer);
        if (!gate.holding()) return py::none();
        return to_python(gate.next());
    }

    py::object last(std::size_t buyer) {
        const auto held = look(buyer);
        const auto* told = run_->gate_of(buyer).last();
        if (told == nullptr) return py::none();
        return to_python(*told);
    }

    bool paused(std::size_t buyer) {
        const auto held = look(buyer);
        return run_->paused(buyer);
    }

    // The Result, the exception of a fault, or None while the withdrawal is under way.
    py::object outcome(std::size_t buyer) {
        const auto held = look(buyer);
        const auto* ended = run_->outcome(buyer);
        if (ended == nullptr) return py::none();
        if (!*ended) return make_exception(ended->error());
        return py::cast(**ended);
    }

    void close(const py::object& budget) {
        const nanos patience = to_nanos(budget, "seconds", true);
        const without_gil released;
        const std::scoped_lock guard(mutex_);
        if (!run_) return;
        run_->cancel(patience);
        run_.reset();
    }

private:
    void check(std::size_t buyer) const {
        if (buyer >= buyers_) throw py::index_error("there is no such buyer");
    }

    // Waits for another thread that lets a buyer settle, without the GIL, which that thread may want.
    std::unique_lock<std::mutex> look(std::size_t buyer) {
        check(buyer);
        std::unique_lock<std::mutex> held(mutex_, std::defer_lock);
        {
            const without_gil released;
            held.lock();
        }
        if (!run_) throw py::value_error("the race is closed");
        return held;
    }

    void abandon() {
        run_->abandon_after_fork();
        [[maybe_unused]] auto* leaked = run_.release();
    }

    pid_t owner_;
    std::size_t buyers_;
    std::mutex mutex_;
    std::unique_ptr<load::stepper> run_;
};

std::unique_ptr<race_stepper> make(const address& where, const std::string& prefix, const py::object& account,
                                   const py::object& strategy, const py::object& buyers,
                                   const py::object& amount, const py::object& history_limit,
                                   const py::object& max_retries, const py::object& lock_wait,
                                   const py::object& lock_lease) {
    load::race_settings asked;
    asked.strategy = to_strategy(strategy);
    asked.account = unwrap(unwrap(key_scheme::make(prefix, {})).keys_of(to_user(account)));
    asked.buyers = to_count(buyers, "buyers", 1, most_buyers);
    asked.amount = to_amount(amount, "amount", 1);
    asked.rules.history_limit = to_count(history_limit, "history_limit", 0, most_history);
    asked.rules.max_retries = to_count(max_retries, "max_retries", 0, most_retries);
    asked.rules.lock_wait = to_nanos(lock_wait, "lock_wait", true);
    asked.rules.lock_lease = to_nanos(lock_lease, "lock_lease", false);
    if (asked.rules.lock_lease < millisecond)
        throw py::value_error("lock_lease must be at least 0.001 seconds");
    return std::make_unique<race_stepper>(where, std::move(asked));
}

}  // namespace

void register_race(py::module_& m) {
    py::class_<race_stepper>(m, "Stepper", py::is_final(),
                             "Withdrawals that are held before each round trip.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init(&make), py::arg("options"), py::kw_only(), py::arg("prefix"), py::arg("account"),
             py::arg("strategy"), py::arg("buyers"), py::arg("amount"), py::arg("history_limit"),
             py::arg("max_retries"), py::arg("lock_wait"), py::arg("lock_lease"))
        .def("release", &race_stepper::release, py::arg("buyer"), "Lets its next round trip go.")
        .def("settle", &race_stepper::settle, py::arg("buyer"), py::arg("seconds"),
             "Goes on for at most that long, until the buyer is held again or has ended: then True.")
        .def("next", &race_stepper::next, py::arg("buyer"), "The round trip that is held, or None.")
        .def("last", &race_stepper::last, py::arg("buyer"), "The round trip that was answered last, or None.")
        .def("paused", &race_stepper::paused, py::arg("buyer"), "Whether it paused since then.")
        .def("outcome", &race_stepper::outcome, py::arg("buyer"),
             "The Result, the exception of a fault, or None while it is under way.")
        .def("close", &race_stepper::close, py::arg("seconds"),
             "Sends the buyers away, waits up to that long until their locks are released, and disconnects.");
}

}  // namespace redislock::bindings
