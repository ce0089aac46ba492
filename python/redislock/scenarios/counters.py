"""The counter of a flash sale: what is sold from, how orders get into a database, and what is there then."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

from redislock._client import Client
from redislock._errors import ConfigurationError, Error
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.relay import Relay
from redislock.scenarios.worlds import UNSAFE, is_sql, require_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock.scenarios.flash_sale import Sale

__all__ = ["Mover", "RedisCounter", "SqlCounter", "open_counter"]

_BOOK_TIMEOUT: Final = 2.0  # seconds after which the relay says that the database does not answer


class Mover:
    """The relay in its thread; or nothing that moves."""

    def __init__(self, relay: Relay | None = None) -> None:
        self.relay = relay
        self.fault: Error | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def trouble(self) -> str:
        """What keeps orders from being moved at the moment."""
        if self.fault is not None:
            return str(self.fault)
        return "" if self.relay is None else self.relay.trouble

    def start(self) -> None:
        """Begin to move orders."""
        if self.relay is not None:
            self._thread.start()

    def finish(self, patience: float) -> None:
        """Stop it, and move what is left."""
        self._stop.set()
        if self.relay is None:
            return
        self._thread.join()
        if self.fault is None and patience > 0:
            try:
                self.relay.drain(threading.Event(), patience)
            except Error as error:
                self.fault = error

    def _run(self) -> None:
        assert self.relay is not None  # noqa: S101 - for the type checker
        try:
            self.relay.run(self._stop)
        except Error as error:
            self.fault = error


class RedisCounter:
    """A stock on Redis, with its outbox."""

    def __init__(self, sale: Sale, client: Client, book: OrderBook | None, prefix: str | None) -> None:
        self._sale = sale
        self._client = client
        self._book = book
        self._prefix = prefix
        self._stock = client.stock(sale.sku)
        self.database = "" if book is None else book.url

    def prepare(self) -> None:
        """Set the stock."""
        if self._book is not None:
            self._book.prepare()
        self._stock.set(self._sale.stock)

    @contextlib.contextmanager
    def moving(self) -> Iterator[Mover]:
        """Have the relay move orders meanwhile."""
        relay = None
        if self._book is not None and self._sale.mode == "outbox":
            relay = Relay(self._client, self._sale.sku, self._book, prefix=self._prefix)
        mover = Mover(relay)
        mover.start()
        try:
            yield mover
        finally:
            mover.finish(0)

    def books(self, begins: str, mover: Mover, *, interrupted: bool) -> dict[str, Any]:
        """Return what is left and what the database holds."""
        mover.finish(min(1.0, self._sale.patience) if interrupted else self._sale.patience)
        found: dict[str, Any] = {"left": None, "backlog": 0, "logged": None, "trouble": mover.trouble}
        try:
            found["left"] = self._stock.level()
            if self._sale.mode == "outbox":
                found["backlog"] = self._stock.backlog()
            if self._book is not None:
                found["logged"] = self._book.count(self._sale.sku, begins)[0]
        except Error as error:
            found["trouble"] = str(error)
        return found


class SqlCounter:
    """An account in a SQL database; its orders are in the same one."""

    def __init__(self, sale: Sale, client: Any, book: OrderBook) -> None:
        self._sale = sale
        self._client = client
        self._book = book
        self.database = book.url

    def prepare(self) -> None:
        """Set the balance."""
        self._book.prepare()
        self._client.init(self._sale.sku, self._sale.stock)

    @contextlib.contextmanager
    def moving(self) -> Iterator[Mover]:
        """Nothing has to be moved."""
        yield Mover()

    def books(self, begins: str, mover: Mover, *, interrupted: bool) -> dict[str, Any]:  # noqa: ARG002
        """Return what is left and what the database holds."""
        found: dict[str, Any] = {"left": None, "logged": None}
        try:
            found["left"] = self._client.balance(self._sale.sku)
            if self._sale.strategy != UNSAFE:  # which leaves no record of who ordered
                self._book.copy(self._sale.sku, begins)
                found["logged"] = self._book.count(self._sale.sku, begins)[0]
        except Error as error:
            found["trouble"] = str(error)
        return found


@contextlib.contextmanager
def open_counter(sale: Sale, url: str | None, prefix: str | None) -> Iterator[RedisCounter | SqlCounter]:
    """Connect to what the sale sells from, and to where its orders go."""
    if is_sql(sale.strategy, url):
        require_sql()
        from redislock import sql

        if url is None:
            raise ConfigurationError(f"{sale.strategy} needs a SQL database; name one by its URL")
        with sql.Client(url, timeout=sale.timeout) as database, OrderBook(url) as book:
            yield SqlCounter(sale, database, book)
        return
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(url, prefix=prefix, timeout=sale.timeout))
        into = (
            None
            if sale.database is None
            else stack.enter_context(OrderBook(sale.database, timeout=_BOOK_TIMEOUT))
        )
        yield RedisCounter(sale, client, into, prefix)
