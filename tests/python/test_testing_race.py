"""`redislock.testing.race`: a user's own code, stopped where it says so."""

import asyncio
import functools
import itertools
import threading

import pytest
import redis

from redislock import Client, testing
from redislock import asyncio as redislock_asyncio
from redislock.testing import race as race_of_waiters

KEY = "{}:stock"


def race(*functions, **options):
    """A race in which nobody waits: however slow the machine is, nobody is taken to."""
    return testing.race(*functions, **{"patience": 20.0, "timeout": 60.0, **options})


def timeline(report):
    return [(each.racer, each.begin, each.end, each.seen) for each in report.steps]


@pytest.fixture
def stock(raw, user):
    raw.set(KEY.format(user), 5)
    yield KEY.format(user)
    raw.delete(KEY.format(user))


def test_read_and_write_of_ones_own_oversell(raw, stock):
    def buy(step):
        left = int(raw.get(stock))
        step("read")
        raw.set(stock, left - 1)
        return left - 1

    report = race(buy, buy, watch=lambda: int(raw.get(stock)))
    assert timeline(report) == [
        ("A", "start", "read", 5),
        ("B", "start", "read", 5),
        ("A", "read", "end", 4),
        ("B", "read", "end", 4),
    ]
    assert [report["A"].result(), report["B"].result()] == [4, 4]
    assert int(raw.get(stock)) == 4
    assert report.order == "ABAB"
    assert str(report).splitlines() == [
        " 1  A: start -> read  5",
        " 2  B: start -> read  5",
        " 3  A: read -> end    4",
        " 4  B: read -> end    4",
    ]


def test_another_order_is_harmless(raw, stock):
    def buy(step):
        left = int(raw.get(stock))
        step("read")
        raw.set(stock, left - 1)

    report = race(buy, buy, order="AABB")
    assert report.order == "AABB"
    assert int(raw.get(stock)) == 3


def test_a_lock_is_waited_for(server, raw, stock):
    def buy(step):
        with redis.Redis.from_url(server.url) as own, own.lock(f"{stock}:lock", sleep=0.01):
            left = int(own.get(stock))
            step("read")
            own.set(stock, left - 1)

    report = race_of_waiters(buy, buy, watch=lambda: int(raw.get(stock)), patience=1.0)
    assert [(each.racer, each.end, each.waits, each.freed, each.seen) for each in report.steps] == [
        ("A", "read", False, False, 5),
        ("B", "", True, False, 5),
        ("A", "end", False, False, 4),
        ("B", "read", False, True, 4),
        ("B", "end", False, False, 3),
    ]
    assert " 2  B: start -> (waits)  5" in str(report)
    assert report.order == "ABAB"


@pytest.mark.parametrize("where", ["server", "memory"])
def test_the_strategies_hold_in_it(where, server, user):
    url = server.url if where == "server" else f"memory://{user}"
    with Client(url) as client:
        client.init(user, 5)

        def buy(step):
            step("decided")
            return client.withdraw_lua(user, 1)

        report = race(buy, buy, buy, watch=lambda: client.balance(user))
        assert [each.seen for each in report.steps] == [5, 5, 5, 4, 3, 2]
        assert [report[name].result().balance for name in "ABC"] == [4, 3, 2]


@pytest.mark.parametrize("where", ["server", "memory"])
def test_async_functions(where, server, user):
    url = server.url if where == "server" else f"memory://{user}"
    client = redislock_asyncio.Client(url)

    async def buy(step):
        assert step.racer in "AB"
        seen = await client.balance(user)
        await step("looked")
        await client.init(user, seen - 1)

    with Client(url) as look:
        look.init(user, 5)
        report = race(buy, buy, watch=lambda: look.balance(user))
    assert timeline(report) == [
        ("A", "start", "looked", 5),
        ("B", "start", "looked", 5),
        ("A", "looked", "end", 4),
        ("B", "looked", "end", 4),
    ]


def test_an_async_lock_is_waited_for():
    lock = asyncio.Lock()

    async def enter(step):
        async with lock:
            await step("inside")

    report = race_of_waiters(enter, enter, patience=1.0)
    assert [(each.racer, each.end, each.waits) for each in report.steps] == [
        ("A", "inside", False),
        ("B", "", True),
        ("A", "end", False),
        ("B", "inside", False),
        ("B", "end", False),
    ]


def test_sync_and_async_may_meet():
    seen = []

    def one(step):
        seen.append(1)
        step()
        seen.append(3)

    async def other(step):
        seen.append(2)
        await step()
        seen.append(4)

    report = race(one, other)
    assert seen == [1, 2, 3, 4]
    assert "A: start -> (unnamed)" in str(report)


def test_what_a_function_raises_is_its_outcome():
    def fall(step):
        step("edge")
        raise LookupError("down")

    report = race(fall, lambda _: "fine")
    assert report["B"].result() == "fine"
    with pytest.raises(LookupError, match="down"):
        report["A"].result()
    assert "A: raised LookupError('down')" in str(report)


def test_who_never_ends_is_told():
    locks = [threading.Lock(), threading.Lock()]
    numbers = itertools.count()

    def embrace(step):
        first, second = locks if next(numbers) == 0 else reversed(locks)
        with first:
            step("one held")
            if second.acquire(timeout=10):
                second.release()

    with pytest.raises(TimeoutError, match=r"(?s)did not end.*B: one held -> \(waits\)"):
        race_of_waiters(embrace, embrace, patience=0.3, timeout=2)


def test_an_abandoned_racer_leaves_its_checkpoint():
    left = threading.Event()

    def stays(step):
        try:
            step("here")
        finally:
            left.set()

    def fails():
        raise RuntimeError("no")

    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="no"):
        race(stays, stays, watch=fails)
    assert left.wait(5)
    assert set(threading.enumerate()) <= before


def test_wrong_arguments_are_refused_before_anything_starts():
    called = []
    with pytest.raises(ValueError, match="order may name A, B, and not C, x"):
        race(called.append, called.append, order="ABCx")
    with pytest.raises(ValueError, match="at most 26 functions"):
        race(*[called.append] * 27)
    with pytest.raises(TypeError, match="a race is between functions, and 3 is none"):
        race(called.append, 3)
    assert called == []


@pytest.mark.parametrize("name", ["patience", "timeout"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", True])
def test_times_that_are_none_are_refused_before_anything_starts(name, seconds):
    began = []
    with pytest.raises((ValueError, TypeError), match=f"{name} must be a positive number of seconds"):
        testing.race(began.append, began.append, **{name: seconds})
    assert not began


def test_a_partial_of_an_async_function_is_one_and_a_lambda_is_not():
    async def buy(name, step):
        await step()
        return name

    report = race(functools.partial(buy, "first"), lambda step: buy("second", step))
    assert report["A"].result() == "first"
    with pytest.raises(TypeError, match="pass an async function"):
        report["B"].result()
