// _core.LoadGenerator: a run of the load generator, stepped from Python so that it can draw
// progress and see Ctrl-C in between.
#include <pybind11/typing.h>
#include <unistd.h>

#include <mutex>

#include "bindings/bindings.hpp"
#include "bindings/without_gil.hpp"
#include "load/generator.hpp"

namespace redislock::bindings {
namespace {

constexpr amount most_retries = 1'000'000;
constexpr amount most_history = 1'000'000;
constexpr amount most_users = 100'000;

using fields = py::typing::Dict<py::str, py::object>;
using names = py::typing::Iterable<py::typing::Union<py::str, py::int_>>;

double seconds(nanos value) { return static_cast<double>(value) / static_cast<double>(second); }

std::uint32_t to_count(const py::object& given, const char* name, amount least, amount most) {
    const amount value = to_amount(given, name, least, "an int");
    if (value > most) throw py::value_error(std::string(name) + " must be at most " + std::to_string(most));
    return static_cast<std::uint32_t>(value);
}

double to_rate(const py::object& given) {
    if (PyFloat_Check(given.ptr()) == 0 && PyLong_CheckExact(given.ptr()) == 0)
        throw py::type_error("rate must be a number of withdrawals a second, or None");
    const double value = PyFloat_AsDouble(given.ptr());
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (!(value > 0)) throw py::value_error("rate must be more than 0 a second");
    return value;
}

load::distribution to_distribution(const std::string& name) {
    const auto found = load::parse_distribution(name);
    if (!found) throw py::value_error("keys must be one of hot, uniform, zipf");
    return *found;
}

py::int_ to_python(const load::exact_sum& sum) {
    return py::int_(sum.high) << py::int_(64) | py::int_(sum.low);
}

py::dict to_python(const std::array<std::uint64_t, status_count>& statuses) {
    py::dict out;
    for (std::size_t i = 0; i < status_count; ++i) {
        if (statuses[i] > 0) out[py::str(std::string(to_string(static_cast<status>(i))))] = statuses[i];
    }
    return out;
}

py::dict to_python(const load::account_money& money) {
    py::dict out;
    out["taken"] = to_python(money.taken);
    out["unknown"] = to_python(money.unknown);
    out["taken_count"] = money.taken_count;
    out["unknown_count"] = money.unknown_count;
    return out;
}

py::dict to_python(const std::map<errc, load::fault_count>& faults) {
    py::dict out;
    for (const auto& [code, seen] : faults) {
        py::dict each;
        each["count"] = seen.count;
        each["first"] = py::str(make_exception({code, seen.first}));
        out[py::str(std::string(to_string(code)))] = each;
    }
    return out;
}

double rate(const load::generator& from) {
    const nanos window = from.elapsed();
    return window > 0 ? static_cast<double>(from.seen().ok_in_window) / seconds(window) : 0;
}

// Its own mutex, since steps run without the GIL: another thread may ask for a snapshot meanwhile.
class load_generator {
public:
    load_generator(const address& where, load::settings asked)
        : owner_(getpid()), run_(unwrap(load::generator::make(std::move(asked), make_factory(where)))) {}
    load_generator(const load_generator&) = delete;
    load_generator& operator=(const load_generator&) = delete;
    ~load_generator() {
        // In a forked child: what it shares with its parent must not be touched.
        if (getpid() != owner_ && run_) abandon();
    }

    bool step(const py::object& budget) {
        const nanos patience = to_nanos(budget, "seconds", true);
        bool more = false;
        std::vector<engine::log_record> log;
        {
            const without_gil released;
            const std::scoped_lock guard(mutex_);
            more = running().step(patience);
            log = run_->take_log();
        }
        emit(log);
        return more;
    }

    void set_users(const py::object& users) {
        const std::uint32_t wanted = to_count(users, "users", 0, most_users);
        const without_gil released;
        const std::scoped_lock guard(mutex_);
        if (run_) run_->set_users(wanted);
    }

    fields take() {
        const auto held = look();
        const load::tally seen = run_->take_seen();
        fields out;
        out["statuses"] = to_python(seen.statuses);
        out["faults"] = to_python(seen.faults);
        out["latency"] = py::bytes(seen.answered.encode());
        py::list money;
        for (const auto& each : seen.money) money.append(to_python(each));
        out["accounts"] = money;
        return out;
    }

    void stop() {
        const without_gil released;
        const std::scoped_lock guard(mutex_);
        if (run_) run_->stop();
    }

    void abort() {
        const without_gil released;
        const std::scoped_lock guard(mutex_);
        if (run_) run_->abort();
    }

    void close() {
        const without_gil released;
        const std::scoped_lock guard(mutex_);
        run_.reset();
    }

    fields snapshot() {
        const auto held = look();
        fields out;
        out["phase"] = std::string(to_string(run_->phase()));
        out["progress"] = run_->progress();
        out["elapsed"] = seconds(run_->elapsed());
        out["in_flight"] = run_->in_flight();
        out["operations"] = run_->seen().operations;
        out["throughput"] = rate(*run_);
        out["statuses"] = to_python(run_->seen().statuses);
        return out;
    }

    fields report() {
        const auto held = look();
        const load::tally& seen = run_->seen();
        fields out;
        out["elapsed"] = seconds(run_->elapsed());
        out["throughput"] = rate(*run_);
        out["operations"] = seen.operations;
        out["attempts"] = seen.attempts;
        out["round_trips"] = seen.round_trips;
        out["statements"] = seen.statements;
        out["missed"] = run_->missed();
        out["statuses"] = to_python(seen.statuses);
        out["latency"] = summarize(seen.ok);
        out["latency_all"] = summarize(seen.all);
        out["service"] = summarize(run_->settings().rate > 0 ? seen.service : seen.ok);
        out["faults"] = to_python(seen.faults);
        out["fatal"] = run_->fatal() ? make_exception(*run_->fatal()) : py::none();
        out["longest_line"] = run_->longest_line();
        py::list money;
        for (const auto& each : seen.money) money.append(to_python(each));
        out["accounts"] = money;
        return out;
    }

    fields histograms() {
        const auto held = look();
        const load::tally& seen = run_->seen();
        fields out;
        out["latency"] = py::bytes(seen.ok.encode());
        out["latency_all"] = py::bytes(seen.all.encode());
        out["service"] = py::bytes((run_->settings().rate > 0 ? seen.service : seen.ok).encode());
        return out;
    }

private:
    load::generator& running() const {
        if (!run_) throw py::value_error("the load generator is closed");
        return *run_;
    }

    // Waits for a step of another thread, without the GIL, which that thread may want.
    std::unique_lock<std::mutex> look() {
        std::unique_lock<std::mutex> held(mutex_, std::defer_lock);
        {
            const without_gil released;
            held.lock();
        }
        running();
        return held;
    }

    void abandon() {
        run_->abandon_after_fork();
        [[maybe_unused]] auto* leaked = run_.release();
    }

    pid_t owner_;
    std::mutex mutex_;
    std::unique_ptr<load::generator> run_;
};

std::vector<account_keys> to_accounts(const std::string& prefix, const names& users) {
    const auto scheme = unwrap(key_scheme::make(prefix, {}));
    std::vector<account_keys> accounts;
    for (const auto& each : users) {
        accounts.push_back(unwrap(scheme.keys_of(to_user(py::reinterpret_borrow<py::object>(each)))));
    }
    return accounts;
}

std::unique_ptr<load_generator> make(const address& where, const std::string& prefix, const names& accounts,
                                     const py::object& strategy, const py::object& users,
                                     const std::string& keys, const py::object& amount,
                                     const py::object& jitter, const py::object& warmup,
                                     const py::object& duration, const py::object& count, std::uint64_t seed,
                                     const py::object& history_limit, const py::object& max_retries,
                                     const py::object& lock_wait, const py::object& lock_lease,
                                     const py::object& rtt, const py::object& rate) {
    load::settings asked;
    asked.strategy = to_strategy(strategy);
    asked.users = to_count(users, "users", 1, most_users);
    asked.accounts = to_accounts(prefix, accounts);
    asked.keys = to_distribution(keys);
    asked.amount = to_amount(amount, "amount", 1);
    asked.jitter = to_amount(jitter, "jitter", 0);
    asked.warmup = to_nanos(warmup, "warmup", true);
    asked.duration = to_nanos(duration, "duration", false);
    if (!count.is_none()) asked.count = static_cast<std::uint64_t>(to_amount(count, "count", 1, "an int"));
    asked.seed = seed;
    asked.timeout = where.settings.timeout;
    asked.rules.history_limit = to_count(history_limit, "history_limit", 0, most_history);
    asked.rules.max_retries = to_count(max_retries, "max_retries", 0, most_retries);
    asked.rules.lock_wait = to_nanos(lock_wait, "lock_wait", true);
    asked.rules.lock_lease = to_nanos(lock_lease, "lock_lease", false);
    if (asked.rules.lock_lease < millisecond)
        throw py::value_error("lock_lease must be at least 0.001 seconds");
    asked.rtt = to_nanos(rtt, "rtt", true);
    if (!rate.is_none()) asked.rate = to_rate(rate);
    return std::make_unique<load_generator>(where, std::move(asked));
}

}  // namespace

void register_load(py::module_& m) {
    const accounts::settings rules;
    py::class_<load_generator>(m, "LoadGenerator", py::is_final(), "One run of the native load generator.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init(&make), py::arg("options"), py::kw_only(), py::arg("prefix"), py::arg("accounts"),
             py::arg("strategy"), py::arg("users"), py::arg("keys"), py::arg("amount"), py::arg("jitter"),
             py::arg("warmup"), py::arg("duration"), py::arg("count"), py::arg("seed"),
             py::arg("history_limit") = rules.history_limit, py::arg("max_retries") = rules.max_retries,
             py::arg("lock_wait") = seconds(rules.lock_wait),
             py::arg("lock_lease") = seconds(rules.lock_lease), py::arg("rtt") = 0.0,
             py::arg("rate") = py::none())
        .def("step", &load_generator::step, py::arg("seconds"),
             "Goes on for about that long, without the GIL. False once the run is over.")
        .def("set_users", &load_generator::set_users, py::arg("users"),
             "Changes how many there are, also while the run goes on; 0 is a pause.")
        .def("take", &load_generator::take, "What was counted since the last time, for a run without count.")
        .def("stop", &load_generator::stop,
             "Begins nothing new; steps go on until what is under way has ended.")
        .def("abort", &load_generator::abort, "Ends at once; what is under way has an unknown outcome.")
        .def("snapshot", &load_generator::snapshot, "How far the run has got.")
        .def("report", &load_generator::report, "All that was counted.")
        .def("histograms", &load_generator::histograms,
             "The histograms that the report's latencies are taken from, encoded, by the same names.")
        .def("close", &load_generator::close, "Closes the connections.");
}

}  // namespace redislock::bindings
