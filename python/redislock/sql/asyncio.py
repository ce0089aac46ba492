"""The asyncio client of PostgreSQL and SQLite: the same methods, to be awaited.

One client works with several event loops: each has connections of its own. SQLite's calls block, so they
run in the loop's executor.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from redislock._errors import ClosedError, Error
from redislock.sql._base import BaseClient, to_entries, to_result
from redislock.sql._loop_place import LoopPlace
from redislock.sql._places import ThreadPlace
from redislock.sql._session import Session

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from redislock._core import Health, HistoryEntry, Result
    from redislock.sql._base import Balances
    from redislock.sql._operation import Operation

__all__ = ["Client", "connect"]


def connect(url: str, **options: Any) -> Client:
    """A client of the database that the URL names; nothing is opened before the first call."""
    return Client(url, **options)


class Client(BaseClient):
    """Moves balances in one database, from asyncio or uvloop. The methods are `redislock.sql.Client`'s.

    A cancelled call ends at once: what was written then may or may not have been applied, and is never
    reported as ok.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._places: dict[asyncio.AbstractEventLoop, LoopPlace] = {}
        self._threads = ThreadPlace(self._backend)  # for SQLite
        self._closed = False

    async def migrate(self, *, timeout: float | None = None) -> None:
        """Makes the tables where there are none. Several processes may call it at once."""
        asked = self._timeout if timeout is None else timeout
        place = self._place()
        if place is None:
            await asyncio.get_running_loop().run_in_executor(None, self._threads.migrate, asked)
        else:
            await place.migrate(asked)

    async def init(
        self,
        user: str | int,
        balance: int,
        *,
        if_missing: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """Sets the balance and clears the history; `if_missing=True` leaves an existing balance alone."""
        return await self._change(self._init(user, balance, if_missing, timeout))

    async def reset(self, balances: Balances, *, timeout: float | None = None) -> None:
        """Sets several balances and clears their histories, all or nothing."""
        await self._run(self._reset(balances, timeout))

    async def balance(self, user: str | int, *, timeout: float | None = None) -> int | None:
        """The balance, or None where there is no such account."""
        found: int | None = await self._run(self._balance(user, timeout))
        return found

    async def deposit(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Adds to the balance in one statement: `ok`, `missing` or `overflow`."""
        return await self._change(self._deposit(user, amount, idempotency_key, timeout))

    async def deposit_naive(
        self,
        user: str | int,
        amount: int,
        *,
        timeout: float | None = None,
    ) -> Result:
        """The naive way to add. For comparison only."""
        return await self._change(self._deposit_naive(user, amount, timeout))

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
        """Takes from the balance by the strategy of that name."""
        return await self._change(
            self._withdraw(
                strategy,
                user,
                amount,
                idempotency_key,
                timeout,
                max_retries=max_retries,
                lock_wait=lock_wait,
                lock_lease=lock_lease,
            )
        )

    async def withdraw_for_update(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        lock_wait: float | None = None,
        lock_lease: float | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance in a transaction with SELECT ... FOR UPDATE, in two round trips."""
        return await self._change(
            self._withdraw(
                "for_update",
                user,
                amount,
                idempotency_key,
                timeout,
                lock_wait=lock_wait,
                lock_lease=lock_lease,
            )
        )

    async def withdraw_version(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance if its version is still the one that was read."""
        return await self._change(
            self._withdraw("version", user, amount, idempotency_key, timeout, max_retries=max_retries)
        )

    async def withdraw_atomic(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance by UPDATE ... WHERE balance >= amount, one round trip."""
        return await self._change(self._withdraw("atomic", user, amount, idempotency_key, timeout))

    async def withdraw_serializable(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance in a SERIALIZABLE transaction, tried again where PostgreSQL refuses it."""
        return await self._change(
            self._withdraw("serializable", user, amount, idempotency_key, timeout, max_retries=max_retries)
        )

    async def withdraw_naive(
        self,
        user: str | int,
        amount: int,
        *,
        timeout: float | None = None,
    ) -> Result:
        """Reads, computes, writes: loses updates under contention. For comparison only."""
        return await self._change(self._withdraw("naive", user, amount, None, timeout))

    async def transfer(
        self,
        source: str | int,
        target: str | int,
        amount: int,
        *,
        in_order: bool = True,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Moves money from one account to another, in one transaction that locks both. PostgreSQL only."""
        return await self._change(
            self._transfer(source, target, amount, timeout, in_order=in_order, max_retries=max_retries)
        )

    async def history(
        self,
        user: str | int,
        limit: int | None = None,
        *,
        timeout: float | None = None,
    ) -> list[HistoryEntry]:
        """At most `limit` entries, newest first; all that are kept without it."""
        return to_entries(await self._run(self._history(user, limit, timeout)))

    async def outcome(
        self,
        user: str | int,
        idempotency_key: str,
        *,
        timeout: float | None = None,
    ) -> Result | None:
        """The recorded outcome of a request, or None. Never charges."""
        operation = self._outcome(user, idempotency_key, timeout)
        begun = time.monotonic_ns()
        found = await self._run(operation)
        return None if found is None else to_result(operation, found, time.monotonic_ns() - begun)

    async def delete(self, user: str | int, *, timeout: float | None = None) -> Result:
        """Removes the balance and its history: `ok` or `missing`. Request records live on."""
        return await self._change(self._delete(user, timeout))

    async def health(self, *, timeout: float | None = None) -> Health:
        """What the database says of itself; answers also when it cannot be reached."""
        operation = self._health(timeout)
        begun = time.monotonic_ns()
        try:
            found = await self._run(operation)
        except ClosedError:
            raise
        except Error as error:
            return self._to_health(None, error, time.monotonic_ns() - begun)
        return self._to_health(found, None, time.monotonic_ns() - begun)

    async def aclose(self) -> None:
        """Closes the connections of every loop. What is under way ends with an error."""
        self._closed = True
        places, self._places = self._places, {}
        for place in places.values():
            place.close()
        self._threads.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _change(self, operation: Operation) -> Result:
        begun = time.monotonic_ns()
        outcome = await self._run(operation)
        return to_result(operation, outcome, time.monotonic_ns() - begun)

    async def _run(self, operation: Operation) -> Any:
        place = self._place()
        if place is None:
            return await asyncio.get_running_loop().run_in_executor(None, self._threads.run, operation)
        return await place.run(operation)

    def _place(self) -> LoopPlace | None:
        """Where this task waits: None for SQLite."""
        if self._closed:
            raise ClosedError("the client is closed; make a new one")
        where = self._backend.where
        if not isinstance(where, Session):
            return None
        loop = asyncio.get_running_loop()
        place = self._places.get(loop)
        if place is None:
            for other in list(self._places):  # a copy: another loop's thread may come along
                if other.is_closed() and (gone := self._places.pop(other, None)) is not None:
                    gone.close()
            place = self._places[loop] = LoopPlace(self._backend, where, loop)
        return place

    def _abandon(self) -> None:
        places, self._places = self._places, {}
        for place in places.values():
            place.abandon()
        self._threads.abandon()
