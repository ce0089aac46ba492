"""Scenarios 18 to 20: keys that hold something else, and numbers at the edge."""

import math

import pytest
from changes import CHANGES, WITHDRAWALS, change

import redislock
from redislock import CorruptBalanceError, WrongTypeError

BIG = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1]
NAIVE = "naive"


def fill(raw, key, kind):
    """Let a key hold another type than it should."""
    {
        "string": lambda: raw.set(key, "something"),
        "list": lambda: raw.rpush(key, "a", "b"),
        "hash": lambda: raw.hset(key, "field", "1"),
        "set": lambda: raw.sadd(key, "member"),
        "zset": lambda: raw.zadd(key, {"member": 1}),
        "stream": lambda: raw.xadd(key, {"field": "1"}),
    }[kind]()


@pytest.mark.parametrize("kind", ["string", "hash", "set", "zset", "stream"])
@pytest.mark.parametrize("how", CHANGES)
def test_18_a_history_of_another_type(how, kind, server, connect, raw, user):
    client = connect(server.url)
    client.init(user, 100)
    keys = client.keys(user)
    fill(raw, keys["history"], kind)
    before = raw.dump(keys["history"])
    for key in (None, "order"):
        with pytest.raises(WrongTypeError, match="history"):
            change(client, how, user, key)
    assert raw.get(keys["balance"]) == "100"
    assert raw.dump(keys["history"]) == before
    assert not raw.exists(keys["once"] + "order", keys["lock"])


@pytest.mark.parametrize("kind", ["list", "hash", "set", "zset", "stream"])
@pytest.mark.parametrize("how", CHANGES)
def test_18_a_record_of_another_type(how, kind, server, connect, raw, user):
    client = connect(server.url)
    client.init(user, 100)
    keys = client.keys(user)
    fill(raw, keys["once"] + "order", kind)
    before = raw.dump(keys["once"] + "order")
    with pytest.raises(WrongTypeError):
        change(client, how, user, "order")
    assert raw.get(keys["balance"]) == "100"
    assert raw.dump(keys["once"] + "order") == before
    assert not raw.exists(keys["history"], keys["lock"])


@pytest.mark.parametrize("kind", ["list", "hash", "set", "zset", "stream"])
def test_18_a_lock_of_another_type(kind, server, connect, raw, user):
    client = connect(server.url)
    client.init(user, 100)
    keys = client.keys(user)
    fill(raw, keys["lock"], kind)
    with pytest.raises(WrongTypeError):
        client.withdraw_lock(user, 1)
    assert raw.get(keys["balance"]) == "100"
    assert raw.exists(keys["lock"])


CORRUPT = ["12.5", "abc", "", " 5", "5 ", "+5", "-5", "05", "00", "-0", "1e3", "0x10", "٣", "5\n"]
CORRUPT += ["9223372036854775808", "18446744073709551616", "9" * 400]


@pytest.mark.parametrize("value", CORRUPT)
def test_19_a_balance_that_is_none(value, server, connect, raw, user):
    client = connect(server.url)
    balance = client.keys(user)["balance"]
    raw.set(balance, value)
    for how in [*CHANGES, NAIVE]:
        for key in (None, "order") if how != NAIVE else (None,):
            with pytest.raises(CorruptBalanceError, match=balance.replace("{", r"\{")):
                change(client, how, user, key)
    with pytest.raises(CorruptBalanceError):
        client.balance(user)
    with pytest.raises(CorruptBalanceError):
        client.init(user, 5, if_missing=True)
    assert raw.get(balance) == value
    assert not raw.exists(client.keys(user)["history"], client.keys(user)["lock"])
    assert client.outcome(user, "order") is None


@pytest.mark.parametrize("kind", ["list", "hash", "set", "zset", "stream"])
def test_19_a_balance_of_another_type(kind, server, connect, raw, user):
    client = connect(server.url)
    balance = client.keys(user)["balance"]
    fill(raw, balance, kind)
    before = raw.dump(balance)
    for how in [*CHANGES, NAIVE]:
        with pytest.raises(CorruptBalanceError):
            change(client, how, user)
    with pytest.raises(CorruptBalanceError):
        client.balance(user)
    assert raw.dump(balance) == before
    assert not raw.exists(client.keys(user)["lock"])


REFUSED = {
    TypeError: [math.nan, math.inf, 1.0, 5.5, True, False, "5", b"5", None, [1]],
    ValueError: [0, -1, -(2**63), -(2**64)],
    OverflowError: [2**63, 2**64, 10**400],
}


@pytest.mark.parametrize(
    ("error", "amount"),
    [(error, amount) for error, amounts in REFUSED.items() for amount in amounts],
    ids=lambda value: repr(value)[:20],
)
def test_20_amounts_are_refused_before_any_io(error, amount, proxy, connect):
    client = connect(proxy.url)
    for how in [*WITHDRAWALS, NAIVE]:
        with pytest.raises(error, match="amount"):
            client.withdraw(how, "alice", amount)
    with pytest.raises(error, match="amount"):
        client.deposit("alice", amount)
    with pytest.raises(error, match="amount"):
        client.deposit_naive("alice", amount)
    if amount != 0 or isinstance(amount, bool):
        with pytest.raises(error, match="balance"):
            client.init("alice", amount)
    assert proxy.accepted == 0


@pytest.mark.parametrize("big", BIG)
@pytest.mark.parametrize("how", [*WITHDRAWALS, NAIVE])
@pytest.mark.parametrize("backend", ["server", "memory"])
def test_20_big_numbers_are_exact(backend, how, big, server, connect, user):
    client = connect(server.url if backend == "server" else "memory://")
    assert client.init(user, big).balance == big
    assert client.balance(user) == big
    result = client.withdraw(how, user, 1)
    assert (result.status, result.balance) == ("ok", big - 1)
    assert client.deposit(user, 1).balance == big
    assert client.withdraw(how, user, big - 1).balance == 1
    assert client.deposit(user, big - 1).balance == big
    if big < 2**63 - 1:
        assert client.withdraw(how, user, big + 1).status == "insufficient"
    assert client.withdraw(how, user, big).balance == 0
    assert client.withdraw(how, user, 1).status == "insufficient"
    entries = [(each.amount, each.balance) for each in client.history(user)]
    assert entries == [(big, 0), (1 - big, big), (big - 1, 1), (-1, big), (1, big - 1)]


@pytest.mark.parametrize("backend", ["server", "memory"])
@pytest.mark.parametrize("how", WITHDRAWALS)
def test_20_big_numbers_are_recorded_exactly(backend, how, server, connect, user):
    client = connect(server.url if backend == "server" else "memory://")
    for big in BIG:
        client.init(user, 2**63 - 1)
        first = client.withdraw(how, user, big, idempotency_key=f"{big}")
        again = client.withdraw(how, user, big, idempotency_key=f"{big}")
        assert first.balance == again.balance == 2**63 - 1 - big
        assert again.replayed
        if big > 1:
            with pytest.raises(redislock.IdempotencyMismatchError):
                client.withdraw(how, user, big - 1, idempotency_key=f"{big}")


@pytest.mark.parametrize("backend", ["server", "memory"])
def test_20_a_deposit_that_would_overflow_is_refused(backend, server, connect, user):
    client = connect(server.url if backend == "server" else "memory://")
    client.init(user, 2**63 - 2)
    assert client.deposit(user, 2).status == "overflow"
    assert client.deposit_naive(user, 2).status == "overflow"
    assert client.deposit(user, 1).balance == 2**63 - 1
    assert client.deposit(user, 2**63 - 1).status == "overflow"
    assert client.balance(user) == 2**63 - 1
