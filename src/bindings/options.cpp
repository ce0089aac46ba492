// _core.Options: a URL and its options, parsed once and shared by the drivers of a client.
#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "engine/server_backend.hpp"
#include "memory/memory_backend.hpp"

namespace redislock::bindings {
namespace {

const char* scheme_name(wire::scheme value) {
    switch (value) {
        case wire::scheme::tcp: return "redis";
        case wire::scheme::tls: return "rediss";
        case wire::scheme::unix_socket: return "unix";
        case wire::scheme::memory: return "memory";
    }
    return "";
}

address make_address(const std::string& url,
                     const std::vector<std::pair<std::string, std::string>>& overrides) {
    address where;
    where.settings = unwrap(wire::parse_url(url));
    for (const auto& [name, value] : overrides) unwrap(wire::set_option(where.settings, name, value));
    if (where.settings.scheme == wire::scheme::memory)
        where.memory = memory::server::named(where.settings.path);
    return where;
}

double seconds(nanos value) { return static_cast<double>(value) / static_cast<double>(second); }

}  // namespace

engine::backend_factory make_factory(const address& where) {
    if (where.settings.scheme == wire::scheme::memory) {
        return [where](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
            return memory::memory_backend::make(loop, where.memory, where.settings);
        };
    }
    return [where](engine::loop& loop) -> result<std::unique_ptr<engine::backend>> {
        auto made = engine::server_backend::make(loop, where.settings);
        if (!made) return made.error();
        return std::unique_ptr<engine::backend>(std::move(*made));
    };
}

void register_options(py::module_& m) {
    py::class_<address>(m, "Options", py::is_final(), "Where the server is, and how to talk to it.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init(&make_address), py::arg("url"),
             py::arg("overrides") = std::vector<std::pair<std::string, std::string>>{})
        .def_property_readonly(
            "url", [](const address& self) { return self.settings.redacted(); },
            "The URL without its password.")
        .def_property_readonly("scheme",
                               [](const address& self) { return scheme_name(self.settings.scheme); })
        .def_property_readonly("host", [](const address& self) { return self.settings.host; })
        .def_property_readonly("port", [](const address& self) { return self.settings.port; })
        .def_property_readonly("client_name", [](const address& self) { return self.settings.client_name; })
        .def_property_readonly("path", [](const address& self) { return self.settings.path; })
        .def_property_readonly("db", [](const address& self) { return self.settings.db; })
        .def_property_readonly("timeout", [](const address& self) { return seconds(self.settings.timeout); })
        .def_property_readonly("max_connections",
                               [](const address& self) { return self.settings.max_connections; })
        .def("__repr__", [](const address& self) { return "Options('" + self.settings.redacted() + "')"; });
}

}  // namespace redislock::bindings
