"""The relay: moves orders from a stock's outbox on Redis into a database, each once.

It reads as one of a consumer group, writes a batch in one transaction, and only then acknowledges and
deletes. Whenever it, the database or Redis dies, an order is in the outbox or in the database or in
both, and the database takes an order of the same id only once. So what was under way is done again. What
can never become an order is set aside, in a stream beside the outbox, and holds up no other.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from redislock import _core
from redislock._errors import (
    AuthenticationError,
    ConfigurationError,
    Error,
    PermissionDeniedError,
    SchemaError,
    ServerError,
    WrongTypeError,
)
from redislock._log import logger
from redislock._settings import environment_prefix

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from redislock._client import Client
    from redislock.scenarios.orders import OrderBook
    from redislock.sql._orders import Entry

__all__ = ["GROUP", "Relay"]

GROUP: Final = "relay"
_FIRST_PAUSE: Final = 0.02  # seconds, after a fault; twice as long each time
_LONGEST_PAUSE: Final = 0.5
_QUIET: Final = 0.005  # seconds before the outbox is looked at again, when it was empty
_LONGEST_QUIET: Final = 0.05
# Time does not heal these.
_HOPELESS: Final = (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    SchemaError,
    WrongTypeError,
)


class Relay:
    """Moves the orders of one stock, from one thread; several relays share the work.

    `batch` is how many orders go in one transaction at most. Orders that another relay was given and
    has not moved for `idle` seconds are taken over.
    """

    def __init__(
        self,
        client: Client,
        sku: str,
        book: OrderBook,
        *,
        prefix: str | None = None,
        batch: int = 500,
        idle: float = 5.0,
    ) -> None:
        if not 1 <= batch <= 100_000:  # noqa: PLR2004 - said in the sentence
            raise ValueError("batch must be from 1 to 100000")
        self.moved = 0
        """Orders that are in the database by this relay, and were not before."""
        self.again = 0
        """Orders that were there already: it, or another relay, died before it could acknowledge them."""
        self.refused = 0
        """Entries that could not become orders, and were set aside in the stream `refused_key`."""
        self.trouble = ""
        """What keeps it from moving orders at the moment; empty where nothing does."""
        self._run: Any = client._run  # noqa: SLF001 - the client's own way to wait
        self._book = book
        self._batch = batch
        self._idle = idle
        self._pause = _FIRST_PAUSE
        self._recovers = True
        self._recovered_at = 0.0
        self._outbox = _core.Outbox(
            client._options,  # noqa: SLF001 - the very server of the client
            sku,
            environment_prefix() if prefix is None else prefix,
            GROUP,
            f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
        )

    @property
    def refused_key(self) -> str:
        """The stream in which entries are kept that could not become orders."""
        return f"{self._outbox.key}:refused"

    def backlog(self) -> int:
        """How many orders wait in the outbox, those under way included."""
        count: int = self._run(self._outbox.count())
        return count

    def step(self) -> int:
        """Move one batch; how many orders that were. After an `Error` it may be called again."""
        try:
            entries = self._read()
            orders = self._sift(entries)
            if orders:
                orders = self.log(orders)
            if orders:
                self.clear(orders)
        except Error:
            self._recovers = True
            raise
        return len(entries)

    def log(self, entries: list[Entry]) -> list[Entry]:
        """Write a batch into the database; what is there now and can be cleared."""
        new = self._book.log(entries)
        self.moved += new
        if new == len(entries):
            return entries
        clashes = self._book.clashes(entries)
        self._set_aside([each for each in entries if each[0] in clashes], "its order id is another order's")
        self.again += len(entries) - new - len(clashes)
        return [each for each in entries if each[0] not in clashes]

    def clear(self, entries: list[Entry]) -> None:
        """Acknowledge and delete a batch that is in the database."""
        self._run(self._outbox.clear([each[0] for each in entries]))

    def _sift(self, entries: list[Entry]) -> list[Entry]:
        """Those that can become orders."""
        good = [each for each in entries if each[1] and each[2] and each[3] > 0 and each[5] >= 0]
        if len(good) < len(entries):
            kept = set(good)
            self._set_aside([each for each in entries if each not in kept], "it is no order")
        return good

    def _set_aside(self, entries: list[Entry], why: str) -> None:
        if not entries:
            return
        self._run(self._outbox.set_aside([each[0] for each in entries], why))
        self.refused += len(entries)
        for stream_id, order_id, *_ in entries:
            logger.error("entry %s, order %r: %s; kept in %s", stream_id, order_id, why, self.refused_key)

    def run(self, stop: threading.Event, on_step: Callable[[], object] | None = None) -> None:
        """Move orders until `stop` is set, through faults of the database and of Redis.

        `on_step` is called after each step. Raises only what time does not heal: a wrong password, a
        database of another schema.
        """
        quiet = _QUIET
        while not stop.is_set():
            moved = self._try_step(stop)
            if on_step is not None:
                on_step()
            quiet = _QUIET if moved else min(2 * quiet, _LONGEST_QUIET)
            if not moved and not self.trouble:
                stop.wait(quiet)

    def drain(self, stop: threading.Event, patience: float) -> bool:
        """Move what is left; True when the outbox is empty, False after `patience` seconds or at `stop`."""
        give_up = time.monotonic() + patience
        while not stop.is_set() and time.monotonic() < give_up:
            if self._try_step(stop) or self.trouble:
                continue
            try:
                if self.backlog() == 0:
                    return True
            except Error as error:
                self.trouble = str(error)
                continue
            self._recovers = True  # what is left was given to somebody
            stop.wait(_QUIET)
        return False

    def _try_step(self, stop: threading.Event) -> int:
        try:
            moved = self.step()
        except _HOPELESS:
            raise
        except Error as error:
            self.trouble = str(error)
            stop.wait(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return 0
        self.trouble, self._pause = "", _FIRST_PAUSE
        return moved

    def _read(self) -> list[Entry]:
        try:
            return self._read_or_recover()
        except ServerError as error:
            if "NOGROUP" not in str(error):
                raise
        self._run(self._outbox.open())
        return self._read_or_recover()

    def _read_or_recover(self) -> list[Entry]:
        """Read what was under way first, where anything may have been; now and then in any case."""
        now = time.monotonic()
        if self._recovers or now > self._recovered_at + self._idle:
            found: list[Entry] = self._run(self._outbox.claim(self._idle, self._batch))
            if found:
                return list(dict.fromkeys(found))  # its own may be told twice
            self._recovers, self._recovered_at = False, now
        fresh: list[Entry] = self._run(self._outbox.read(self._batch))
        return fresh
