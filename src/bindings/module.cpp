// redislock._core: the native half of the package. Its names are private; `redislock` exports what
// is public.
#include "bindings/bindings.hpp"
#include "wire/build_info.hpp"

namespace redislock::bindings {
namespace {

py::dict build_info() {
    py::dict info;
    info["version"] = REDISLOCK_VERSION;
    info["hiredis"] = wire::hiredis_version();
    info["tls"] = !wire::tls_version().empty();
    info["openssl"] = wire::tls_version();
    info["compiler"] = REDISLOCK_COMPILER;
    return info;
}

}  // namespace
}  // namespace redislock::bindings

// No module state is shared between calls but what the GIL or a driver's own mutex guards.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    using namespace redislock::bindings;
    m.doc() = "The native core of redislock. Private: use the names of the package.";
    m.def("build_info", &build_info, "Versions and features of this build.");
    register_options(m);
    register_results(m);
    register_accounts(m);
    register_coordination(m);
    register_drivers(m);
    register_histogram(m);
    register_load(m);
    register_race(m);
    register_memory(m);
    register_hold(m);
    register_locks(m);
    register_stock_result(m);
    register_stock(m);
    register_outbox(m);
}
