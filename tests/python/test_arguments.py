"""Wrong arguments of every kind: refused by a sentence that names them, before any byte is sent."""

import decimal
import fractions
import math

import pytest
from faces import on_server

import redislock

CHANGES = [*(f"withdraw_{each}" for each in ("lua", "lock", "watch", "naive")), "deposit", "deposit_naive"]
KEYED = ["withdraw_lua", "withdraw_lock", "withdraw_watch", "deposit"]
LONE_SURROGATE = "\ud800"


class Five:
    """An integer of somebody's own, as numpy has them."""

    def __index__(self):
        return 5


NO_INTEGERS = [True, False, 1.0, 0.5, math.nan, math.inf, "5", b"5", None, [], {}, decimal.Decimal(5)]
NO_INTEGERS += [fractions.Fraction(5), object(), Five]

AMOUNTS = [(each, TypeError) for each in NO_INTEGERS]
AMOUNTS += [(0, ValueError), (-1, ValueError), (-(2**63) - 1, ValueError), (-(10**30), ValueError)]
AMOUNTS += [(2**63, OverflowError), (10**30, OverflowError)]

USERS = [(each, TypeError) for each in [None, True, 1.0, b"alice", ["alice"], object(), Five]]
USERS += [("", ValueError), (LONE_SURROGATE, ValueError)]

IDEMPOTENCY_KEYS = [(each, TypeError) for each in [5, True, b"k", 1.5, ["k"]]]
IDEMPOTENCY_KEYS += [("", ValueError), ("x" * 1025, ValueError), ("ü" * 513, ValueError)]
IDEMPOTENCY_KEYS += [(LONE_SURROGATE, ValueError)]

SECONDS = [(each, TypeError) for each in [True, "5", b"5", [], object(), 1j]]
SECONDS += [(each, ValueError) for each in [-1, -0.001, math.nan, math.inf, 1e9, 10**400]]

COUNTS = [(each, TypeError) for each in [True, 1.0, "5", [], object()]]
COUNTS += [(-1, ValueError), (10**7, ValueError), (2**63, (ValueError, OverflowError))]


class Untouched:
    """Sees to it that a server hears nothing."""

    def __init__(self, raw):
        self.raw = raw

    def _heard(self):
        seen = self.raw.info("stats")
        return seen["total_commands_processed"], seen["total_connections_received"]

    def __enter__(self):
        self.commands, self.connections = self._heard()

    def __exit__(self, *_):
        commands, connections = self._heard()
        assert commands - self.commands == 1, "the question itself"
        assert connections == self.connections


def refused(what, name, wrong, error):
    with pytest.raises(error) as caught:
        what()
    said = str(caught.value)
    assert name in said, f"{wrong!r}: {said}"
    assert "\n" not in said
    assert not isinstance(caught.value, redislock.Error)


@on_server
@pytest.mark.parametrize("change", CHANGES)
def test_amounts(client, raw, change):
    with Untouched(raw):
        for amount, error in AMOUNTS:
            refused(lambda: getattr(client, change)("alice", amount), "amount", amount, error)  # noqa: B023


@on_server
@pytest.mark.parametrize("change", [*CHANGES, "init"])
def test_users(client, raw, change):
    with Untouched(raw):
        for user, error in USERS:
            refused(lambda: getattr(client, change)(user, 5), "user", user, error)  # noqa: B023


@on_server
@pytest.mark.parametrize("question", ["balance", "history", "delete"])
def test_users_of_questions(client, raw, question):
    with Untouched(raw):
        for user, error in USERS:
            refused(lambda: getattr(client, question)(user), "user", user, error)  # noqa: B023
            refused(lambda: client.outcome(user, "k"), "user", user, error)  # noqa: B023
            refused(lambda: client.client.keys(user), "user", user, error)  # noqa: B023


@on_server
@pytest.mark.parametrize("change", KEYED)
def test_idempotency_keys(client, raw, change):
    with Untouched(raw):
        for key, error in IDEMPOTENCY_KEYS:
            refused(
                lambda: getattr(client, change)("alice", 5, idempotency_key=key),  # noqa: B023
                "idempotency_key",
                key,
                error,
            )
            refused(lambda: client.outcome("alice", key), "idempotency_key", key, error)  # noqa: B023
        refused(lambda: client.outcome("alice", None), "idempotency_key", None, TypeError)


@on_server
def test_balances_to_begin_with(client, raw):
    with Untouched(raw):
        for balance, error in AMOUNTS:
            if balance != 0 or isinstance(balance, bool):
                refused(lambda: client.init("alice", balance), "balance", balance, error)  # noqa: B023


@on_server
def test_durations(client, raw):
    with Untouched(raw):
        for wrong, error in [*SECONDS, (0, ValueError), (0.0, ValueError)]:
            refused(lambda: client.balance("alice", timeout=wrong), "timeout", wrong, error)  # noqa: B023
            refused(
                lambda: client.withdraw_lock("alice", 1, lock_lease=wrong),  # noqa: B023
                "lock_lease",
                wrong,
                error,
            )
        for wrong, error in SECONDS:
            refused(
                lambda: client.withdraw_lock("alice", 1, lock_wait=wrong),  # noqa: B023
                "lock_wait",
                wrong,
                error,
            )
        refused(lambda: client.withdraw_lock("alice", 1, lock_lease=0.0001), "lock_lease", 0, ValueError)


@on_server
def test_counts(client, raw):
    with Untouched(raw):
        for wrong, error in COUNTS:
            refused(
                lambda: client.withdraw_watch("alice", 1, max_retries=wrong),  # noqa: B023
                "max_retries",
                wrong,
                error,
            )
            refused(lambda: client.history("alice", wrong), "limit", wrong, error)  # noqa: B023


@on_server
def test_strategies(client, raw):
    with Untouched(raw):
        for wrong in ["", "Lua", "redlock", "deposit"]:
            refused(lambda: client.withdraw(wrong, "alice", 1), "strategy", wrong, ValueError)  # noqa: B023
        for wrong in [None, 5, b"lua", ["lua"]]:
            refused(lambda: client.withdraw(wrong, "alice", 1), "strategy", wrong, TypeError)  # noqa: B023
        refused(
            lambda: client.withdraw("naive", "alice", 1, idempotency_key="k"),
            "idempotency_key",
            "k",
            ValueError,
        )


def test_integers_of_other_types_are_welcome(client, user):
    client.init(user, Five())
    assert client.deposit(user, Five()).balance == 10
    assert client.withdraw_watch(user, Five(), max_retries=Five(), timeout=Five()).balance == 5
    assert len(client.history(user, Five())) == 2


def test_integers_that_fail_are_told(client, user):
    class Broken:
        def __index__(self):
            raise LookupError("no number here")

    for what in [
        lambda: client.init(user, Broken()),
        lambda: client.balance(Broken()),
        lambda: client.balance(user, timeout=Broken()),
        lambda: client.withdraw_watch(user, 1, max_retries=Broken()),
    ]:
        with pytest.raises(LookupError, match="no number here"):
            what()


# --- of a client --------------------------------------------------------------------------------

WRONG_OPTIONS = [
    *(("max_retries", wrong, error) for wrong, error in COUNTS),
    *(("history_limit", wrong, error) for wrong, error in COUNTS),
    *(("lock_wait", wrong, error) for wrong, error in SECONDS),
    *(("lock_lease", wrong, error) for wrong, error in [*SECONDS, (0, ValueError)]),
    *(("idempotency_ttl", wrong, error) for wrong, error in [*SECONDS, (0, ValueError), (0.5, ValueError)]),
    *(("prefix", wrong, TypeError) for wrong in [5, b"p", ["p"]]),
    *(("prefix", wrong, ValueError) for wrong in ["{", "a}b", LONE_SURROGATE]),
    *(("balance_key", wrong, TypeError) for wrong in [5, b"{user}", ["{user}"]]),
    *(("balance_key", wrong, ValueError) for wrong in ["acct", "{user}{user}", "x{}{user}"]),
    *(("timeout", wrong, TypeError) for wrong in [True, "5", [], 1j]),
    *(("timeout", wrong, ValueError) for wrong in [0, -1, math.nan, math.inf, 1e9]),
    *(("connect_timeout", wrong, ValueError) for wrong in [0, -1, math.nan]),
    *(("db", wrong, TypeError) for wrong in [True, "1", 1.0]),
    *(("db", wrong, ValueError) for wrong in [-1, 10**7]),
    *(("max_connections", wrong, ValueError) for wrong in [0, -1, 10**6]),
    *(("username", wrong, TypeError) for wrong in [5, b"bob"]),
    *(("password", wrong, TypeError) for wrong in [5, b"pw"]),
    *(("client_name", wrong, ValueError) for wrong in ["a b", "a\nb", "jörg"]),
    ("ssl_cert_reqs", "optional", ValueError),
    ("ssl_check_hostname", "yes", TypeError),
    ("ssl_ca_certs", 5, TypeError),
    ("colour", "blue", TypeError),
    ("max_retry", 5, TypeError),
]


@pytest.mark.parametrize("make", [redislock.Client, redislock.asyncio.Client])
def test_options_of_a_client(make):
    for name, wrong, error in WRONG_OPTIONS:
        with pytest.raises(error) as caught:
            make("memory://", **{name: wrong})
        assert name in str(caught.value), f"{name}={wrong!r}: {caught.value}"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [redislock.Client, redislock.asyncio.Client])
@pytest.mark.parametrize("url", ["redis://localhost", "unix:///run/redis.sock", None])
def test_options_of_tls_are_refused_without_tls(make, url, monkeypatch):
    monkeypatch.delenv("REDIS_CONN", raising=False)
    for option in ({"ssl_ca_certs": "/ca.crt"}, {"ssl_check_hostname": True}, {"ssl_cert_reqs": "required"}):
        with pytest.raises(redislock.ConfigurationError, match=f"{next(iter(option))}.*rediss://"):
            make(url, **option)


@pytest.mark.parametrize("make", [redislock.Client, redislock.asyncio.Client])
def test_urls_of_a_client(make):
    for wrong in [5, b"redis://host", ["redis://host"]]:
        with pytest.raises(TypeError, match="url"):
            make(wrong)
    for wrong in ["", "http://host", "redis://host:port", "redis://host/x", "unix://", "redis://host#1"]:
        with pytest.raises(redislock.ConfigurationError) as caught:
            make(wrong)
        assert isinstance(caught.value, ValueError)
        assert "\n" not in str(caught.value)


def test_passwords_stay_out_of_messages():
    for wrong in ["redis://bob:hunter2@host:port", "redis://bob:hunter2@host/x", "redis://:1?hunter2@host"]:
        with pytest.raises(redislock.ConfigurationError) as caught:
            redislock.Client(wrong)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(TypeError) as caught:
        redislock.Client("memory://", password=["hunter2"])
    assert "hunter2" not in str(caught.value)


def test_waiters():
    for wrong in ["", "asyncio", "threads", 5]:
        with pytest.raises(ValueError, match="waiter"):
            redislock.Client("memory://", waiter=wrong)
