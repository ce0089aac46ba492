"""What the asyncio client offers of locks: the same as the blocking client, to be awaited."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from redislock._errors import LockError
from redislock._locks.async_kinds import MultiLock, RWLock, Semaphore
from redislock._locks.async_lock import HeldLock, Lock, run_for
from redislock._locks.base import NOT_ACQUIRED
from redislock._locks.factories import LEASE, LockOptions, renews
from redislock._locks.naming import (
    check_attempts,
    check_function,
    make_namer,
    pause,
    refuse_postponed,
)
from redislock._locks.scope import owner_in_task

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from typing_extensions import Unpack

    from redislock._locks.base import Name

__all__ = ["Locking"]

P = ParamSpec("P")
R = TypeVar("R")


class Locking:
    """Makes locks that run on this client."""

    def lock(
        self,
        name: Name,
        timeout: float | None = LEASE,
        *,
        auto_renew: bool | None = None,
        reentrant: bool = False,
        **options: Unpack[LockOptions],
    ) -> Lock:
        """A lock of that name, to be used with `async with`, or by `acquire` and `release`.

        `timeout` is its lease in seconds, renewed until it is released; None for none, which outlives
        a crash. Other arguments are those of `redislock.Lock`.
        """
        return Lock(
            self, name, timeout, auto_renew=renews(timeout, auto_renew), reentrant=reentrant, **options
        )

    def try_lock(
        self,
        name: Name,
        timeout: float = 0.0,
        *,
        lease: float | None = LEASE,
        auto_renew: bool | None = None,
        reentrant: bool = False,
        retries: int = 0,
        retry_delay: float = 0.1,
        **options: Unpack[LockOptions],
    ) -> Coroutine[Any, Any, Lock | None]:
        """The lock, held; or None where it was not to be had within `timeout` seconds.

        Use it with `async with`, or release it. `lease` is what `lock` calls `timeout`. After `retries` more
        attempts, each after a jittered delay, it gives up. It belongs to the task that calls this, also
        where another one runs the coroutine.
        """
        check_attempts(retries, retry_delay)
        lock = HeldLock(
            self, name, lease, auto_renew=renews(lease, auto_renew), reentrant=reentrant, **options
        )

        async def attempts() -> Lock | None:
            for attempt in range(retries + 1):
                if attempt:
                    await asyncio.sleep(pause(retry_delay))
                if await lock.take(timeout):
                    return lock
            return None

        return run_for(owner_in_task(), attempts)

    def semaphore(
        self,
        name: Name,
        limit: int,
        timeout: float | None = LEASE,
        *,
        auto_renew: bool | None = None,
        **options: Unpack[LockOptions],
    ) -> Semaphore:
        """A semaphore with `limit` permits, each with a lease of its own, for which one waits in line."""
        return Semaphore(
            self, name, limit, timeout=timeout, auto_renew=renews(timeout, auto_renew), **options
        )

    def rw_lock(
        self,
        name: Name,
        timeout: float | None = LEASE,
        *,
        auto_renew: bool | None = None,
        reentrant: bool = False,
        **options: Unpack[LockOptions],
    ) -> RWLock:
        """Makes locks of one name by `read()` and `write()`."""
        renewed = renews(timeout, auto_renew)
        return RWLock(self, name, timeout=timeout, auto_renew=renewed, reentrant=reentrant, **options)

    def multi_lock(
        self,
        names: Iterable[Name],
        timeout: float | None = LEASE,
        *,
        auto_renew: bool | None = None,
        reentrant: bool = False,
        **options: Unpack[LockOptions],
    ) -> MultiLock:
        """All locks of these names at once, or none of them; in any order."""
        renewed = renews(timeout, auto_renew)
        return MultiLock(self, names, timeout=timeout, auto_renew=renewed, reentrant=reentrant, **options)

    def locked(
        self,
        name: str,
        timeout: float | None = LEASE,
        *,
        auto_renew: bool | None = None,
        reentrant: bool = False,
        retries: int = 0,
        retry_delay: float = 0.1,
        **options: Unpack[LockOptions],
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorates a coroutine function: it runs under a lock, as in ``@client.locked("order:{order_id}")``.

        The name is made from the call's arguments. Where the lock is not to be had in
        `blocking_timeout` seconds, and not in `retries` more attempts either, each after a jittered
        delay, the call raises `LockError`.
        """
        check_attempts(retries, retry_delay)
        renewed = renews(timeout, auto_renew)

        def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            check_function(function, awaits=True)
            name_of = make_namer(function, name)
            self.lock(name, timeout, auto_renew=renewed, reentrant=reentrant, **options)  # refuses

            @functools.wraps(function)
            async def run(*args: P.args, **kwargs: P.kwargs) -> R:
                wanted = name_of(*args, **kwargs)
                lock = HeldLock(self, wanted, timeout, auto_renew=renewed, reentrant=reentrant, **options)
                for attempt in range(retries + 1):
                    if attempt:
                        await asyncio.sleep(pause(retry_delay))
                    if await lock.take(None):
                        async with lock:
                            result = await function(*args, **kwargs)
                            refuse_postponed(result, function)
                            return result
                raise LockError(NOT_ACQUIRED, lock_name=wanted)

            return run

        return decorate
