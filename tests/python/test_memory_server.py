"""memory:// as a server: the same commands and the same Lua as on a real one, word for word.

Each command goes out as it is, and from within a script by redis.call and by redis.pcall. Keys hold
whatever earlier commands left there, so that every command also meets keys of the wrong type.
"""

import itertools
import os
import re
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from redislock import _core

STORIES = 300 if os.environ.get("CI") else 60
COMPARED = settings(
    max_examples=STORIES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_numbers = itertools.count(1)


class Raw:
    """A connection in the same words as `_core.MemorySession`: protocol 3, values as they come."""

    def __init__(self, url):
        where = urlsplit(url)
        if where.scheme == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(10)
            self.socket.connect(where.path)
        else:
            self.socket = socket.create_connection((where.hostname, where.port), timeout=10)
        self.file = self.socket.makefile("rb")
        self.execute("HELLO", "3")

    def execute(self, *words):
        raw = [each if isinstance(each, bytes) else each.encode() for each in words]
        head = b"*%d\r\n" % len(raw)
        self.socket.sendall(head + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in raw))
        return self.read()

    def read(self):
        kind, rest = (line := self.file.readline())[:1], line[1:-2]
        if kind in b"+-":
            return rest.decode() if kind == b"+" else RuntimeError(rest.decode())
        if kind in b":#":
            return int(rest) if kind == b":" else int(rest == b"t")
        if kind == b",":
            return rest
        if kind == b"_" or rest == b"-1":
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2]
        assert kind in b"*~%", line
        return [self.read() for _ in range(int(rest) * (2 if kind == b"%" else 1))]

    def close(self):
        self.file.close()
        self.socket.close()


class Memory:
    """The same on a fresh memory server."""

    def __init__(self):
        self.session = _core.MemorySession(f"differential-{os.getpid()}-{next(_numbers)}")

    def execute(self, *words):
        return self.session.execute(list(words))


@pytest.fixture
def both(start_server):
    """A fresh real server, and a fresh memory server."""
    real = Raw(start_server().url)
    yield real, Memory()
    real.close()


# Servers name themselves in their errors, and tell where in a script an error was met in several ways.
NAMED = re.compile(r"\b(?:Valkey |Redis |redis\.call\(\) )|(?: script: .*)")


def plain(answer, words=()):
    """Make answers comparable, also between the versions of servers."""
    if isinstance(answer, RuntimeError):
        return "error", NAMED.sub("", str(answer))
    if isinstance(answer, bytes):
        return number(answer)
    if isinstance(answer, list):
        command = next((each for each in words if each in ("HGETALL", "SCAN")), None)
        if command == "HGETALL":
            return sorted(zip(answer[::2], answer[1::2], strict=True))
        if command == "SCAN" and len(answer) == 2:
            return sorted(answer[1])
        return [plain(each) for each in answer]
    return answer


def number(text):
    """Compare numbers by value: older servers write 0.1 as 0.10000000000000001."""
    try:
        return "number", float(text)
    except ValueError:
        return NAMED.sub("", text.decode("latin-1"))


def in_script(how, words):
    """Make the command from within Lua, where numbers stay texts."""
    return ["EVAL", f"return redis.{how}(unpack(ARGV))", "0", *words]


keys = st.sampled_from(["a", "b", "c", "d"])
members = st.sampled_from(["m", "n", "o", "", "5"])
scores = st.sampled_from(["0", "1", "-1", "1.5", "0.1", "3e5", "inf", "-inf", "1e17", "123456789012345678"])
bad_scores = st.sampled_from(["nan", "x", "", " 1", "1 "])
bounds = scores | st.sampled_from(["(1", "(0.1", "+inf", "-inf", "(inf", "x", "(x"])
integers = st.sampled_from(["0", "1", "-1", "2", "-2", "100", "9223372036854775807", "-9223372036854775808"])
odd_integers = integers | st.sampled_from(["x", "", "1.5", "07"])
values = st.sampled_from(["v", "7", "", "9223372036854775807"])


def command(*parts):
    """Make a command of fixed words and drawn ones; a list of words is spliced in."""
    drawn = [st.just(each) if isinstance(each, str) else each for each in parts]
    return st.tuples(*drawn).map(
        lambda some: [word for each in some for word in ([each] if isinstance(each, str) else each)]
    )


def options(*words):
    return st.lists(st.sampled_from(words), max_size=2, unique=True)


pairs = st.lists(st.tuples(scores | scores | scores | bad_scores, members), min_size=1, max_size=3).map(
    lambda some: [word for pair in some for word in pair]
)
limits = st.just([]) | st.tuples(st.just("LIMIT"), integers, integers).map(list)
some_members = st.lists(members, min_size=1, max_size=3)
ids = st.sampled_from(
    ["1-1", "1-2", "2-0", "2", "3-7", "99999999999999-1", "0-0", "1-x", "", "-1", "18446744073709551615-5"]
)
some_ids = st.lists(ids, min_size=1, max_size=3)
id_bounds = ids | st.sampled_from(["-", "+", "(1-1", "(2", "(3-7", "(", "(-"])
most_entries = st.tuples(st.just("MAXLEN"), options("="), integers).map(
    lambda some: [some[0], *some[1], some[2]]
)
fields = st.lists(st.tuples(members, values), min_size=1, max_size=2).map(
    lambda some: [each for pair in some for each in pair]
)

COMMANDS = st.one_of(
    command("SET", keys, values, options("NX", "XX", "GET", "KEEPTTL")),
    command("SET", keys, values, "PX", st.just("100000"), options("NX", "XX", "GET")),
    command("GET", keys),
    command("MGET", st.lists(keys, min_size=1, max_size=3)),
    command("INCRBY", keys, odd_integers),
    command(st.sampled_from(["DEL", "UNLINK", "EXISTS"]), st.lists(keys, min_size=1, max_size=2)),
    command("TYPE", keys),
    command("PEXPIREAT", keys, st.sampled_from(["1", "99999999999999", "x"])),
    command("PEXPIRETIME", st.sampled_from(["nokey"])),
    command("PERSIST", keys),
    command(st.sampled_from(["LPUSH", "RPUSH"]), keys, some_members),
    command("LRANGE", keys, integers, integers),
    command("HSET", keys, members, values, st.just([]) | st.tuples(members, values).map(list)),
    command("HSET", keys, members, values, members),
    command(st.sampled_from(["HGET", "HEXISTS"]), keys, members),
    command(st.sampled_from(["HGETALL", "HLEN", "ZCARD", "LLEN"]), keys),
    command(st.sampled_from(["HMGET", "HDEL", "ZREM"]), keys, some_members),
    command("HINCRBY", keys, members, odd_integers),
    command("ZADD", keys, options("NX", "XX", "GT", "LT", "CH", "INCR"), pairs),
    command("ZADD", keys, pairs),
    command("ZADD", keys, pairs, members),
    command("ZINCRBY", keys, scores | bad_scores, members),
    command(st.sampled_from(["ZSCORE", "ZRANK"]), keys, members),
    command("ZPOPMIN", keys),
    command("ZPOPMIN", keys, odd_integers),
    command(st.sampled_from(["ZCOUNT", "ZREMRANGEBYSCORE"]), keys, bounds, bounds),
    command("ZRANGE", keys, integers, integers, options("REV", "WITHSCORES")),
    command("ZRANGE", keys, bounds, bounds, "BYSCORE", options("REV", "WITHSCORES"), limits),
    command("ZRANGE", keys, odd_integers, bounds, options("REV", "WITHSCORES", "BYSCORE"), limits),
    command("ZRANGEBYSCORE", keys, bounds, bounds, options("WITHSCORES"), limits),
    command("XADD", keys, ids, fields),
    command("XADD", keys, options("NOMKSTREAM"), st.just([]) | most_entries, ids, fields),
    command("XADD", keys, ids, members),
    command("XDEL", keys, some_ids),
    command("XLEN", keys),
    command(
        "XRANGE",
        keys,
        id_bounds,
        id_bounds,
        st.just([]) | st.tuples(st.just("COUNT"), odd_integers).map(list),
    ),
    command("XTRIM", keys, most_entries),
    command("SCAN", "0", st.sampled_from([["TYPE", "hash"], ["TYPE", "zset"], ["MATCH", "[ab]"]])),
    command("PUBLISH", keys, values),
)
steps = st.lists(st.tuples(st.sampled_from(["plain", "call", "pcall"]), COMMANDS), min_size=30, max_size=30)


def test_commands_answer_as_on_a_server(both):
    @COMPARED
    @given(steps)
    def compare(story):
        for each in both:
            each.execute("FLUSHALL")
        for how, words in story:
            sent = words if how == "plain" else in_script(how, words)
            real, memory = (plain(each.execute(*sent), words) for each in both)
            assert memory == real, sent

    compare()


numbers = st.floats(allow_nan=False).map(repr) | st.integers(-(2**60), 2**60).map(str)
literals = st.recursive(
    st.sampled_from(
        ["nil", "true", "false", "'x'", "''", "1", "-1", "2.5", "-2.5", "1e15", "2^53", "'\\0\\r\\n'"]
    )
    | numbers.filter(lambda text: "inf" not in text),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda some: "{" + ", ".join(some) + "}")
        | inner.map(lambda one: f"{{err = {one}}}")
        | inner.map(lambda one: f"{{ok = {one}}}")
        | inner.map(lambda one: f"{{field = {one}}}")
    ),
    max_leaves=8,
)


def test_lua_values_become_replies_as_on_a_server(both):
    @COMPARED
    @given(literals)
    @example("{err = 'a\\0b\\r\\n'}")
    @example("{ok = 'a\\0b\\r\\n'}")
    def compare(literal):
        for body in (f"return {literal}", f"return tostring(type({literal}))"):
            real, memory = (plain(each.execute("EVAL", body, "0")) for each in both)
            assert memory == real, body

    compare()


def test_numbers_become_words_as_on_a_server(both):
    @COMPARED
    @given(numbers.filter(lambda text: "inf" not in text))
    def compare(number):
        for body in (f"return redis.call('ECHO', {number})", f"return tostring({number})"):
            real, memory = (plain(each.execute("EVAL", body, "0")) for each in both)
            assert memory == real, body

    compare()


SCRIPTS = [
    "return 1 +",
    "error('x')",
    "error('x', 0)",
    "error({err = 'MY x'})",
    "error({err = 'x'})",
    "error()",
    "error(nil)",
    "error(5)",
    "error(true)",
    "\n\nerror('third line')",
    "return redis.error_reply('My Err')",
    "return redis.error_reply('-My Err')",
    "return redis.error_reply('My')",
    "return redis.error_reply(5)",
    "return redis.error_reply()",
    "return redis.error_reply('a\\r\\nb c')",
    "return redis.status_reply('a\\r\\nb')",
    "return redis.status_reply(5)",
    "return redis.pcall('get').err",
    "return redis.pcall('nothing').err",
    "return redis.pcall('eval', 'return 1', '0').err",
    "redis.call('lpush', 'l', 'x') return redis.call('get', 'l')",
    "local ok, e = pcall(redis.call, 'get') return {tostring(ok), type(e), e}",
    "local ok, e = pcall(error, {err = 'A b'}) return {tostring(ok), type(e), e}",
    "local ok, e = pcall(error, {1}) return {tostring(ok), type(e), e}",
    "return {pcall(function(...) return ... end, 1, 'a')}",
    "return {xpcall(function() return 1, 2 end, tostring)}",
    "return select(2, xpcall(function() error('x', 0) end, function(e) return e .. '!' end))",
    "local x = nothing",
    "x = 1",
    "local y = _G.nothing",
    "_G.x = 1",
    "string.foo = 1",
    "redis.foo = 1",
    "return redis.nothing",
    "rawset(_G, 'x', 1)",
    "local t = {} rawset(t, 1, 5) return t",
    "KEYS = {}",
    "KEYS[1] = 'a' return KEYS",
    "return {#KEYS, #ARGV}",
    "return print",
    "return dofile",
    "return io",
    "return require",
    "return debug",
    "return getfenv",
    "return newproxy",
    "return loadstring('return 5')()",
    "return {loadstring('return +')}",
    "return {1, function() end, 3}",
    "local t = {} t.x = t return t",
    "return redis.sha1hex('abc')",
    "return redis.sha1hex(5)",
    "return redis.sha1hex()",
    "return redis.log(redis.LOG_WARNING, 'x')",
    "return redis.log('x', 'x')",
    "return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}",
    "return redis.setresp(2)",
    "return redis.call('multi')",
    "return redis.call('client', 'id')",
    "return redis.call('config', 'get', 'save')",
    "return redis.call('unwatch')",
    "return #redis.call('time')",
    "return tostring(redis.call('get', 'missing'))",
    "return redis.call('set', 'a', 'b').ok",
    "return string.format('%d %5.2f %q %s', 3.7, 2.345, 'a\\nb', 'x')",
    "return table.concat({1, 2.5, 'x'}, ',')",
    "return ('x'):rep(3) .. #'abc' .. ('abc'):upper():sub(2)",
    "local t = {3, 1, 2} table.sort(t) return t",
    "return {tonumber('0x10'), tostring(tonumber('zz')), tonumber('z', 36), math.floor(2.7)}",
    "local co = coroutine.wrap(function() coroutine.yield(1) return 2 end) return {co(), co()}",
    "return tostring(1e15) .. ' ' .. tostring(2^53) .. ' ' .. 1e14",
    "for k, v in string.gmatch('a=1,b=2', '(%w+)=(%w+)') do redis.call('set', k, v) end return 1",
]


def test_scripts_end_as_on_a_server(both):
    different = []
    for body in SCRIPTS:
        real, memory = (plain(each.execute("EVAL", body, "1", "k", "v")) for each in both)
        if memory != real:
            different.append((body, memory, real))
    assert different == []


# In words that differ between servers; and memory:// knows no protocol but 2 within scripts, nor any os.
REFUSED = [
    "return redis.setresp(4)",
    "return os.time()",
    "return redis.call()",
    "return redis.pcall({})",
    "return redis.pcall('get', true)",
    "return redis.log(9, 'x')",
]


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_refused_here_is_refused_there(both, body):
    for each in both:
        assert plain(each.execute("EVAL", body, "0"))[0] == "error"


def test_an_unknown_script_is_told(both):
    for each in both:
        assert str(each.execute("EVALSHA", "0" * 40, "0")).startswith("NOSCRIPT ")
