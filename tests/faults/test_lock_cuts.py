"""Scenarios 9 and 10: connections of locks end at every byte, and requests run late."""

import threading
import time
from pathlib import Path

import pytest
import redis
from locking import line_of, make_token
from waiting import eventually, in_background

import redislock

LEASE = 30.0
SOURCES = Path(__file__).parents[2] / "src" / "locks"


def ends(position):
    return "rst" if position % 2 else "fin"


def lengths(proxy, call):
    """Count the bytes of a call on a connection that is warm."""
    before = dict(proxy.carried)
    call()
    return {each: proxy.carried[each] - before[each] for each in before}


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_9_acquire_cut_at_every_byte_leaves_no_ghost(direction, proxy, locker, raw, name):
    client = locker(proxy.url)
    for _ in range(2):
        client.release(client.acquire(name))
    kept = []
    length = lengths(proxy, lambda: kept.append(client.acquire(name, token=make_token("t1"))))[direction]
    client.release(kept[0])
    fence = kept[0].fence
    for position in range(length):
        client.run(client.locks.holder(name))  # a greeted connection
        proxy.cut(direction, position, ends(position))
        token = make_token("t1")
        held = client.acquire(name, token=token)
        assert not proxy.cutting, position
        assert held is not None, position
        assert raw.get(name).encode() == held.token == token
        assert held.fence > fence
        fence = held.fence
        assert client.release(held), position
        assert not raw.exists(name), position


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_10_release_cut_at_every_byte_is_a_release(direction, proxy, locker, raw, name):
    client = locker(proxy.url)
    client.release(client.acquire(name))
    held = client.acquire(name)
    length = lengths(proxy, lambda: client.release(held))[direction]
    for position in range(length):
        held = client.acquire(name)
        proxy.cut(direction, position, ends(position))
        assert client.release(held), position
        assert not proxy.cutting, position
        assert held.released
        assert not raw.exists(name), position
        assert not client.release(held), position


@pytest.mark.parametrize("adding", [False, True], ids=["anew", "longer"])
@pytest.mark.parametrize("direction", ["request", "reply"])
def test_extend_cut_at_every_byte_promises_no_more_than_the_server_keeps(
    direction, adding, proxy, locker, raw, name
):
    client = locker(proxy.url)
    held = client.acquire(name)
    extend = lambda: client.run(client.locks.extend_hold(held, LEASE, adding))  # noqa: E731
    extend()
    length = lengths(proxy, extend)[direction]
    for position in range(length):
        client.run(client.locks.holder(name))
        proxy.cut(direction, position, ends(position))
        try:
            assert extend() is True
        except redislock.OutcomeUnknownError:
            assert adding  # a repetition would add twice
        assert not proxy.cutting, position
        left = raw.pttl(name)
        assert 0 < held.remaining <= left / 1000, position
        assert not held.lost
    assert client.release(held)


@pytest.mark.parametrize("kind", ["m", "p"])
@pytest.mark.parametrize("direction", ["request", "reply"])
def test_9_claim_cut_at_every_byte_is_claimed_at_last(direction, kind, proxy, server, locker, raw, name):
    holder, client = locker(server.url), locker(proxy.url)

    def hand_over(cut=None):
        held = holder.acquire(name, kind=kind)
        assert held is not None, cut
        waiting = in_background(lambda: client.acquire(name, kind=kind, wait=20))
        eventually(lambda: raw.zcard(line_of(name)) == 1)
        if cut is not None:
            proxy.cut(direction, cut, ends(cut))
        assert holder.release(held)
        got = waiting.result(20)
        assert got.fence > held.fence
        begun, remaining = time.monotonic(), got.remaining  # little, until the claim is answered
        assert 0 < remaining <= raw.pttl(name) / 1000 + time.monotonic() - begun + 0.001, cut
        eventually(lambda: got.remaining > 20)
        proxy.uncut()
        holders = [raw.get(name)] if kind == "m" else raw.zrange(name, 0, -1)
        assert holders == [got.token.decode()], cut
        left = raw.pttl(name)
        assert got.remaining <= left / 1000, cut
        assert client.release(got), cut
        assert not raw.exists(name, line_of(name)), cut

    hand_over()
    length = lengths(proxy, hand_over)[direction]
    # Where the message is cut, a new subscription is what takes time: not at every byte of it.
    answer = length - 40 if direction == "reply" else 0
    for position in [*range(0, answer, 11), *range(max(answer, 0), length, 1 if kind == "m" else 7)]:
        hand_over(position)


def test_9_an_acquire_that_runs_late_makes_no_ghost(proxy, locker, server, raw, name):
    client = locker(proxy.url)
    client.release(client.acquire(name))
    length = lengths(proxy, lambda: client.acquire("another one" + name))["request"]
    for position in (1, length // 2, length - 1):
        client.run(client.locks.holder(name))
        proxy.cut("request", position, late=True)
        held = client.acquire(name)
        assert held is not None
        assert client.release(held)
        proxy.release()
        eventually(lambda: proxy.connections <= 1)
        assert not raw.exists(name)


def test_9_a_claim_that_runs_late_takes_nothing(server, locker, raw, name):
    # The claim, said again when the lock has long been somebody else's.
    client, other = locker(server.url), locker(server.url)
    held = client.acquire(name)
    client.release(held)
    theirs = other.acquire(name)
    assert claim_again(server.url, name, held.token) == b"lost"
    assert raw.get(name).encode() == theirs.token
    assert other.release(theirs)


def claim_again(url, name, token):
    """Send the claim once more, by hand."""
    body = (SOURCES / "claim.lua").read_text(encoding="utf-8")
    for part in ("owner", "queue"):
        body = body.replace(f"-- include {part}\n", (SOURCES / f"{part}.lua").read_text(encoding="utf-8"))
    sides = [f"{{{name}}}:redislock:{each}" for each in ("queue", "waiters", "alive", "fence", "holders")]
    with redis.Redis.from_url(url) as bare:
        return bare.eval(body, 6, name, *sides, token, 30000, "m", "redislock:wake:nobody")


def test_10_release_after_the_lease_reports_the_loss(server, locker, name):
    client, other = locker(server.url), locker(server.url)
    held = client.acquire(name, lease=0.05)
    theirs = other.acquire(name, wait=10)
    assert held.lost
    assert held.remaining == 0
    assert client.release(held) is False
    assert theirs.fence > held.fence
    assert other.release(theirs)


def test_release_does_not_wait_for_a_keeper_that_hangs(proxy, server, locker, name, raw):
    client, direct = locker(proxy.url), locker(server.url)
    held = client.acquire(name, lease=9, renew=True)  # renewed after 3 s, with 3 s of patience
    proxy.hold()
    connections = proxy.accepted
    proxy.wait_for(lambda: proxy.accepted > connections, 20)
    assert direct.run(client.locks.release(held, timeout=2.0))
    assert not raw.exists(name)
    proxy.release()


def test_a_subscription_that_is_cut_again_and_again_loses_no_turn(start_server, locker, name):
    server = start_server(port=0)
    clients = [locker(server.url) for _ in range(2)]
    stop = threading.Event()
    turns = [0] * 6

    def work(number):
        client = clients[number % 2]
        while not stop.is_set():
            held = client.acquire(name, wait=20)
            assert held is not None
            turns[number] += 1
            assert client.release(held)

    calls = [in_background(lambda number=number: work(number)) for number in range(len(turns))]
    with redis.Redis.from_url(server.url) as bare:
        for _ in range(8):
            seen = list(turns)
            bare.client_kill_filter(_type="pubsub")
            eventually(lambda seen=seen: all(a > b for a, b in zip(turns, seen, strict=True)), 20)
    stop.set()
    for each in calls:
        each.result(20)
