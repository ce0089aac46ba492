"""Withdrawals and deposits on PostgreSQL and SQLite, with the results and errors of the Redis client.

    >>> from redislock import sql
    >>> client = sql.connect("postgresql://shop@localhost/shop")
    >>> client.migrate()
    >>> client.init("alice", 100)
    >>> client.withdraw_for_update("alice", 3)
    Result(status='ok', balance=97, ...)

`Client` is for threads and gevent, `redislock.sql.asyncio.Client` for asyncio. The tables may be queried with
SQLAlchemy Core: they are in `redislock.sql.tables`. Needs the extra ``redislock[sql]``.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from redislock._errors import ClosedError, Error
from redislock._waiters import hub_of_this_thread
from redislock.sql import _schema as tables
from redislock.sql._base import BaseClient, to_entries, to_result
from redislock.sql._places import HubPlace, ThreadPlace
from redislock.sql._postgres_server import PrivatePostgres, find_postgres
from redislock.sql._strategies import STRATEGIES as _STRATEGIES

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from redislock._core import Health, HistoryEntry, Result
    from redislock.sql._base import Balances
    from redislock.sql._operation import Operation

__all__ = ["STRATEGIES", "Client", "PrivatePostgres", "connect", "find_postgres", "is_sql_url", "tables"]

STRATEGIES: tuple[str, ...] = tuple(_STRATEGIES)
"""The names of all strategies; `Client.strategies` has those of its database."""

_WAITERS = (None, "thread", "gevent")


def is_sql_url(url: str) -> bool:
    """Whether a URL is of a database that this package speaks to."""
    return url.startswith(("postgresql://", "postgres://", "sqlite:"))


def connect(url: str, **options: Any) -> Client:
    """A client of the database that the URL names; nothing is opened before the first call."""
    return Client(url, **options)


class Client(BaseClient):
    """Moves balances in one database, from any number of threads or greenlets.

    The methods are those of `redislock.Client`, with the same results, statuses and errors; so are the
    options `timeout`, `connect_timeout`, `history_limit`, `idempotency_ttl`, `max_retries`, `lock_wait` and
    `lock_lease`. `lock_wait` is how long a statement waits for a row that others have locked (then
    `lock_busy`), `lock_lease` how long a transaction may stand still before PostgreSQL gives it up (then
    `lock_lost`). `max_connections` bounds the connections of the threads together, and of each gevent hub.
    """

    def __init__(self, url: str, *, waiter: str | None = None, **options: Any) -> None:
        if waiter not in _WAITERS:
            raise ValueError("waiter must be 'thread', 'gevent' or None")
        super().__init__(url, **options)
        self._kind = waiter
        self._closed = False
        self._lock = threading.Lock()
        self._threads = ThreadPlace(self._backend)
        self._hubs: dict[int, HubPlace] = {}

    def migrate(self, *, timeout: float | None = None) -> None:
        """Makes the tables where there are none. Several processes may call it at once."""
        place = self._place()
        asked = self._timeout if timeout is None else timeout
        if place is not None and self.dialect == "postgresql":
            place.migrate(asked)
        elif place is not None:
            place.hub.threadpool.apply(self._threads.migrate, (asked,))
        else:
            self._threads.migrate(asked)

    def init(
        self, user: str | int, balance: int, *, if_missing: bool = False, timeout: float | None = None
    ) -> Result:
        """Sets the balance and clears the history; `if_missing=True` leaves an existing balance alone."""
        return self._change(self._init(user, balance, if_missing, timeout))

    def reset(self, balances: Balances, *, timeout: float | None = None) -> None:
        """Sets several balances and clears their histories, all or nothing."""
        self._run(self._reset(balances, timeout))

    def balance(self, user: str | int, *, timeout: float | None = None) -> int | None:
        """The balance, or None where there is no such account."""
        found: int | None = self._run(self._balance(user, timeout))
        return found

    def deposit(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Adds to the balance in one statement: `ok`, `missing` or `overflow`."""
        return self._change(self._deposit(user, amount, idempotency_key, timeout))

    def deposit_naive(self, user: str | int, amount: int, *, timeout: float | None = None) -> Result:
        """The naive way to add. For comparison only."""
        return self._change(self._deposit_naive(user, amount, timeout))

    def withdraw(
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
        return self._change(
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

    def withdraw_for_update(
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
        return self._change(
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

    def withdraw_version(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance if its version is still the one that was read, two round trips an attempt.

        After `max_retries` repetitions that met another writer it answers `conflict`.
        """
        return self._change(
            self._withdraw("version", user, amount, idempotency_key, timeout, max_retries=max_retries)
        )

    def withdraw_atomic(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance by UPDATE ... WHERE balance >= amount, one round trip."""
        return self._change(self._withdraw("atomic", user, amount, idempotency_key, timeout))

    def withdraw_serializable(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance in a SERIALIZABLE transaction, tried again where PostgreSQL refuses it.

        After `max_retries` repetitions it answers `conflict`.
        """
        return self._change(
            self._withdraw("serializable", user, amount, idempotency_key, timeout, max_retries=max_retries)
        )

    def withdraw_naive(self, user: str | int, amount: int, *, timeout: float | None = None) -> Result:
        """Reads, computes, writes: loses updates under contention. For comparison only."""
        return self._change(self._withdraw("naive", user, amount, None, timeout))

    def transfer(
        self,
        source: str | int,
        target: str | int,
        amount: int,
        *,
        in_order: bool = True,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Moves money from one account to another, in one transaction that locks both. PostgreSQL only.

        `in_order=False` locks the source first: two transfers in opposite directions may then wait for each
        other, until PostgreSQL refuses one of them after a second. It is tried again, which `attempts` tells;
        after `max_retries` repetitions it is a `conflict`. `missing`, `insufficient` and `overflow` are as
        elsewhere; the balance is the source's.
        """
        return self._change(
            self._transfer(source, target, amount, timeout, in_order=in_order, max_retries=max_retries)
        )

    def history(
        self, user: str | int, limit: int | None = None, *, timeout: float | None = None
    ) -> list[HistoryEntry]:
        """At most `limit` entries, newest first; all that are kept without it."""
        return to_entries(self._run(self._history(user, limit, timeout)))

    def outcome(
        self, user: str | int, idempotency_key: str, *, timeout: float | None = None
    ) -> Result | None:
        """The recorded outcome of a request, or None. Never charges."""
        operation = self._outcome(user, idempotency_key, timeout)
        begun = time.monotonic_ns()
        found = self._run(operation)
        return None if found is None else to_result(operation, found, time.monotonic_ns() - begun)

    def delete(self, user: str | int, *, timeout: float | None = None) -> Result:
        """Removes the balance and its history: `ok` or `missing`. Request records live on."""
        return self._change(self._delete(user, timeout))

    def health(self, *, timeout: float | None = None) -> Health:
        """What the database says of itself; answers also when it cannot be reached."""
        operation = self._health(timeout)
        begun = time.monotonic_ns()
        try:
            found = self._run(operation)
        except ClosedError:
            raise
        except Error as error:
            return self._to_health(None, error, time.monotonic_ns() - begun)
        return self._to_health(found, None, time.monotonic_ns() - begun)

    def close(self) -> None:
        """Closes the connections. What is under way ends with an error; later calls raise `ClosedError`."""
        with self._lock:
            self._closed = True
            hubs, self._hubs = self._hubs, {}
        self._threads.close()
        for place in hubs.values():
            place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _change(self, operation: Operation) -> Result:
        begun = time.monotonic_ns()
        outcome = self._run(operation)
        return to_result(operation, outcome, time.monotonic_ns() - begun)

    def _run(self, operation: Operation) -> Any:
        place = self._place()
        if place is None:
            return self._threads.run(operation)
        if self.dialect == "sqlite":  # its calls block: not in the hub's thread
            return place.hub.threadpool.apply(self._threads.run, (operation,))
        return place.run(operation)

    def _place(self) -> HubPlace | None:
        """Where this caller waits: None for a thread."""
        if self._kind == "thread":
            return None
        hub = hub_of_this_thread()
        if hub is None:
            if self._kind != "gevent":
                return None
            import gevent

            hub = gevent.get_hub()
        place = self._hubs.get(id(hub))
        if place is not None and place.hub is hub:  # ids are reused
            return place
        with self._lock:
            if self._closed:
                raise ClosedError("the client is closed; make a new one")
            for key in [key for key, each in self._hubs.items() if each.orphaned]:
                self._hubs.pop(key).close()
            place = self._hubs[id(hub)] = HubPlace(self._backend, hub)
            return place

    def _abandon(self) -> None:
        self._lock = threading.Lock()
        self._threads.abandon()
        hubs, self._hubs = self._hubs, {}
        for place in hubs.values():
            place.abandon()
