// A session of a memory:// server by hand: commands as words, replies as plain values. For tests,
// which compare it with real servers, and plant values.
#include "bindings/bindings.hpp"
#include "wire/command.hpp"

namespace redislock::bindings {
namespace {

py::object to_value(const wire::reply& said) {
    using kind = wire::reply::kind;
    switch (said.type) {
        case kind::nil: return py::none();
        case kind::integer: return py::int_(said.integer);
        case kind::text: return py::bytes(said.text);
        case kind::status: return py::str(said.text);
        case kind::failure:
            return py::reinterpret_borrow<py::object>(PyExc_RuntimeError)(
                py::bytes(said.text).attr("decode")());
        case kind::array:
        case kind::push: break;
    }
    py::list values;
    for (const auto& each : said.items) values.append(to_value(each));
    return values;
}

py::object execute(memory::session& by, const py::list& words) {
    wire::commands request;
    request.begin(words.size());
    for (const auto each : words) request.argument(std::string_view(py::cast<std::string>(each)));
    std::vector<wire::reply> replies;
    {
        const py::gil_scoped_release waiting;
        memory::turn(by.home()).execute(by, request.bytes(), replies);
    }
    return to_value(replies.at(0));
}

}  // namespace

void register_memory(py::module_& m) {
    py::class_<memory::session>(m, "MemorySession", "One client of the memory:// server of a name.")
        .def(py::init([](const std::string& name) {
                 return std::make_unique<memory::session>(memory::server::named(name));
             }),
             py::arg("name"))
        .def("execute", &execute, py::arg("words"),
             "The reply to one command; an error comes as a RuntimeError, returned.")
        .def("__reduce__", &refuse_pickling);
}

}  // namespace redislock::bindings
