"""Keys that were not written by this library: reported, refused before the first write, left alone."""

import pytest
from faces import on_server

import redislock

pytestmark = on_server

STRATEGIES = ["lua", "lock", "watch", "naive"]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)

CORRUPT = [
    "12.5",
    "abc",
    "",
    "-1",
    "-0",
    "007",
    "00",
    "+5",
    " 5",
    "5 ",
    "1e3",
    "9223372036854775808",
    "9" * 30,
    "5\n",
]


def plant(raw, key, kind):
    """Put a key of some type where it does not belong."""
    raw.delete(key)
    {
        "string": lambda: raw.set(key, "planted"),
        "list": lambda: raw.rpush(key, "planted"),
        "hash": lambda: raw.hset(key, "planted", "1"),
        "set": lambda: raw.sadd(key, "planted"),
        "zset": lambda: raw.zadd(key, {"planted": 1}),
        "stream": lambda: raw.xadd(key, {"planted": "1"}),
    }[kind]()


def snapshot(raw, client, user):
    keys = client.client.keys(user)
    return [raw.dump(each) for each in (keys["balance"], keys["history"], keys["once"] + "k")]


def refuses(client, raw, user, error, what):
    before = snapshot(raw, client, user)
    with pytest.raises(error) as caught:
        what()
    assert snapshot(raw, client, user) == before, "nothing was written"
    return str(caught.value)


@pytest.mark.parametrize("change", [*(f"withdraw_{each}" for each in STRATEGIES), "deposit", "deposit_naive"])
def test_a_balance_that_is_none_is_left_alone(client, raw, user, change):
    key = client.client.keys(user)["balance"]
    for text in CORRUPT:
        raw.set(key, text)
        said = refuses(
            client, raw, user, redislock.CorruptBalanceError, lambda: getattr(client, change)(user, 1)
        )
        assert key in said
        said = refuses(client, raw, user, redislock.CorruptBalanceError, lambda: client.balance(user))
        assert key in said
    for kind in ["list", "hash", "set", "zset", "stream"]:
        plant(raw, key, kind)
        refuses(client, raw, user, redislock.CorruptBalanceError, lambda: getattr(client, change)(user, 1))
        refuses(client, raw, user, redislock.CorruptBalanceError, lambda: client.balance(user))


def test_init_replaces_it_and_delete_removes_it(client, raw, user):
    key = client.client.keys(user)["balance"]
    for kind in ["string", "list", "hash"]:
        plant(raw, key, kind)
        refuses(
            client, raw, user, redislock.CorruptBalanceError, lambda: client.init(user, 5, if_missing=True)
        )
        assert client.init(user, 5).balance == 5
        plant(raw, key, kind)
        assert client.delete(user).status == "ok"
        assert client.balance(user) is None


@pytest.mark.parametrize("change", ["withdraw_lua", "withdraw_lock", "withdraw_watch", "deposit"])
@pytest.mark.parametrize("kind_of_key", ["string", "hash", "set", "zset", "stream"])
def test_a_history_of_another_type_refuses_changes(client, raw, user, change, kind_of_key):
    client.init(user, 10)
    plant(raw, client.client.keys(user)["history"], kind_of_key)
    said = refuses(client, raw, user, redislock.WrongTypeError, lambda: getattr(client, change)(user, 1))
    assert client.client.keys(user)["history"] in said
    assert client.balance(user) == 10
    refuses(client, raw, user, redislock.WrongTypeError, lambda: client.history(user))


@pytest.mark.parametrize("change", ["withdraw_lua", "withdraw_lock", "withdraw_watch", "deposit"])
@pytest.mark.parametrize("kind_of_key", ["list", "hash", "set", "zset", "stream"])
def test_a_record_of_another_type_refuses_changes(client, raw, user, change, kind_of_key):
    client.init(user, 10)
    plant(raw, client.client.keys(user)["once"] + "k", kind_of_key)
    refuses(
        client,
        raw,
        user,
        redislock.WrongTypeError,
        lambda: getattr(client, change)(user, 1, idempotency_key="k"),
    )
    assert client.balance(user) == 10
    refuses(client, raw, user, redislock.WrongTypeError, lambda: client.outcome(user, "k"))


@pytest.mark.parametrize("change", ["withdraw_lua", "withdraw_lock", "withdraw_watch", "deposit"])
def test_a_record_in_other_words_is_a_mismatch(client, raw, user, change):
    client.init(user, 10)
    for text in ["", "planted", "withdraw", "withdraw 2 ok 9", "deposit 2 ok 9", "withdraw 1", "deposit 1"]:
        raw.set(client.client.keys(user)["once"] + "k", text)
        refuses(
            client,
            raw,
            user,
            (redislock.IdempotencyMismatchError, redislock.ProtocolError),
            lambda: getattr(client, change)(user, 1, idempotency_key="k"),
        )
    assert client.balance(user) == 10


def test_a_history_with_strange_entries_is_reported(client, raw, user):
    client.init(user, 10)
    raw.rpush(client.client.keys(user)["history"], "somebody's note")
    refuses(client, raw, user, redislock.WrongTypeError, lambda: client.history(user))


@every_strategy
def test_a_balance_with_an_expiry_keeps_it(client, raw, user, strategy):
    key = client.client.keys(user)["balance"]
    client.init(user, 10)
    raw.pexpire(key, 60_000)
    client.withdraw_by(strategy, user, 1)
    assert raw.get(key) == "9"
    if strategy != "naive":  # SET takes it away: one more thing that the naive way loses
        assert raw.pttl(key) > 50_000
