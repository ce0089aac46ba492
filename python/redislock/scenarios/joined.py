"""One replica of a flash sale in this very process: for a terminal or a container of its own."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import threading
import time
from typing import TYPE_CHECKING

from redislock._client import Client
from redislock.scenarios.flash_sale import Progress
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.replica import Replica
from redislock.scenarios.sale_report import ReplicaReport
from redislock.scenarios.shelves import open_shelf
from redislock.scenarios.worlds import is_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redislock.scenarios.flash_sale import Sale
    from redislock.scenarios.replica import Job
    from redislock.scenarios.shelves import Sold

__all__ = ["sell"]


def sell(
    sale: Sale,
    name: str,
    url: str,
    *,
    prefix: str | None = None,
    on_sold: Callable[[Sold], object] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> tuple[ReplicaReport, bool]:
    """Send the orders of one replica; what they came to, and whether Ctrl-C ended it early.

    The stock is set where there is none, and otherwise left as others have it. Orders stay in the
    outbox, for a relay that somebody runs.
    """
    sale.check(url)
    _prepare(sale, url, prefix)
    job = sale.job(name, url, prefix, secrets.token_hex(4), orders=sale.orders)
    replica = Replica(job, on_sold or (lambda _: None))
    interrupted = asyncio.run(_go(replica, job, on_progress))
    return ReplicaReport(name, dict(replica.words), error=replica.error), interrupted


def _prepare(sale: Sale, url: str, prefix: str | None) -> None:
    if is_sql(sale.strategy, url):
        from redislock import sql

        with sql.Client(url, timeout=sale.timeout) as database:
            database.migrate()
            database.init(sale.sku, sale.stock, if_missing=True)
        return
    with Client(url, prefix=prefix, timeout=sale.timeout) as client:
        client.stock(sale.sku).set(sale.stock, if_missing=True)
    if sale.mode == "inside-lock" and sale.database is not None:
        with OrderBook(sale.database) as book:
            book.prepare()


async def _go(replica: Replica, job: Job, on_progress: Callable[[Progress], object] | None) -> bool:
    began = time.monotonic()

    def progress() -> None:
        if on_progress is not None:
            elapsed = time.monotonic() - began
            on_progress(Progress(replica.done, replica.words["ok"], elapsed, replica.level, None, ""))

    async with open_shelf(job) as shelf:
        with _stopped_by_ctrl_c(replica) as stopped:
            await replica.run(shelf, progress)
    return stopped.is_set()


@contextlib.contextmanager
def _stopped_by_ctrl_c(replica: Replica) -> Iterator[threading.Event]:
    """Begin no other order after the first Ctrl-C; the second one is raised."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stopped.set()
        replica.stop()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        loop.remove_signal_handler(signal.SIGINT)
