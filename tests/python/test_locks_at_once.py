"""Mutexes of memory:// that nobody else wants are taken without an operation: nobody can see it."""

import asyncio
import itertools
import os
import threading
import time
import warnings

import pytest

import redislock
from redislock import _core

_numbers = itertools.count(1)

DAY = 86_400_000


class ByOperation(redislock.Lock):
    """As any lock, but a hook that is a subclass's keeps it from taking the shortcut."""

    def do_release(self, expected_token):
        super().do_release(expected_token)


@pytest.fixture
def url():
    return f"memory://at-once-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def client(url):
    with redislock.Client(url) as made:
        yield made


@pytest.fixture
def ask(url):
    session = _core.MemorySession(url.removeprefix("memory://"))
    return lambda *words: session.execute([str(each) for each in words])


def operated(client):
    """Whether anything but a shortcut was ever used."""
    return client._waiter._threads is not None


def picture(ask):
    """Every key: its type, its value and when it ends."""
    keys = ask("SCAN", 0)[1]
    return {key: (ask("TYPE", key.decode()), ask("PTTL", key.decode())) for key in keys}


# ---- the same as by the script

TERMS = {
    "no lease": {},
    "lease": {"timeout": 5},
    "odd lease": {"timeout": 1.2345},
    "longer than a day": {"timeout": 2 * 86400},
    "unfair": {"timeout": 5, "fair": False},
    "not blocking": {"timeout": 5, "blocking": False},
    "in time": {"timeout": 5, "blocking_timeout": 1.5},
    "shared": {"timeout": 5, "thread_local": False},
    "reentrant": {"timeout": 5, "reentrant": True},
}


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
def test_leaves_the_same_keys_behind(client, ask, terms):
    pictures, tokens = [], []
    for kind in (redislock.Lock, ByOperation):
        lock = kind(client, "x", **terms)
        before = time.time()
        assert lock.acquire()
        assert operated(client) is (kind is ByOperation)
        assert before - 0.1 <= lock.fence / 1e6 <= time.time() + 0.1
        assert ask("GET", "{x}:redislock:fence") == str(lock.fence).encode()
        assert ask("GET", "x") == lock.local.token
        left = lock.remaining
        tokens.append(lock.local.token)
        held = picture(ask)
        lock.release()
        pictures.append((held, left, picture(ask)))
        ask("DEL", "{x}:redislock:fence")
    (held, left, free), (their_held, their_left, their_free) = pictures
    for ours, theirs in ((held, their_held), (free, their_free)):
        assert ours.keys() == theirs.keys()
        for key, (kind_of_value, ends) in ours.items():
            assert (kind_of_value, ends) == (theirs[key][0], pytest.approx(theirs[key][1], abs=2000))
    assert left == (None if their_left is None else pytest.approx(their_left, abs=2))
    assert tokens[0].rpartition(b"/")[0] == tokens[1].rpartition(b"/")[0]
    assert len(tokens[0]) == len(tokens[1])


def test_fences_grow_from_whatever_was_there(client, ask):
    ahead = 9_000_000_000_000_000
    ask("SET", "{x}:redislock:fence", ahead)
    fences = []
    for kind in (redislock.Lock, ByOperation, redislock.Lock, redislock.Lock, ByOperation):
        with kind(client, "x", timeout=5) as lock:
            fences.append(lock.fence)
    assert fences == [ahead + 1 + i for i in range(5)]


@pytest.mark.parametrize("planted", ["0x10", "1e3", " 7", "nonsense", "-3", str(2**53), str(2**70)])
def test_leaves_fences_to_the_script_that_only_it_can_read(client, ask, planted):
    fences = []
    for kind in (redislock.Lock, ByOperation):
        ask("SET", "{x}:redislock:fence", planted)
        with kind(client, "x") as lock:
            fences.append(lock.fence)
    assert operated(client)
    assert fences[0] == pytest.approx(fences[1], abs=5_000_000)


@pytest.mark.parametrize("key", ["x", "{x}:redislock:fence"])
def test_is_refused_where_the_script_is(client, ask, key):
    ask("LPUSH", key, "a list")
    for kind in (redislock.Lock, ByOperation):
        with pytest.raises(redislock.Error, match="WRONGTYPE"):
            kind(client, "x").acquire()


def test_who_watches_sees_a_conflict(client, ask):
    lock = redislock.Lock(client, "x", timeout=5)

    def conflict(key, change):
        ask("WATCH", key)
        change()
        ask("MULTI")
        ask("PING")
        return ask("EXEC") is None

    assert conflict("x", lock.acquire)
    assert conflict("x", lock.release)
    assert conflict("{x}:redislock:fence", lock.acquire)
    assert not conflict("{x}:redislock:fence", lock.release)
    assert not operated(client)


# ---- what is not that simple goes the usual way


def test_waits_behind_those_who_stand_in_line(client, ask):
    order = []
    held = client.lock("x")
    assert held.acquire()

    def wait():
        with client.lock("x"):
            order.append("waiter")
            time.sleep(0.02)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not ask("ZCARD", "{x}:redislock:queue"):
        time.sleep(0.001)
    held.release()
    with held:
        order.append("again")
    waiter.join()
    assert order == ["waiter", "again"]


def test_is_not_taken_over_another_holder(client):
    with client.lock("x", timeout=5):
        assert not redislock.Lock(client, "x", blocking=False).acquire()
        assert not client.lock("x", blocking=False).acquire()


def test_what_has_ended_is_free(client):
    lost = redislock.Lock(client, "x", timeout=0.02)
    assert lost.acquire()
    time.sleep(0.03)
    other = redislock.Lock(client, "x", timeout=5)
    assert other.acquire()
    with pytest.raises(redislock.LockNotOwnedError):
        lost.release()
    assert other.owned()
    other.release()


def test_a_lock_is_renewed(client):
    with client.lock("warm"):  # opens the way to the keeper
        pass
    lock = client.lock("x", timeout=0.15)
    with lock:
        time.sleep(0.5)
        assert lock.owned()
        assert not lock.lost.is_set()


def test_goes_by_what_is_changed_later(client):
    lock = redislock.Lock(client, "x", timeout=5)
    with lock:
        assert 4 < lock.remaining <= 5
    lock.timeout = 50
    with lock:
        assert 40 < lock.remaining <= 50
    lost = threading.Event()
    lock.timeout, lock.on_lost = 0.05, lambda _: lost.set()
    assert lock.acquire()
    assert lost.wait(5)


def test_calls_what_was_replaced_in_the_instance(client):
    lock = redislock.Lock(client, "x", timeout=5)
    given = []
    original = lock.do_release
    with lock:
        lock.do_release = lambda token: (given.append(token), original(token))
        token = lock.local.token
    assert given == [token]
    del lock.do_release
    lock.release = lambda: given.append("release")
    with lock:
        pass
    assert given == [token, "release"]


def test_a_closed_client_takes_and_gives_back_nothing(url):
    client = redislock.Client(url)
    held = redislock.Lock(client, "x", timeout=5)
    assert held.acquire()
    other = redislock.Lock(client, "y", timeout=5)
    with other:
        pass
    client.close()
    with pytest.raises(redislock.ClosedError):
        other.acquire()
    with pytest.raises(redislock.ClosedError):
        held.release()


def test_who_blocks_a_loop_is_warned(client):
    lock = redislock.Lock(client, "x", timeout=5)

    async def block():
        with lock:
            pass

    with pytest.warns(RuntimeWarning, match="running event loop"):
        asyncio.run(block())


@pytest.mark.parametrize("wait", [float("nan"), "1"])
def test_what_is_no_time_is_refused(client, wait):
    for kind in (redislock.Lock, ByOperation):
        with pytest.raises((ValueError, TypeError)):
            kind(client, "x").acquire(blocking_timeout=wait)


def test_a_child_takes_what_its_parent_does_not_hold(client):
    with client.lock("x"):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        tokens = set()
        for _ in range(3):
            with client.lock("x") as lock:
                tokens.add(lock.local.token)
        os._exit(0 if len(tokens) == 3 and all(str(os.getpid()).encode() in each for each in tokens) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_no_token_comes_twice_not_even_in_a_child():
    first = _core.make_token("t1")
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.write(writer, b" ".join(_core.make_token("t1") for _ in range(40)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = {each.rpartition(b"/")[2] for each in os.read(reader, 65536).split()}
    os.close(reader)
    os.close(writer)
    ours = {first.rpartition(b"/")[2], *(_core.make_token("t1").rpartition(b"/")[2] for _ in range(40))}
    assert len(theirs) == 40
    assert len(ours) == 41
    assert not theirs & ours


def test_both_ways_keep_others_out(client):
    kinds = itertools.cycle([redislock.Lock, ByOperation, redislock.Lock])
    inside, fences, rounds = [], [], 300

    def work(kind, options):
        lock = kind(client, "x", **options)
        for _ in range(rounds):
            with lock:
                inside.append(1)
                assert len(inside) == 1
                fences.append(lock.fence)
                inside.pop()

    options = itertools.cycle([{"timeout": 5}, {"timeout": 30, "auto_renew": True}, {}, {"fair": False}])
    threads = [threading.Thread(target=work, args=(next(kinds), next(options))) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(fences) == 6 * rounds
    assert fences == sorted(set(fences))
