"""Scenario 23: replies that are no Redis protocol, or too much of it."""

import contextlib
import itertools
import resource

import pytest
from changes import change
from fake_server import HELLO, FakeServer
from waiting import at_most

import redislock
from redislock import OutcomeUnknownError, ProtocolError

MEGABYTE = 2**20


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forever(chunk):
    return itertools.repeat(chunk)


# What follows a read, from clever to mad.
MALFORMED = {
    "huge string": b"$9223372036854775807\r\n",
    "huge string that comes": lambda: itertools.chain([b"$9223372036854775807\r\n"], forever(b"x" * 65536)),
    "string beyond the limit": b"$67108865\r\n",
    "string with a wrong length": b"$-2\r\n",
    "string with no number": b"$abc\r\n",
    "number beyond 64 bits": b"$92233720368547758080\r\n",
    "huge array": b"*3333333333\r\n",
    "largest array": b"*9223372036854775807\r\n",
    "array of a billion": b"*1000000000\r\n",
    "negative array": b"*-2\r\n",
    "a million deep": lambda: [b"*1\r\n" * 10**6],
    "a million deep, of maps": lambda: [b"%1\r\n" * 10**6],
    "a million deep, of two": lambda: [b"*2\r\n:1\r\n" * 10**6],
    "endless nulls": lambda: itertools.chain([b"*1048576\r\n"], forever(b"_\r\n" * 4096)),
    "endless line": lambda: itertools.chain([b"+"], forever(b"x" * 65536)),
    "many strings in one array": lambda: itertools.chain(
        [b"*1000000\r\n"], forever(b"$60000\r\n" + b"x" * 60000 + b"\r\n")
    ),
    "garbage": b"\x00\xff\xfe garbage\r\n",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "bad integer": b":12x4\r\n",
    "bad boolean": b"#x\r\n",
    "bad double": b",1.2.3\r\n",
    "bad null": b"_x\r\n",
    "map beyond the limit": b"%1073741824\r\n",
    "set beyond the limit": b"~1073741824\r\n",
}


def answer_of(name):
    given = MALFORMED[name]
    return lambda _: given() if callable(given) else given


@pytest.mark.parametrize("name", MALFORMED)
def test_23_a_read_fails_with_protocol_error_in_bounded_memory(name, connect):
    with FakeServer(answer_of(name)) as peer:
        client = connect(peer.url, timeout=30)
        before = peak()
        with pytest.raises(ProtocolError) as caught, at_most(5):
            client.balance("alice")
        assert len(str(caught.value)) < 500
        assert peak() - before < 400 * MEGABYTE
        # The next call is on a new connection and meets the same.
        with pytest.raises(ProtocolError):
            client.balance("alice")


@pytest.mark.parametrize("name", ["huge string", "huge array", "a million deep", "garbage", "HTTP"])
@pytest.mark.parametrize("how", ["lua", "deposit"])
def test_23_a_written_change_is_unknown_with_the_cause(how, name, connect):
    said = answer_of(name)
    with FakeServer(lambda words: b":0\r\n" if words[0] == b"CLIENT" else said(words)) as peer:
        client = connect(peer.url, timeout=5)
        for key in (None, "order"):
            with pytest.raises(OutcomeUnknownError, match="server"), at_most(2):
                change(client, how, "alice", key)
        # What cannot get better is not repeated either.
        assert [words[0] for words in peer.asked].count(b"EVALSHA") == 2


@pytest.mark.parametrize("name", ["huge string", "huge array", "a million deep", "garbage", "HTTP"])
def test_23_a_malformed_greeting(name, connect):
    given = MALFORMED[name]
    greeting = given() if callable(given) else given
    with FakeServer(lambda _: b"+OK\r\n", greeting=greeting) as peer:
        client = connect(peer.url, timeout=5)
        for call in (client.balance, lambda user: client.withdraw_watch(user, 1)):
            with pytest.raises(ProtocolError), at_most(1):
                call("alice")
        health = client.health()
        assert not health.reachable
        assert health.error


@pytest.mark.parametrize("extra", [b"+OK\r\n", b":1\r\n$3\r\nabc\r\n", b"*0\r\n" * 1000])
def test_23_replies_that_nobody_asked_for_are_never_taken_for_an_answer(extra, connect):
    asked = itertools.count()

    def answer(words):
        if words[0] == b"GET":
            return b"$2\r\n42\r\n" + (extra if next(asked) == 0 else b"")
        return b"$5\r\nok 41\r\n"

    with FakeServer(answer) as peer:
        client = connect(peer.url, timeout=5)
        assert client.balance("alice") == 42
        # Noticed at once, or when the connection is used again; after that it is another one.
        with contextlib.suppress(ProtocolError):
            assert client.balance("alice") == 42
        assert client.balance("alice") == 42
        assert client.withdraw_lua("alice", 1).balance == 41
        assert peer.accepted > 1


def test_23_too_few_replies_end_at_the_deadline(connect):
    with FakeServer(lambda words: b"+OK\r\n" if words[0] == b"WATCH" else b"") as peer:
        client = connect(peer.url, timeout=0.3)
        with pytest.raises(redislock.Error), at_most(0.4):
            client.withdraw_watch("alice", 1)
        with pytest.raises(redislock.Error), at_most(0.4):
            client.withdraw_lock("alice", 1)


@pytest.mark.parametrize(
    "said", [b"+OK\r\n", b":1\r\n", b"_\r\n", b"*0\r\n", b"*1\r\n:1\r\n", b"$0\r\n\r\n", b"%0\r\n", b"#t\r\n"]
)
@pytest.mark.parametrize("how", ["lua", "lock", "watch", "naive"])
def test_23_a_server_that_always_says_the_same_never_gets_an_ok(how, said, connect):
    def answer(words):
        if words[0] in (b"MULTI", b"EXEC") and len(peer.asked) <= 4:
            return {b"MULTI": b"+OK\r\n", b"EXEC": b"*0\r\n"}[words[0]]  # part of the greeting
        return said

    with FakeServer(answer, HELLO) as peer:
        client = connect(peer.url, timeout=1, lock_wait=0)
        try:
            assert client.withdraw(how, "alice", 1).status in ("missing", "lock_busy")
        except redislock.Error as error:
            assert str(error)  # noqa: PT017 - one of several good ends
        with pytest.raises(redislock.Error):
            client.deposit("alice", 1)


def test_23_a_pushed_message_is_no_answer(connect):
    push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$5\r\nalice\r\n"
    with FakeServer(lambda _: push + b"$2\r\n42\r\n" + push) as peer:
        client = connect(peer.url)
        assert [client.balance("alice") for _ in range(3)] == [42] * 3
        assert peer.accepted == 1
