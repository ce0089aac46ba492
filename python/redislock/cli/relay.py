"""The command `relay`: moves a stock's orders from its outbox on Redis into a database, each once."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

import redislock
from redislock.cli._common import (
    DEFAULT_TIMEOUT,
    Prefix,
    Url,
    examples,
    open_client,
    whole_number,
    wrong,
)
from redislock.cli._common import duration as seconds
from redislock.cli._group import FAULT, REFUSED, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock.scenarios.relay import Relay

_EVERY: Final = 1.0  # seconds between two lines


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=RELAY)(relay)


RELAY = examples(
    "redislock relay shoes --database postgresql://shop@localhost/shop",
    "redislock relay flash-sale --database sqlite:///orders.db --once",
)


def relay(
    sku: Annotated[str, typer.Argument(metavar="SKU", help="Whose orders.", show_default=False)],
    *,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            show_default=False,
            help="Where orders go: postgresql://... or sqlite:///file. Tables are made where there are none.",
        ),
    ] = None,
    url: Url = None,
    prefix: Prefix = None,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N", help="Orders in one transaction at most.")
    ] = "500",
    idle: Annotated[
        str,
        typer.Option(
            "--idle", metavar="SECONDS", help="After which orders of a relay that died are taken over."
        ),
    ] = "5",
    once: Annotated[bool, typer.Option("--once", help="Move what is there, and end.")] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="SECONDS", help="For each answer; with --once, for all.")
    ] = DEFAULT_TIMEOUT,
) -> None:
    """Move orders from the outbox of a stock into a database, each once, until Ctrl-C.

    Several may run at once, and each may be killed at any moment: orders that were under way are moved
    again, and the database takes each order id once. While the database or Redis is down it waits.

    What can never become an order, such as another order of the same id, is set aside in a stream beside
    the outbox, whose key ends in ":refused".

    Exit codes: 0 also after Ctrl-C; 1 if anything was set aside; with --once 3 if orders are left.
    """
    from redislock.scenarios.orders import OrderBook
    from redislock.scenarios.relay import Relay

    if database is None:
        wrong("--database", "is missing; name a database, like sqlite:///orders.db")
    patience = seconds(timeout, "--timeout", positive=True)
    size = whole_number(batch, "--batch", 1, 100_000)
    after = seconds(idle, "--idle")
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(open_client(url, prefix, timeout))
        try:
            book = stack.enter_context(OrderBook(database, timeout=patience))
        except redislock.ConfigurationError as error:
            wrong("--database", str(error))
        book.prepare()
        mover = Relay(client, sku, book, prefix=prefix, batch=size, idle=after)
        typer.echo(f"orders of {sku} go from {client.url} to {book.url}")
        typer.get_text_stream("stdout").flush()
        if once:
            drained = mover.drain(threading.Event(), patience)
            _tell_end(mover)
            if not drained:
                tell(mover.trouble or "orders are left that another relay was given; try again later")
                raise typer.Exit(FAULT)
        else:
            with _asked_to_stop():
                mover.run(threading.Event(), _Lines(mover).tell)
            _tell_end(mover)
        if mover.refused:
            tell(f"{mover.refused} could not become orders; look at the stream {mover.refused_key}")
            raise typer.Exit(REFUSED)


class _Lines:
    """A line a second while orders move, and one where something keeps them."""

    def __init__(self, mover: Relay) -> None:
        self._mover = mover
        self._next = 0.0
        self._told = (0, "")

    def tell(self) -> None:
        """Called after each step."""
        mover, now = self._mover, time.monotonic()
        seen = (mover.moved + mover.again, mover.trouble)
        if seen == self._told or (seen[1] == self._told[1] and now < self._next):
            return
        if mover.trouble and mover.trouble != self._told[1]:
            tell(mover.trouble)
        elif not mover.trouble:
            typer.echo(f"{mover.moved} moved")
            typer.get_text_stream("stdout").flush()
        self._told, self._next = seen, now + _EVERY


def _tell_end(mover: Relay) -> None:
    again = f", {mover.again} had been moved before" if mover.again else ""
    refused = f", {mover.refused} set aside" if mover.refused else ""
    typer.echo(f"{mover.moved} moved in all{again}{refused}")


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[None]:
    """Take Ctrl-C and SIGTERM inside the block as the regular end."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
