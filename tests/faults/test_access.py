"""Scenarios 30 and 36: who may not do what, told at once and without a secret."""

import asyncio
import logging
import traceback

import pytest
import redis
from changes import CHANGES, WITHDRAWALS, change
from waiting import at_most

import redislock.asyncio
from redislock import AuthenticationError, OutcomeUnknownError, PermissionDeniedError

SECRET = "correct-horse-battery"
WRONG = "wrong-horse-staple"
EVERYTHING = "~* &* +@all"


@pytest.fixture
def guarded(start_server):
    """A server with a password and users; and a view of it from outside."""
    server = start_server(
        port=0,
        config={
            "requirepass": SECRET,
            "user": [
                f"bob on >{SECRET} {EVERYTHING}",
                f"nomulti on >{SECRET} {EVERYTHING} -multi",
                f"noexec on >{SECRET} {EVERYTHING} -exec",
                f"nowatch on >{SECRET} {EVERYTHING} -watch",
                f"noscript on >{SECRET} {EVERYTHING} -evalsha -eval",
                f"nokill on >{SECRET} {EVERYTHING} -client|kill",
                f"noset on >{SECRET} {EVERYTHING} -set",
                f"reader on >{SECRET} {EVERYTHING} -@write",
                f"foreign on >{SECRET} ~other:* &* +@all",
                f"disabled off >{SECRET} {EVERYTHING}",
                f"open on nopass {EVERYTHING}",
            ],
        },
    )
    with redis.Redis.from_url(server.url, password=SECRET, decode_responses=True) as raw:
        yield server, raw


def url_of(server, user, password):
    return f"redis://{user}:{password}@127.0.0.1:{server.port}/0"


def no_secret_in(*things):
    for each in things:
        text = each if isinstance(each, str) else str(each)
        assert SECRET not in text
        assert WRONG not in text


def everything_said(error, client, caplog):
    return (
        str(error),
        repr(error),
        repr(error.args),
        "".join(traceback.format_exception(error)),
        repr(client),
        client.url,
        repr(client._options),
        caplog.text,
    )


WAYS_IN = {
    "wrong password": lambda port: f"redis://:{WRONG}@127.0.0.1:{port}",
    "wrong password of a user": lambda port: f"redis://bob:{WRONG}@127.0.0.1:{port}",
    "unknown user": lambda port: f"redis://eve:{SECRET}@127.0.0.1:{port}",
    "disabled user": lambda port: f"redis://disabled:{SECRET}@127.0.0.1:{port}",
    "no password": lambda port: f"redis://127.0.0.1:{port}",
    "as a parameter": lambda port: f"redis://127.0.0.1:{port}?password={WRONG}",
    "percent-encoded": lambda port: f"redis://bob:{WRONG.replace('-', '%2D')}@127.0.0.1:{port}",
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_30_a_wrong_password_is_a_typed_error_at_once(way, guarded, connect, caplog):
    caplog.set_level(logging.DEBUG, "redislock")
    server, raw = guarded
    client = connect(WAYS_IN[way](server.port), timeout=10)
    for how in CHANGES:
        before = raw.info("stats")["total_connections_received"]
        with pytest.raises(AuthenticationError) as caught, at_most(1):
            change(client, how, "alice", "order")
        # No storm: one attempt a call.
        assert raw.info("stats")["total_connections_received"] - before <= 1
        assert isinstance(caught.value, ConnectionError)
        assert "password" in str(caught.value)
        no_secret_in(*everything_said(caught.value, client, caplog))
    health = client.health()
    assert not health
    no_secret_in(health.error, repr(health), repr(health.as_dict()))


def test_30_asyncio_a_wrong_password_fails_every_caller_at_once(guarded, caplog):
    caplog.set_level(logging.DEBUG, "redislock")
    server, raw = guarded

    async def run():
        before = raw.info("stats")["total_connections_received"]
        async with redislock.asyncio.Client(url_of(server, "bob", WRONG), timeout=10) as client:
            with at_most(1):
                ended = await asyncio.gather(
                    *(client.withdraw_lua("alice", 1) for _ in range(50)), return_exceptions=True
                )
            assert {type(each) for each in ended} == {AuthenticationError}
            assert raw.info("stats")["total_connections_received"] - before == 1
            no_secret_in(*everything_said(ended[0], client, caplog))

    asyncio.run(run())


@pytest.mark.parametrize("named", ["open@127.0.0.1:{}", "127.0.0.1:{}?username=open"])
def test_30_a_user_without_a_password_is_served_as_that_user(named, guarded, connect):
    server, raw = guarded
    client = connect("redis://" + named.format(server.port), timeout=10)
    assert client.init("alice", 100)
    assert [each["user"] for each in raw.client_list()].count("open") == 1


def test_30_a_password_that_changes_while_connected(guarded, connect, caplog):
    server, raw = guarded
    client = connect(url_of(server, "bob", SECRET), timeout=10)
    client.init("alice", 100)
    client.withdraw_watch("alice", 1)
    raw.acl_setuser("bob", enabled=True, reset_passwords=True, passwords=[f"+{WRONG}"])
    assert client.withdraw_lua("alice", 1).balance == 98  # it was let in
    raw.client_kill_filter(_type="normal", user="bob")
    with pytest.raises(AuthenticationError), at_most(1):  # a read is tried again
        client.balance("alice")
    with pytest.raises(AuthenticationError), at_most(1):  # so is WATCH
        client.withdraw_watch("alice", 1)
    for how in CHANGES:
        with pytest.raises(AuthenticationError) as caught, at_most(1):
            change(client, how, "alice", how)
        no_secret_in(*everything_said(caught.value, client, caplog))
    fresh = connect(url_of(server, "bob", WRONG))
    assert fresh.balance("alice") == 98


def test_30_mistakes_in_the_url_do_not_repeat_the_password(connect):
    for url in (
        f"redis://bob:{SECRET}@host:port",
        f"redis://bob:{SECRET}@host:99999",
        f"redis://bob:{SECRET}@host/x",
        f"redis://bob:{SECRET}%zz@host",
        f"redis://bob:{SECRET}@[::1",
        f"redis://bob:{SECRET}@host?timeout=x",
        f"redis://bob:{SECRET}@host?nonsense=1",
        f"redis://bob:{SECRET}#x@host",
        f"redis://bob:{SECRET}/x@host",
        f"redis://bob:{SECRET}?x@host",
        f"http://bob:{SECRET}@host",
        f"redis://bob:{SECRET}@ho st",
        f"unix://bob:{SECRET}@relative",
        f"redis://host?password={SECRET}&db=x",
        f"redis://host?password={SECRET}%zz",
        f"bob:{SECRET}@host:6379:1",
    ):
        with pytest.raises(redislock.ConfigurationError) as caught:
            connect(url)
        no_secret_in(str(caught.value), repr(caught.value))
    with pytest.raises(redislock.ConnectionError) as caught:
        connect(f"redis://bob:{SECRET}@127.0.0.1:1", timeout=1).balance("alice")
    no_secret_in(str(caught.value))
    with pytest.raises((TypeError, ValueError)) as caught:
        connect("redis://host", password=SECRET.encode())
    no_secret_in(str(caught.value))


REFUSED = {
    "noscript": (["lua", "deposit"], "evalsha"),
    "nowatch": (["watch"], "watch"),
    "reader": (CHANGES, "(set|decrby|incrby|evalsha|script)"),
    "noset": (["lock"], "set"),
    "foreign": (CHANGES, "key"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_30_noperm_is_a_typed_error_at_once(name, guarded, connect, caplog):
    caplog.set_level(logging.DEBUG, "redislock")
    server, raw = guarded
    admin = connect(url_of(server, "bob", SECRET))
    admin.init("alice", 100)
    client = connect(url_of(server, name, SECRET), timeout=10)
    hows, word = REFUSED[name]
    for how in hows:
        before = raw.info("stats")["total_connections_received"]
        with pytest.raises(PermissionDeniedError, match=f"(?i){word}") as caught, at_most(1):
            change(client, how, "alice", None)
        assert raw.info("stats")["total_connections_received"] - before <= 1
        no_secret_in(*everything_said(caught.value, client, caplog))
    assert admin.balance("alice") == 100


def test_30_without_client_kill_it_works_and_says_so(guarded, proxied, connect, caplog):
    caplog.set_level(logging.DEBUG, "redislock")
    server, _ = guarded
    proxy = proxied(server)
    client = connect(proxy.url, username="nokill", password=SECRET)
    client.init("alice", 100)
    client.withdraw_lua("alice", 1)
    proxy.cut("reply", 0)
    assert client.withdraw_lua("alice", 1, idempotency_key="order").balance == 98
    assert "CLIENT KILL" in caplog.text
    no_secret_in(caplog.text)


# --- 36: a transaction that is none


@pytest.mark.parametrize("name", ["nomulti", "noexec"])
def test_36_without_multi_or_exec_no_deduction_runs(name, guarded, connect):
    server, raw = guarded
    admin = connect(url_of(server, "bob", SECRET))
    admin.init("alice", 100)
    client = connect(url_of(server, name, SECRET))
    commands = raw.info("commandstats")
    for key in (None, "order"):
        with pytest.raises(PermissionDeniedError, match=r"(?i)multi|exec"):
            client.withdraw_watch("alice", 1, idempotency_key=key)
    # Refused when the connection was made: the account was not even looked at.
    after = raw.info("commandstats")
    for command in ("cmdstat_decrby", "cmdstat_watch"):
        assert after.get(command) == commands.get(command)
    assert admin.balance("alice") == 100
    # The other ways need no MULTI.
    for how in set(WITHDRAWALS) - {"watch"}:
        assert client.withdraw(how, "alice", 1).status == "ok"


def test_36_multi_forbidden_while_connected_is_never_a_definite_failure(guarded, connect):
    server, raw = guarded
    client = connect(url_of(server, "bob", SECRET))
    client.init("alice", 100)
    assert client.withdraw_watch("alice", 1).balance == 99
    raw.acl_setuser("bob", enabled=True, commands=["-multi"])
    for _ in range(2):
        before = int(raw.get(client.keys("alice")["balance"]))
        try:
            client.withdraw_watch("alice", 1)
        except OutcomeUnknownError as error:
            assert "NOPERM" in str(error)  # noqa: PT017 - one of two good ends
        except PermissionDeniedError:
            assert int(raw.get(client.keys("alice")["balance"])) == before
