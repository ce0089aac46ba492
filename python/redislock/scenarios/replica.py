"""One replica of a flash sale: its orders, many at once, until they are all answered.

`flash_sale` starts several as processes, whose `main` this is; `redislock flash-sale --replica A`
runs one in its own. Each order has an id, so that one whose answer was lost is sent again and made
once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from redislock._crew import serve
from redislock._errors import ConnectionError, Error, OutcomeUnknownError, TimeoutError  # noqa: A004
from redislock.scenarios.shelves import Sold, open_shelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from redislock._crew import Parent
    from redislock.scenarios.shelves import Shelf

__all__ = ["Job", "Replica", "main"]

_SLICE: Final = 0.05  # seconds between two snapshots
_PAUSE: Final = 0.01  # seconds before an order that was not decided is sent again
_GRACE: Final = 1.0  # seconds for what is under way when the sale is stopped
# An order may be sent again after these: its id says that it is the same.
_LOST: Final = (ConnectionError, OutcomeUnknownError, TimeoutError)


@dataclasses.dataclass(frozen=True)
class Job:
    """What a replica is to do."""

    name: str
    """Of the replica, as a reader knows it: 1, 2, ... or A."""
    run: str
    """What the ids of its orders begin with; no other run has it."""
    url: str | None
    prefix: str | None
    sku: str
    strategy: str
    orders: int
    first: int = 0
    """Number of its first order among those of all replicas."""
    at_once: int = 64
    connections: int = 16
    """To a SQL database, at most."""
    users: int = 0
    """How many users order in turn; 0: nobody is named."""
    limit: int | None = None
    """How many a user may have."""
    mode: str = "outbox"
    """How orders reach the database: ``outbox``, ``inside-lock`` or ``none``."""
    database: str | None = None
    """Where they are logged inside the lock."""
    backlog: int | None = None
    """How many orders may wait in the outbox."""
    crash_at: int = 0
    """The process dies right after that many orders were taken from the stock; 0: it does not."""
    waits: float = 0.0
    """Seconds that it leaves to the replica that is to die."""
    tells: bool = True
    """Whether each order is told as it happens."""
    spread: float = 0.0
    """Seconds within which the first orders begin, each at a moment of its own."""
    timeout: float = 30.0
    """Seconds after which an order that was never answered is given up."""


class Replica:
    """The orders of one job; runs in an event loop of its own."""

    def __init__(self, job: Job, tell: Callable[[Sold], object]) -> None:
        self._job = job
        self._tell = tell
        self._stopped = False
        self._left = iter(range(job.orders))
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = 0.0
        self.words: Counter[str] = Counter()
        self.level: int | None = None
        self.error = ""
        """The first fault, in words."""
        self.elapsed = 0.0

    @property
    def done(self) -> int:
        """How many orders were answered."""
        return sum(self.words.values())

    def stop(self) -> None:
        """Begin no other order; from any thread."""
        self._stopped = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._loop.call_later, _GRACE, self._cut_off)

    def snapshot(self) -> dict[str, Any]:
        """How far it has got."""
        return {"words": dict(self.words), "level": self.level}

    def report(self) -> dict[str, Any]:
        """All that was counted."""
        return {**self.snapshot(), "elapsed": self.elapsed, "error": self.error}

    async def run(self, shelf: Shelf, on_progress: Callable[[], object] | None = None) -> None:
        """Send all orders."""
        self._loop = asyncio.get_running_loop()
        await asyncio.sleep(self._job.waits)
        self._began = time.monotonic()
        count = max(1, min(self._job.at_once, self._job.orders))
        self._tasks = [asyncio.create_task(self._work(shelf)) for _ in range(count)]
        teller = None if on_progress is None else asyncio.create_task(_every(_SLICE, on_progress))
        try:
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            self.elapsed = time.monotonic() - self._began
            if teller is not None:
                teller.cancel()
        for each in ended:
            if isinstance(each, Exception):
                raise each

    def _cut_off(self) -> None:
        for each in self._tasks:
            each.cancel()

    async def _work(self, shelf: Shelf) -> None:
        job, words, tell, tells = self._job, self.words, self._tell, self._job.tells
        if job.spread:
            await asyncio.sleep(random.uniform(0, job.spread))  # noqa: S311 - no secret
        for number in self._left:
            if self._stopped:
                return
            user = str((job.first + number) % job.users + 1) if job.users else None
            sold = await self._one(shelf, f"{job.run}-{job.name}-{number}", user)
            words[sold.word] += 1
            if sold.left is not None:
                self.level = sold.left
            if tells:
                tell(sold)
            if job.crash_at and words["ok"] == job.crash_at and sold.word == "ok":
                os._exit(1)

    async def _one(self, shelf: Shelf, order_id: str, user: str | None) -> Sold:
        """Send one order, again where nothing was decided."""
        give_up = self._began + self._job.timeout
        while True:
            try:
                sold = await shelf.order(order_id, user)
            except _LOST as fault:
                self.error = self.error or str(fault)
                if self._stopped or shelf.naive or time.monotonic() > give_up:
                    return Sold("error", None, str(fault))
            except Error as fault:
                self.error = self.error or str(fault)
                return Sold("error", None, str(fault))
            else:
                if sold.word != "again":
                    return sold
                if self._stopped or time.monotonic() > give_up:
                    return Sold("retry_later", sold.left, sold.reason)
            await asyncio.sleep(_PAUSE)


async def _every(seconds: float, call: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(seconds)
        call()


def main() -> None:
    """Serve one job as a process: what happens goes out in lines, a report at the end."""
    with serve() as parent:
        asyncio.run(_serve(parent))


async def _serve(parent: Parent) -> None:
    job = Job(**parent.job)
    held: list[list[Any]] = []

    def pass_on() -> None:
        if held:
            parent.say({"sold": held})
            held.clear()

    def tell(sold: Sold) -> None:
        held.append(list(sold))
        if job.tells:
            pass_on()

    replica = Replica(job, tell)

    def progress() -> None:
        if not job.tells:
            parent.say({"snapshot": replica.snapshot()})

    async with open_shelf(job) as shelf:
        if parent.may_begin():
            parent.obey(replica.stop, replica.stop)
            await replica.run(shelf, progress)
            parent.say({"report": replica.report()})
