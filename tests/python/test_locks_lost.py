"""Leases: how long a lock is certainly held, its renewal, its loss, and who is told."""

import logging
import time

import pytest
from faces import on_server
from worlds import EVERY, every

import redislock

SHORT = {"timeout": 0.15, "auto_renew": False}


def busy_with_the_gil(seconds):
    """Compute without ever letting another thread have the interpreter."""
    begun = time.perf_counter()
    sum(range(1_000_000))
    each = time.perf_counter() - begun
    sum(range(int(1_000_000 * seconds / each)))


@pytest.mark.timing
@every
def test_a_lease_ends_and_is_known_to_have_ended(world, make, name):
    async def body(w):
        lock = make(w.client, name, timeout=0.4, auto_renew=False)
        await w(lock.acquire())
        assert 0 < lock.remaining < 0.4
        lost = lock.lost
        assert not lost.is_set()
        assert await w(lost.wait(0.01)) is False
        begun = time.monotonic()
        assert await w(lost.wait(10)) is True
        assert time.monotonic() - begun < 5
        assert lost.is_set()
        assert lock.remaining == 0.0
        with pytest.raises(redislock.LockLostError):
            lock.raise_if_lost()
        await w.sleep(0.05)
        assert await w(make(w.client, name).acquire(blocking=False)) is True
        with pytest.raises(redislock.LockNotOwnedError) as caught:
            await w(lock.release())
        assert str(caught.value) == "Cannot release a lock that's no longer owned"
        assert isinstance(caught.value, redislock.LockLostError)
        assert lock.local.token is None

    world.run(body)


@every
def test_who_waits_for_a_loss_hears_of_a_release(world, make, name):
    async def body(w):
        lock = make(w.client, name)
        await w(lock.acquire())
        lost = lock.lost

        async def wait():
            return await w(lost.wait(20))

        waiter = await w.spawn(wait)
        await w.sleep(0.05)
        begun = time.monotonic()
        await w(lock.release())
        assert await w.join(waiter) is False
        assert time.monotonic() - begun < 10
        assert not lost.is_set()

    world.run(body)


def test_without_a_hold_nothing_is_lost(world, name):
    async def body(w):
        lost = w.client.lock(name).lost
        assert not lost.is_set()
        assert await w(lost.wait(5)) is False

    world.run(body)


@every
def test_on_lost_is_called_once_with_the_lock(world, make, name):
    async def body(w):
        told = []
        lock = make(w.client, name, on_lost=told.append, **SHORT)
        await w(lock.acquire())
        await w.until(lambda: told)
        await w.sleep(0.05)
        assert told == [lock]

    world.run(body)


@pytest.mark.timing
@every
def test_on_lost_is_not_called_for_what_was_given_back(world, make, name):
    async def body(w):
        told = []
        async with w.held(make(w.client, name, on_lost=told.append, timeout=0.3, auto_renew=False)):
            pass
        await w.sleep(0.4)
        assert told == []

    world.run(body)


def test_an_on_lost_that_raises_is_logged_and_harms_nobody(world, name, caplog):
    def fail(lock):
        raise RuntimeError(f"no use for {lock.name}")

    async def body(w):
        told = []
        with caplog.at_level(logging.ERROR, "redislock"):
            first = w.client.lock(name, on_lost=fail, **SHORT)
            await w(first.acquire())
            await w.until(lambda: "no use for" in caplog.text)
            second = w.client.lock(f"{name}-2", on_lost=told.append, **SHORT)
            await w(second.acquire())
            await w.until(lambda: told)
        assert [each.name for each in caplog.records if each.exc_info] == ["redislock"]

    world.run(body)


@pytest.mark.parametrize("kind", [("threads", "memory"), ("threads", "server")], indirect=True)
@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_on_lost_that_raises_what_ends_threads_ends_none(world, raised, name, caplog):
    def fail(_lock):
        raise raised

    async def body(w):
        told = []
        with caplog.at_level(logging.ERROR, "redislock"):
            first = w.client.lock(name, on_lost=fail, **SHORT)
            await w(first.acquire())
            await w.until(lambda: raised.__name__ in caplog.text)
            second = w.client.lock(f"{name}-2", on_lost=told.append, **SHORT)
            await w(second.acquire())
            await w.until(lambda: told)

    world.run(body)


@pytest.mark.parametrize("kind", [("asyncio", "memory"), ("asyncio", "server")], indirect=True)
def test_on_lost_may_be_a_coroutine_function(world, name):
    async def body(w):
        told = []

        async def on_lost(lock):
            await w.sleep(0)
            told.append(lock)

        lock = w.client.lock(name, on_lost=on_lost, **SHORT)
        await w(lock.acquire())
        await w.until(lambda: told)

    world.run(body)


async def take_each(w, name, **options):
    """Take one of every kind, all at the same time."""
    locks = {kind: make(w.client, f"{name}-{kind}", **options) for kind, make in EVERY.items()}
    for each in locks.values():
        await w(each.acquire())
    return locks


@pytest.mark.timing
def test_renewed_locks_outlive_their_leases(world, name):
    async def body(w):
        locks = await take_each(w, name, timeout=0.5)
        await w.sleep(1.2)
        for kind, lock in locks.items():
            assert not lock.lost.is_set()
            assert lock.remaining > 0
            other = EVERY["write" if kind == "read" else kind](w.client, f"{name}-{kind}")
            assert not await w(other.acquire(blocking=False))
            await w(lock.release())

    world.run(body)


@pytest.mark.timing
def test_they_are_renewed_while_python_computes(world, name):
    async def body(w):
        locks = await take_each(w, name, timeout=0.6)
        busy_with_the_gil(1.5)
        for lock in locks.values():
            assert not lock.lost.is_set()
            await w(lock.release())

    world.run(body)


def test_max_hold_ends_the_renewal(world, name):
    async def body(w):
        begun = time.monotonic()
        locks = await take_each(w, name, timeout=0.3, max_hold=0.5)
        for lock in locks.values():
            assert await w(lock.lost.wait(10)) is True
        assert 0.3 <= time.monotonic() - begun < 5

    world.run(body)


@pytest.mark.timing
def test_a_release_ends_the_renewal(world, name):
    async def body(w):
        async with w.held(w.client.lock(name, timeout=0.5)):
            await w.sleep(0.6)
        other = w.client.lock(name, timeout=0.2, auto_renew=False)
        await w(other.acquire())
        await w.sleep(0.5)
        assert await w(w.client.lock(name).acquire(blocking=False)) is True

    world.run(body)


@on_server
def test_a_lock_that_somebody_took_away_is_lost_at_the_next_renewal(world, name, raw):
    async def body(w):
        told = []
        lock = w.client.lock(name, timeout=0.6, on_lost=told.append)
        await w(lock.acquire())
        raw.set(name, "somebody else")
        await w.until(lambda: told)
        assert lock.lost.is_set()
        assert lock.remaining == 0.0
        with pytest.raises(redislock.LockLostError):
            await w(lock.release())
        assert raw.get(name) == "somebody else"

    world.run(body)


# ---- extending


@every
def test_extend_and_reacquire(world, make, name):
    async def body(w):
        lock = make(w.client, name, timeout=10, auto_renew=False)
        async with w.held(lock):
            assert await w(lock.extend(10)) is True
            assert 18 < lock.remaining <= 20
            assert await w(lock.extend(5, replace_ttl=True)) is True
            assert 4 < lock.remaining <= 5
            assert await w(lock.reacquire()) is True
            assert 9 < lock.remaining <= 10

    world.run(body)


@every
def test_what_cannot_be_extended(world, make, name):
    async def body(w):
        lock = make(w.client, name, timeout=10, auto_renew=False)
        for verb, do in [("extend", lambda: lock.extend(1)), ("reacquire", lock.reacquire)]:
            with pytest.raises(redislock.LockError, match=f"^Cannot {verb} an unlocked lock$"):
                await w(do())
        lock = make(w.client, name, timeout=None)
        async with w.held(lock):
            assert lock.remaining is None
            for verb, do in [("extend", lambda: lock.extend(1)), ("reacquire", lock.reacquire)]:
                with pytest.raises(redislock.LockError, match=f"^Cannot {verb} a lock with no timeout$"):
                    await w(do())
        lock = make(w.client, name, **SHORT)
        await w(lock.acquire())
        await w.sleep(0.25)
        for verb, do in [("extend", lambda: lock.extend(1)), ("reacquire", lock.reacquire)]:
            with pytest.raises(
                redislock.LockNotOwnedError, match=f"^Cannot {verb} a lock that's no longer owned$"
            ):
                await w(do())

    world.run(body)


@every
def test_a_lost_lock_at_the_end_of_with(world, make, name, caplog):
    async def body(w):
        with pytest.raises(redislock.LockNotOwnedError):
            async with w.held(make(w.client, name, **SHORT)):
                await w.sleep(0.25)
        with caplog.at_level(logging.WARNING, "redislock"):
            async with w.held(make(w.client, name, raise_on_release_error=False, **SHORT)):
                await w.sleep(0.25)
        assert "Lock was unlocked or no longer owned when exiting context manager." in caplog.messages

    world.run(body)


@every
def test_who_waits_for_a_loss_hears_of_a_shorter_lease(world, make, name):
    async def body(w):
        lock = make(w.client, name, timeout=30, auto_renew=False)
        await w(lock.acquire())
        lost = lock.lost

        async def wait():
            return await w(lost.wait(20)), time.monotonic()

        waiting = await w.spawn(wait)
        await w.sleep(0.05)
        begun = time.monotonic()
        assert await w(lock.extend(0.3, replace_ttl=True)) is True
        told, at = await w.join(waiting)
        assert told is True
        assert at - begun < 10
        await w.sleep(0.05)
        with pytest.raises(redislock.LockNotOwnedError):
            await w(lock.release())

    world.run(body)
