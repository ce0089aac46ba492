// _core.Outbox: makes operations on the outbox of one stock, for whoever moves its orders on.
#include "stock/outbox.hpp"

#include <pybind11/stl.h>

#include <utility>

#include "bindings/bindings.hpp"
#include "types/keys.hpp"

namespace redislock::bindings {
namespace {

using engine::context;
using engine::task;
using stock::outbox_entries;
using stock::outbox_reader;

py::object to_object(bool value) { return py::bool_(value); }
py::object to_object(std::uint64_t value) { return py::int_(value); }

// Plain tuples: there may be a hundred thousand a second.
py::object to_object(const outbox_entries& entries) {
    py::list out(entries.size());
    for (std::size_t at = 0; at < entries.size(); ++at) {
        const auto& each = entries[at];
        out[at] = py::make_tuple(readable(each.stream_id), readable(each.order_id), readable(each.sku),
                                 each.quantity, readable(each.user), each.at);
    }
    return out;
}

/// What is asked of the outbox: a function from context and reader, which owns the rest.
template <class T, class Work>
class outbox_request final : public engine::operation_of<T, request> {
public:
    outbox_request(nanos timeout, outbox_reader reader, Work work)
        : engine::operation_of<T, request>(timeout), reader_(std::move(reader)), work_(std::move(work)) {}
    py::object deliver() override { return to_object(unwrap(std::move(this->outcome()))); }

private:
    task<result<T>> body(context& with) override { return work_(with, reader_); }
    outbox_reader reader_;
    Work work_;
};

class outbox_factory {
public:
    outbox_factory(const address& where, const py::object& sku, const py::object& prefix,
                   const py::object& group, const py::object& consumer)
        : timeout_(where.settings.timeout) {
        const auto keys = unwrap(key_scheme::make(to_text(prefix, "prefix"), {}));
        reader_.key = unwrap(keys.stock_of(to_user(sku, "sku"))).outbox;
        reader_.group = to_text(group, "group");
        reader_.consumer = to_text(consumer, "consumer");
    }

    request_ptr open(const py::object& timeout) const { return make<bool>(timeout, &stock::open_outbox); }
    request_ptr read(std::uint64_t most, const py::object& timeout) const {
        return make<outbox_entries>(timeout, [most](context& with, const outbox_reader& reader) {
            return stock::read_outbox(with, reader, most);
        });
    }
    request_ptr claim(const py::object& idle, std::uint64_t most, const py::object& timeout) const {
        const nanos least = to_nanos(idle, "idle", true);
        return make<outbox_entries>(timeout, [least, most](context& with, const outbox_reader& reader) {
            return stock::claim_outbox(with, reader, least, most);
        });
    }
    request_ptr clear(std::vector<std::string> stream_ids, const py::object& timeout) const {
        if (stream_ids.empty()) throw py::value_error("stream_ids must not be empty");
        return make<std::uint64_t>(timeout,
                                   [ids = std::move(stream_ids)](context& with, const outbox_reader& reader) {
                                       return stock::clear_outbox(with, reader, ids);
                                   });
    }
    request_ptr set_aside(std::vector<std::string> stream_ids, std::string why,
                          const py::object& timeout) const {
        if (stream_ids.empty()) throw py::value_error("stream_ids must not be empty");
        return make<std::uint64_t>(timeout, [ids = std::move(stream_ids), why = std::move(why)](
                                                context& with, const outbox_reader& reader) {
            return stock::set_aside(with, reader, ids, why);
        });
    }
    request_ptr count(const py::object& timeout) const {
        return make<std::uint64_t>(timeout, &stock::count_outbox);
    }
    const std::string& key() const noexcept { return reader_.key; }

private:
    template <class T, class Work>
    request_ptr make(const py::object& timeout, Work work) const {
        return std::make_shared<outbox_request<T, Work>>(
            timeout.is_none() ? timeout_ : to_nanos(timeout, "timeout", false), reader_, std::move(work));
    }

    nanos timeout_;
    outbox_reader reader_;
};

}  // namespace

void register_outbox(py::module_& m) {
    const auto none = py::none();
    py::class_<outbox_factory>(m, "Outbox", py::is_final(),
                               "Makes operations on the outbox of a stock; does no I/O.")
        .def("__reduce__", &refuse_pickling)
        .def(py::init<const address&, const py::object&, const py::object&, const py::object&,
                      const py::object&>(),
             py::arg("options"), py::arg("sku"), py::arg("prefix") = "redislock", py::arg("group") = "relay",
             py::arg("consumer") = "relay")
        .def("open", &outbox_factory::open, py::arg("timeout") = none, "Makes the consumer group.")
        .def("read", &outbox_factory::read, py::arg("most"), py::arg("timeout") = none,
             "Answers with orders that nobody was given: (stream_id, order_id, sku, qty, user, at) each.")
        .def("claim", &outbox_factory::claim, py::arg("idle"), py::arg("most"), py::arg("timeout") = none,
             "Answers with orders that were given to this consumer, or for `idle` seconds to another.")
        .def("clear", &outbox_factory::clear, py::arg("stream_ids"), py::arg("timeout") = none,
             "Acknowledges and deletes; answers with how many there were.")
        .def("set_aside", &outbox_factory::set_aside, py::arg("stream_ids"), py::arg("why"),
             py::arg("timeout") = none,
             "Takes what cannot become an order out, into the stream KEY:refused; answers with how many.")
        .def("count", &outbox_factory::count, py::arg("timeout") = none, "Answers with how many wait.")
        .def_property_readonly("key", &outbox_factory::key);
}

}  // namespace redislock::bindings
