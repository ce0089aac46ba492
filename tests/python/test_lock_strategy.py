"""The lock strategy beside other holders of the account's lock, seen from outside the client."""

import threading
import time

import pytest
from faces import on_server

import redislock

pytestmark = on_server


@pytest.fixture
def lock(client, user):
    return client.client.keys(user)["lock"]


@pytest.mark.timing
def test_a_lock_held_by_others_is_waited_for_and_then_busy(client, user, raw, lock):
    client.init(user, 10)
    raw.set(lock, "somebody else", px=60_000)
    began = time.monotonic()
    result = client.withdraw_lock(user, 1, lock_wait=0.1)
    assert (result.status, result.balance, bool(result)) == ("lock_busy", None, False)
    assert result.attempts > 1
    assert 0.1 <= result.elapsed <= time.monotonic() - began < 1
    assert client.balance(user) == 10
    assert raw.get(lock) == "somebody else"


def test_without_patience_it_asks_once(connect, user, raw, lock):
    client = connect(lock_wait=0)
    client.init(user, 10)
    raw.set(lock, "somebody else", px=60_000)
    result = client.withdraw_lock(user, 1)
    assert (result.status, result.attempts) == ("lock_busy", 1)


def test_a_lock_that_becomes_free_is_taken(client, user, raw, lock):
    client.init(user, 10)
    raw.set(lock, "somebody else", px=50)
    result = client.withdraw_lock(user, 1, lock_wait=5)
    assert (result.status, result.balance) == ("ok", 9)
    assert result.attempts > 1


@pytest.mark.parametrize("case", ["ok", "insufficient", "missing", "replayed", "corrupt"])
def test_the_lock_is_released_in_every_case(client, user, raw, lock, case):
    if case != "missing":
        client.init(user, 10)
    if case == "replayed":
        client.withdraw_lock(user, 1, idempotency_key="k")
    if case == "corrupt":
        raw.set(client.client.keys(user)["balance"], "ten")
        with pytest.raises(redislock.CorruptBalanceError):
            client.withdraw_lock(user, 1)
    else:
        amount = {"insufficient": 11}.get(case, 1)
        result = client.withdraw_lock(user, amount, idempotency_key="k" if case == "replayed" else None)
        assert result.status == {"replayed": "ok"}.get(case, case)
    give_up = time.monotonic() + 5
    while raw.exists(lock):  # what is not part of the commit goes out behind it
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_a_holder_who_crashed_is_waited_for_as_long_as_the_lease(connect, client, user, raw, lock):
    client.init(user, 10)
    seen = []

    def look():
        give_up = time.monotonic() + 5
        while not seen and time.monotonic() < give_up:
            if (left := raw.pttl(lock)) > 0:
                seen.append(left)

    looking = threading.Thread(target=look)
    looking.start()
    while looking.is_alive():
        client.withdraw_lock(user, 1, lock_lease=7)
        client.init(user, 10)
    looking.join()
    assert 6000 < seen[0] <= 7000


def test_a_lock_of_another_type_is_no_lock_of_ours(client, user, raw, lock):
    client.init(user, 10)
    raw.rpush(lock, "what is this")
    with pytest.raises(Exception, match="type"):
        client.withdraw_lock(user, 1, lock_wait=0.01)
    assert client.balance(user) == 10
    assert raw.lrange(lock, 0, -1) == ["what is this"]


# Fencing: whoever lost the lock between looking and committing changes nothing.
def test_a_lock_that_is_taken_away_before_the_commit_is_lost(client, user, raw, lock):
    client.init(user, 100_000)
    stop = threading.Event()

    def take_away():
        while not stop.is_set():
            raw.delete(lock)

    thief = threading.Thread(target=take_away)
    thief.start()
    seen = []
    give_up = time.monotonic() + 20
    while "lock_lost" not in seen and time.monotonic() < give_up:
        seen.append(str(client.withdraw_lock(user, 1).status))
    stop.set()
    thief.join()
    assert set(seen) - {"ok"} == {"lock_lost"}
    assert client.balance(user) == 100_000 - seen.count("ok")
    assert len(client.history(user)) == min(1000, seen.count("ok"))
