// _core.Histogram: the load generator's latencies for whoever measures in Python. Touched only with
// the GIL held.
#include "load/histogram.hpp"

#include <pybind11/typing.h>

#include <cmath>

#include "bindings/bindings.hpp"

namespace redislock::bindings {
namespace {

constexpr double longest = 1e9;  // seconds; far beyond the last counter, and its nanoseconds fit

double seconds(nanos value) { return static_cast<double>(value) / static_cast<double>(second); }

void record(load::histogram& into, double value) {
    const bool fits = value >= 0 && value <= longest;  // NaN does not
    if (!fits) throw py::value_error("seconds must be from 0 to 1000000000");
    into.record(static_cast<nanos>(std::llround(value * static_cast<double>(second))));
}

void merge(load::histogram& into, const py::bytes& encoded) {
    if (!into.merge_encoded(std::string_view(encoded))) throw py::value_error("this is no encoded histogram");
}

py::typing::List<py::typing::Tuple<double, std::uint64_t>> counts(const load::histogram& from) {
    py::typing::List<py::typing::Tuple<double, std::uint64_t>> out;
    from.for_each(
        [&](nanos value, std::uint64_t count) { out.append(py::make_tuple(seconds(value), count)); });
    return out;
}

}  // namespace

py::dict summarize(const load::histogram& latencies) {
    py::dict out;
    out["count"] = latencies.count();
    out["min"] = seconds(latencies.min());
    out["mean"] = latencies.mean() / static_cast<double>(second);
    out["p50"] = seconds(latencies.quantile(0.50));
    out["p95"] = seconds(latencies.quantile(0.95));
    out["p99"] = seconds(latencies.quantile(0.99));
    out["p999"] = seconds(latencies.quantile(0.999));
    out["max"] = seconds(latencies.max());
    return out;
}

void register_histogram(py::module_& m) {
    py::class_<load::histogram>(m, "Histogram", py::is_final(),
                                "Latencies in seconds, at least three significant digits at every scale.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<>())
        .def("record", &record, py::arg("seconds"))
        .def("merge", &merge, py::arg("encoded"),
             "Adds what another one encoded; as exact as if all had been recorded here.")
        .def(
            "encode", [](const load::histogram& from) { return py::bytes(from.encode()); },
            "All that it holds, compactly.")
        .def("clear", &load::histogram::clear)
        .def("counts", &counts, "Pairs of seconds and how often, in ascending order.")
        .def(
            "summary",
            [](const load::histogram& from) -> py::typing::Dict<py::str, py::object> {
                return summarize(from);
            },
            "The fields of a Latency.");
}

}  // namespace redislock::bindings
