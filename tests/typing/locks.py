"""Uses of locks that mypy --strict must accept, and some that it must refuse. Never run; see api.py."""

from __future__ import annotations

from typing_extensions import assert_type

import redislock
import redislock.asyncio
from redislock import Client, Lock


def told(lock: Lock) -> None:
    assert_type(lock.name, str | bytes | memoryview)


def threads(client: Client) -> int:
    with client.lock("a", timeout=5, max_hold=60, on_lost=told, fair=False) as lock:
        assert_type(lock, Lock)
        assert_type(lock.fence, int | None)
        assert_type(lock.remaining, float | None)
        assert_type(lock.local.token, bytes | None)
        assert_type(lock.lost.is_set(), bool)
        assert_type(lock.lost.wait(1.5), bool)
        assert_type(lock.owned(), bool)
        lock.extend(5)
        lock.reacquire()
        lock.raise_if_lost()
    with Lock("redis://localhost", b"a", 10, blocking_timeout=1, thread_local=False) as lock:
        assert_type(lock.acquire(blocking=False, token="t"), bool)
    with client.semaphore("a", 3) as permit, client.rw_lock("b").read() as reader:
        assert_type(permit, redislock.Semaphore)
        assert_type(permit.limit, int)
        assert_type(reader, redislock.ReadLock)
    with client.rw_lock("b").write(blocking_timeout=3) as writer, client.multi_lock(["a", b"b"]) as both:
        assert_type(writer, redislock.WriteLock)
        assert_type(both, redislock.MultiLock)
    held = client.try_lock("a", timeout=5)
    assert_type(held, Lock | None)
    if held:
        with held:
            pass

    client.lock(5)  # type: ignore[arg-type]
    client.lock("a", lease=5)  # type: ignore[call-arg]
    client.semaphore("a")  # type: ignore[call-arg]
    Lock("redis://localhost", "a", on_lost="later")  # type: ignore[arg-type]

    @client.locked("order:{order}", timeout=5, retries=3, blocking_timeout=1)
    def charge(order: str, amount: int) -> int:
        return amount

    assert_type(charge("o-1", amount=3), int)
    charge(3, amount=3)  # type: ignore[arg-type]
    return charge("o-1", 3)


async def tasks(client: redislock.asyncio.Client) -> None:
    async with client.lock("a") as lock:
        assert_type(lock, redislock.asyncio.Lock)
        assert_type(lock.fence, int | None)
        assert_type(await lock.owned(), bool)
        assert_type(await lock.locked(), bool)
        assert_type(await lock.lost.wait(1), bool)
        await lock.extend(5)
    assert_type(await lock.acquire(blocking=False), bool)
    assert_type(await client.try_lock("a"), redislock.asyncio.Lock | None)
    async with client.semaphore("a", 2), client.rw_lock("b").write(), client.multi_lock(["a", "b"]):
        pass

    @client.locked("order:{order}")
    async def charge(order: str) -> float:
        return 1.5

    assert_type(await charge(order="o-1"), float)

    @client.locked("order")  # type: ignore[arg-type]
    def blocks() -> None:
        pass


def errors(client: Client) -> list[tuple[str, str, float]]:
    try:
        with client.lock("a"), client.lock("b"):
            pass
    except redislock.DeadlockError as error:
        assert_type(error.parties, list[tuple[str, str, float]])
        return error.parties
    except (redislock.LockLostError, redislock.LockNotOwnedError) as error:
        assert_type(error.message, str | None)
    except redislock.LockError as error:
        if isinstance(error, ValueError):
            return []
    except redislock.ConcurrencyError as error:
        assert_type(error.etag, str | None)
    return []
