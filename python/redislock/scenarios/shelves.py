"""What a replica sells from: a stock on Redis, or an account in a SQL database. One order a call.

An order that was sent before under the same id is made once: a stock knows it by its id, a SQL database
by its idempotency key. The naive ways are told nothing of that, and oversell.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from redislock.asyncio import Client
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.worlds import UNSAFE, is_sql, open_sql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redislock._async_stock import AsyncStock
    from redislock.scenarios.replica import Job

__all__ = ["Shelf", "Sold", "open_shelf"]

_MOST_RETRIES: Final = 1_000_000
_LEASE: Final = 2.0  # seconds; so long the others wait for one who died with the lock


class Sold(NamedTuple):
    """What one order came to."""

    word: str
    """``ok``, ``sold_out``, ``limit``, ``retry_later``, ``missing``, or ``again``: nothing was decided."""
    left: int | None
    """The level afterwards, as it was told."""
    reason: str = ""


class Shelf(Protocol):
    """Where orders are made."""

    naive: bool

    async def order(self, order_id: str, user: str | None) -> Sold:
        """Take one piece."""


@contextlib.asynccontextmanager
async def open_shelf(job: Job) -> AsyncIterator[Shelf]:
    """Connect to what the job sells from."""
    patience = {"timeout": job.timeout, "lock_wait": job.timeout, "max_retries": _MOST_RETRIES}
    if is_sql(job.strategy, job.url):
        options = {"connect_timeout": job.timeout, "max_connections": job.connections}
        async with open_sql(job.url or "", **patience, **options) as database:
            yield _Account(database, job)
        return
    async with Client(job.url, prefix=job.prefix, max_connections=1000, **patience) as client:
        outbox = job.mode == "outbox"
        stock = client.stock(job.sku, outbox=outbox, backlog=job.backlog if outbox else None)
        if job.mode != "inside-lock":
            yield _Stock(stock, job)
            return
        with OrderBook(job.database or "", timeout=job.timeout) as book:
            yield _Logged(client, stock, job, book)


class _Stock:
    """A stock on Redis."""

    def __init__(self, stock: AsyncStock, job: Job) -> None:
        self.naive = job.strategy == UNSAFE
        self._order = stock.order
        self._strategy = job.strategy
        self._limit = job.limit
        self._sent: set[str] = set()

    async def order(self, order_id: str, user: str | None) -> Sold:
        """Take one piece."""
        try:
            answer = await self._order(1, order_id, strategy=self._strategy, user=user, limit=self._limit)
        except BaseException:
            self._sent.add(order_id)  # if it is there already the next time, it is this one
            raise
        status = answer.status.value
        if status == "retry_later" and answer.reason != "backlog":
            return Sold("again", answer.level)
        if status == "duplicate" and order_id in self._sent:
            return Sold("ok", answer.level)
        return Sold(status, answer.level, answer.reason or "")


class _Logged:
    """A stock whose orders are written into the database while a lock is held, as the seeds' article does.

    Between the two lies the moment at which an order is in neither: where the process dies there, the
    stock is lower and nobody has ordered.
    """

    naive = False

    def __init__(self, client: Client, stock: AsyncStock, job: Job, book: OrderBook) -> None:
        self._client = client
        self._stock = stock
        self._job = job
        self._book = book
        self._taken = 0

    async def order(self, order_id: str, user: str | None) -> Sold:
        """Take one piece, and log the order."""
        job = self._job
        async with self._client.lock(f"{job.sku}:orders", timeout=_LEASE):
            answer = await self._stock.order(1, order_id, user=user, limit=job.limit)
            if answer:
                self._taken += 1
                if self._taken == job.crash_at:
                    os._exit(1)
                entry = ("", order_id, job.sku, 1, user or "", _now())
                await asyncio.to_thread(self._book.log, [entry])
        return Sold(answer.status.value, answer.level, answer.reason or "")


class _Account:
    """An account in a SQL database, with as much in it as there is to sell."""

    def __init__(self, database: Any, job: Job) -> None:
        self.naive = job.strategy == UNSAFE
        self._withdraw = database.withdraw
        self._strategy = job.strategy
        self._sku = job.sku

    async def order(self, order_id: str, user: str | None) -> Sold:  # noqa: ARG002 - a limit is Redis'
        """Take one piece."""
        key = None if self.naive else order_id
        answer = await self._withdraw(self._strategy, self._sku, 1, idempotency_key=key)
        status = answer.status.value
        if status in ("conflict", "lock_busy", "lock_lost"):
            return Sold("again", answer.balance)
        return Sold("sold_out" if status == "insufficient" else status, answer.balance)


def _now() -> int:
    return time.time_ns() // 1_000_000
