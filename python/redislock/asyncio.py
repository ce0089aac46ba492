"""The asyncio client: the same methods, to be awaited.

One client works with several event loops, one after the other or in several threads: each loop has
connections of its own, made at the first call there.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING, Any

from redislock import _core
from redislock._async_stock import AsyncStock as Stock
from redislock._async_stock import AsyncStocking
from redislock._client import BaseClient
from redislock._coordination.entity import AsyncEntity as Entity
from redislock._coordination.factories import AsyncCoordinating
from redislock._coordination.once import AsyncOnce as Once
from redislock._coordination.rate_limit import AsyncRateLimit as RateLimit
from redislock._errors import ClosedError
from redislock._locks.async_factories import Locking
from redislock._locks.async_kinds import MultiLock, ReadLock, RWLock, Semaphore, WriteLock
from redislock._locks.async_lock import Lock
from redislock._locks.clients import register
from redislock._waiters import give_back

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from redislock._core import Health, HistoryEntry, Operation, Result

__all__ = [
    "Client",
    "Entity",
    "Lock",
    "MultiLock",
    "Once",
    "RWLock",
    "RateLimit",
    "ReadLock",
    "Semaphore",
    "Stock",
    "WriteLock",
]


class _LoopWaiter:
    """Runs operations for one event loop. What one tick submits goes out in one write.

    Closes itself when nobody refers to it any more.
    """

    def __init__(self, options: _core.Options, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._core = _core.LoopDriver(options)
        self._scheduled = False
        # The loop must not keep the waiter of a client that nobody has any more.
        loop.add_reader(self._core.fileno(), _on_ready, weakref.ref(self))
        weakref.finalize(self, _retire, loop, self._core).atexit = False

    async def run(self, operation: Operation) -> Any:
        future = self.loop.create_future()
        self._core.submit(operation, future)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush)
        try:
            return await future
        except (asyncio.CancelledError, GeneratorExit):
            if future.done() and not future.cancelled() and future.exception() is None:
                give_back(future.result())  # the answer came in this very tick
            # A coroutine that is thrown away may be closed by another thread, where it is collected.
            if asyncio._get_running_loop() is not self.loop:  # noqa: SLF001  # the public twin raises
                raise
            self._core.cancel(operation)
            if not self._scheduled:
                self._scheduled = True
                self.loop.call_soon(self._flush)
            raise

    def _flush(self) -> None:
        self._scheduled = False
        _deliver(self._core.flush())

    def pump(self) -> None:
        """Handles what is ready."""
        _deliver(self._core.pump())

    def close(self) -> None:
        """Ends what is under way, in the loop's own thread."""
        _retire(self.loop, self._core)

    def abandon_after_fork(self) -> None:
        # The loop is the parent's, and so is what it registered: not to be touched from here.
        self._core.abandon_after_fork()


def _on_ready(of: weakref.ref[_LoopWaiter]) -> None:
    waiter = of()
    if waiter is not None:
        waiter.pump()


def _deliver(finished: list[tuple[asyncio.Future[Any], Any, bool]]) -> None:
    for future, value, failed in finished:
        if future.done():  # cancelled in this very tick
            give_back(value)
            continue
        if failed:
            future.set_exception(value)
        else:
            future.set_result(value)


def _retire(loop: asyncio.AbstractEventLoop, core: _core.LoopDriver) -> None:
    if core.fileno() < 0:  # closed before, or left behind by a fork
        return
    if loop.is_closed():
        core.close()
    elif asyncio._get_running_loop() is loop or not loop.is_running():  # noqa: SLF001  # the public twin raises
        _take_out(loop, core)
    else:
        with contextlib.suppress(RuntimeError):  # closed in this moment, so that nobody waits
            loop.call_soon_threadsafe(_take_out, loop, core)


def _take_out(loop: asyncio.AbstractEventLoop, core: _core.LoopDriver) -> None:
    if core.fileno() >= 0:
        loop.remove_reader(core.fileno())
        _deliver(core.close())


class Client(AsyncCoordinating, Locking, AsyncStocking, BaseClient):
    """Moves balances, sells stock and takes locks on one server, from asyncio or uvloop.

    The methods are those of `redislock.Client`.
    Not to be shared by threads within one loop; each loop may run in a thread of its own. A
    cancelled call ends at once: what was written then may or may not have been applied, and is
    never reported as ok.
    """

    def __init__(self, url: str | None = None, **options: Any) -> None:
        super().__init__(url, **options)
        self._waiters: dict[asyncio.AbstractEventLoop, _LoopWaiter] = {}
        self._latest: _LoopWaiter | None = None
        self._closed = False

    def _run(self, operation: Operation) -> Any:
        loop = asyncio.get_running_loop()
        latest = self._latest
        if latest is None or latest.loop is not loop:
            latest = self._waiter_of(loop)
        return latest.run(operation)

    def _waiter_of(self, loop: asyncio.AbstractEventLoop) -> _LoopWaiter:
        if self._closed:
            raise ClosedError("the client is closed; make a new one")
        for other in list(self._waiters):  # a copy: another loop's thread may come along
            if other.is_closed() and (gone := self._waiters.pop(other, None)) is not None:
                gone.close()
        waiter = self._waiters.get(loop)
        if waiter is None:
            waiter = self._waiters[loop] = _LoopWaiter(self._options, loop)
        self._latest = waiter
        return waiter

    async def init(
        self,
        user: str | int,
        balance: int,
        *,
        if_missing: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """Sets the balance and clears the history; `if_missing=True` leaves an existing balance alone."""
        return await self._run(self._accounts.init(user, balance, if_missing, timeout))

    async def balance(self, user: str | int, *, timeout: float | None = None) -> int | None:
        """The balance, or None where there is no such account."""
        return await self._run(self._accounts.balance(user, timeout))

    async def deposit(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Adds to the balance: `ok`, `missing` or `overflow`."""
        return await self._run(self._accounts.deposit(user, amount, idempotency_key, timeout))

    async def withdraw(
        self,
        strategy: str,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        lock_wait: float | None = None,
        lock_lease: float | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance by the strategy of that name: lua, lock, watch or naive."""
        return await self._run(
            self._accounts.withdraw(
                strategy, user, amount, idempotency_key, max_retries, lock_wait, lock_lease, timeout
            )
        )

    async def withdraw_lua(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance in one script, one round trip: `ok`, `insufficient` or `missing`."""
        return await self._run(
            self._accounts.withdraw("lua", user, amount, idempotency_key, None, None, None, timeout)
        )

    async def withdraw_lock(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        lock_wait: float | None = None,
        lock_lease: float | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance under the account's lock, in two round trips."""
        return await self._run(
            self._accounts.withdraw(
                "lock", user, amount, idempotency_key, None, lock_wait, lock_lease, timeout
            )
        )

    async def withdraw_watch(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance by WATCH and EXEC, two round trips an attempt."""
        return await self._run(
            self._accounts.withdraw("watch", user, amount, idempotency_key, max_retries, None, None, timeout)
        )

    async def withdraw_naive(self, user: str | int, amount: int, *, timeout: float | None = None) -> Result:
        """Reads, computes, writes: loses updates under contention. For comparison only."""
        return await self._run(
            self._accounts.withdraw("naive", user, amount, None, None, None, None, timeout)
        )

    async def deposit_naive(self, user: str | int, amount: int, *, timeout: float | None = None) -> Result:
        """The naive way to add. For comparison only."""
        return await self._run(self._accounts.deposit_naive(user, amount, timeout))

    async def history(
        self, user: str | int, limit: int | None = None, *, timeout: float | None = None
    ) -> list[HistoryEntry]:
        """At most `limit` entries, newest first; all that are kept without it."""
        return await self._run(self._accounts.history(user, limit, timeout))

    async def outcome(
        self, user: str | int, idempotency_key: str, *, timeout: float | None = None
    ) -> Result | None:
        """The recorded outcome of a request, or None. Never charges."""
        return await self._run(self._accounts.outcome(user, idempotency_key, timeout))

    async def delete(self, user: str | int, *, timeout: float | None = None) -> Result:
        """Removes the balance and its history: `ok` or `missing`. Request records live on."""
        return await self._run(self._accounts.delete(user, timeout))

    async def health(self, *, timeout: float | None = None) -> Health:
        """What the server says of itself; answers also when it cannot be reached."""
        return await self._run(self._accounts.health(timeout))

    async def aclose(self) -> None:
        """Closes the connections of every loop. What is under way ends with an error."""
        self._closed = True
        self._latest = None
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _abandon_after_fork(self) -> None:
        self._latest = None
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter.abandon_after_fork()


register("asyncio", Client)
