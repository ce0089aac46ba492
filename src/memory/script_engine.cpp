#include "memory/script_engine.hpp"

#include <algorithm>
#include <cstdlib>

#include "memory/decimals.hpp"
#include "memory/replies.hpp"
#include "memory/script_library.hpp"
#include "memory/script_values.hpp"
#include "memory/state.hpp"

namespace redislock::memory {
namespace {

constexpr int steps_between_looks = 100'000;  // at the clock; well below a millisecond
constexpr std::string_view no_memory = "ERR not enough memory for this script";

void push_list(lua_State* lua, script_engine::texts which) {
    lua_createtable(lua, static_cast<int>(which.size()), 0);
    for (std::size_t i = 0; i < which.size(); ++i) {
        push_text(lua, which[i]);
        lua_rawseti(lua, -2, static_cast<int>(i + 1));
    }
}

// What locate_error left on the stack, in one sentence.
std::string describe_error(lua_State* lua, std::string_view sha1) {
    const int error = lua_gettop(lua);
    // Without memory there is no table.
    if (!lua_istable(lua, error)) {
        return lua_isstring(lua, error) != 0 ? "ERR " + std::string(text_at(lua, error))
                                             : "ERR unknown error";
    }
    lua_getfield(lua, error, "err");
    lua_getfield(lua, error, "source");
    lua_getfield(lua, error, "line");
    std::string text(text_at(lua, error + 1));
    text.append(" script: ").append(sha1).append(", on ").append(text_at(lua, error + 2));
    return text.append(":").append(text_at(lua, error + 3)).append(".");
}

}  // namespace

struct script_engine::native {
    explicit native(state& home) : around{home, nullptr, {}}, limits(home.limits) {}
    native(const native&) = delete;
    native& operator=(const native&) = delete;
    ~native() {
        if (lua != nullptr) lua_close(lua);
    }

    // What a protected call is to do. It must not leave by an exception of C++.
    struct job {
        native& self;
        std::string_view sha1;
        std::string_view body;
        texts keys;
        texts arguments;
        int function = LUA_NOREF;
        wire::reply said;
    };

    static native& of(lua_State* lua) noexcept {
        void* self = nullptr;
        lua_getallocf(lua, &self);
        return *static_cast<native*>(self);
    }
    static void* allocate(void* self, void* block, std::size_t before, std::size_t size);
    static void look_at_clock(lua_State* lua, lua_Debug* at);
    static int open(lua_State* lua);
    static int compile(lua_State* lua);
    static int perform(lua_State* lua);
    bool run_protected(lua_CFunction what, job& which) const;

    script_surroundings around;
    script_limits limits;
    std::size_t used = 0;
    nanos ends_at = never;
    by_text<int> known;  // by SHA1: a reference
    lua_State* lua = nullptr;
};

void* script_engine::native::allocate(void* self, void* block, std::size_t before, std::size_t size) {
    auto& here = *static_cast<native*>(self);
    if (size > before && size - before > here.limits.memory - std::min(here.used, here.limits.memory)) {
        return nullptr;
    }
    if (size == 0) std::free(block);
    void* moved = size == 0 ? nullptr : std::realloc(block, size);
    if (moved != nullptr || size == 0) here.used = here.used - before + size;
    return moved;
}

// A script may catch the error, but meets the next one with its next step.
void script_engine::native::look_at_clock(lua_State* lua, lua_Debug* /*at*/) {
    if (monotonic_now() < of(lua).ends_at) return;
    lua_sethook(lua, look_at_clock, LUA_MASKCOUNT, 1);
    luaL_error(lua, "this script ran for too long and was ended; it may have done a part of its work");
}

int script_engine::native::open(lua_State* lua) {
    open_script_library(lua, of(lua).around);
    return 0;
}

int script_engine::native::compile(lua_State* lua) {
    auto& which = *static_cast<job*>(lua_touserdata(lua, 1));
    // The interpreter trusts bytecode, so none is let in.
    const bool is_text = !which.body.starts_with(LUA_SIGNATURE[0]);
    if (!is_text) {
        lua_pushliteral(lua, "user_script:1: unexpected symbol near 'char(27)'");
    } else if (luaL_loadbuffer(lua, which.body.data(), which.body.size(), "@user_script") == 0) {
        which.function = luaL_ref(lua, LUA_REGISTRYINDEX);
        return 0;
    }
    which.said = make_failure("ERR Error compiling script (new function): " + std::string(text_at(lua, -1)));
    return 0;
}

int script_engine::native::perform(lua_State* lua) {
    auto& which = *static_cast<job*>(lua_touserdata(lua, 1));
    push_list(lua, which.keys);
    set_script_global(lua, "KEYS");
    push_list(lua, which.arguments);
    set_script_global(lua, "ARGV");
    lua_pushcfunction(lua, locate_error);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, which.function);
    which.self.ends_at = monotonic_now() + which.self.limits.duration;
    lua_sethook(lua, look_at_clock, LUA_MASKCOUNT, steps_between_looks);
    const int failed = lua_pcall(lua, 0, 1, 2);
    lua_sethook(lua, nullptr, 0, 0);
    if (failed != 0) which.said = make_failure(describe_error(lua, which.sha1));
    else which.said = to_reply(lua, 3);
    return 0;
}

bool script_engine::native::run_protected(lua_CFunction what, job& which) const {
    const bool done = lua_cpcall(lua, what, &which) == 0;
    lua_settop(lua, 0);
    // Lua does not collect when it runs short, so the next script must not begin short.
    if (!done || used > limits.memory / 2) lua_gc(lua, LUA_GCCOLLECT, 0);
    return done;
}

script_engine::script_engine(state& home) : native_(std::make_unique<native>(home)) {
    native_->lua = lua_newstate(native::allocate, native_.get());
    if (native_->lua == nullptr || lua_cpcall(native_->lua, native::open, nullptr) != 0) {
        throw std::bad_alloc();
    }
}

script_engine::~script_engine() = default;

bool script_engine::knows(std::string_view sha1) const { return native_->known.contains(sha1); }

std::optional<wire::reply> script_engine::load(const std::string& sha1, std::string_view body) {
    if (knows(sha1)) return std::nullopt;
    native::job which{*native_, sha1, body, {}, {}, LUA_NOREF, {}};
    if (!native_->run_protected(native::compile, which)) return make_failure(no_memory);
    if (which.function == LUA_NOREF) return std::move(which.said);
    native_->known.emplace(sha1, which.function);
    return std::nullopt;
}

wire::reply script_engine::run(client& by, std::string_view sha1, texts keys, texts arguments) {
    const plain_locale inside;
    native_->around.by = &by;
    native::job which{*native_, sha1, {}, keys, arguments, native_->known.find(sha1)->second, {}};
    if (!native_->run_protected(native::perform, which)) return make_failure(no_memory);
    return std::move(which.said);
}

void script_engine::forget_all() {
    for (const auto& [sha1, function] : native_->known) luaL_unref(native_->lua, LUA_REGISTRYINDEX, function);
    native_->known.clear();
}

}  // namespace redislock::memory
