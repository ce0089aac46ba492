"""The blocking client, for plain threads and gevent.

Its methods only make an operation and wait for it; what they do is in the native core.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from redislock import _core
from redislock._coordination.factories import Coordinating
from redislock._locks.base import make_reentrant_registry
from redislock._locks.clients import register
from redislock._locks.factories import Locking
from redislock._settings import ClientOptions, common_rules, make_accounts, make_options, url_from_redis
from redislock._stock import Stocking
from redislock._waiters import BlockingWaiter

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from redislock._core import Health, HistoryEntry, Result

__all__ = ["BaseClient", "Client"]

_WAITERS = (None, "thread", "gevent")

_clients: weakref.WeakSet[BaseClient] = weakref.WeakSet()


class BaseClient:
    """What both clients share: settings, checked before anything is opened."""

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str | None = None,
        balance_key: str | None = None,
        history_limit: int = 1000,
        idempotency_ttl: float = 86400.0,
        max_retries: int | None = None,
        lock_wait: float = 1.0,
        lock_lease: float = 5.0,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._options = make_options(url, options)
        self._accounts = make_accounts(
            self._options,
            prefix=prefix,
            balance_key=balance_key,
            history_limit=history_limit,
            idempotency_ttl=idempotency_ttl,
            max_retries=max_retries,
            lock_wait=lock_wait,
            lock_lease=lock_lease,
        )
        self._stock_rules: dict[str, Any] = {
            **common_rules(prefix, max_retries),
            "idempotency_ttl": idempotency_ttl,
            "lock_wait": lock_wait,
            "lock_lease": lock_lease,
        }
        self._locks = _core.Locks(self._options)
        self._client_name = self._options.client_name
        self._reentrant = make_reentrant_registry()
        self._coordination = _core.Coordination(self._options)
        _clients.add(self)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """The same as the constructor, under redis-py's name."""
        return cls(url, **options)

    @classmethod
    def from_redis(cls, client: Any, **options: Any) -> Self:
        """Takes the connection settings of a redis-py client, not its connections."""
        url, taken = url_from_redis(client)
        return cls(url, **{**taken, **options})

    @property
    def url(self) -> str:
        """Where this client connects, without the password."""
        return self._options.url

    def keys(self, user: str | int) -> dict[str, str]:
        """The keys of an account: balance, history, lock, and what its request records begin with."""
        return self._accounts.keys(user)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.url}>"

    def _abandon_after_fork(self) -> None:
        raise NotImplementedError


class Client(Coordinating, Locking, Stocking, BaseClient):
    """Moves balances, sells stock and takes locks on one server, from any number of threads or greenlets.

    Without `url` the environment variable ``REDIS_CONN`` is used, else ``localhost:6379``. Nothing
    is opened before the first call. Options are described at `ClientOptions`; `waiter` ("thread" or
    "gevent") overrides the choice that is made at each call.

    Every method raises `ValueError`, `TypeError` or `OverflowError` for a wrong argument before
    any I/O, and a subclass of `Error` for a fault. Each takes `timeout`, the total in seconds.
    """

    def __init__(self, url: str | None = None, *, waiter: str | None = None, **options: Any) -> None:
        if waiter not in _WAITERS:
            raise ValueError("waiter must be 'thread', 'gevent' or None")
        super().__init__(url, **options)
        self._waiter = BlockingWaiter(self._options, waiter)
        self._run = self._waiter.run
        self._makes_hubs = waiter == "gevent"

    def init(
        self,
        user: str | int,
        balance: int,
        *,
        if_missing: bool = False,
        timeout: float | None = None,
    ) -> Result:
        """Sets the balance and clears the history; `if_missing=True` leaves an existing balance alone."""
        return self._run(self._accounts.init(user, balance, if_missing, timeout))

    def balance(self, user: str | int, *, timeout: float | None = None) -> int | None:
        """The balance, or None where there is no such account."""
        return self._run(self._accounts.balance(user, timeout))

    def deposit(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Adds to the balance: `ok`, `missing` or `overflow`."""
        return self._run(self._accounts.deposit(user, amount, idempotency_key, timeout))

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
        """Takes from the balance by the strategy of that name: lua, lock, watch or naive."""
        return self._run(
            self._accounts.withdraw(
                strategy, user, amount, idempotency_key, max_retries, lock_wait, lock_lease, timeout
            )
        )

    def withdraw_lua(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance in one script, one round trip: `ok`, `insufficient` or `missing`."""
        return self._run(
            self._accounts.withdraw("lua", user, amount, idempotency_key, None, None, None, timeout)
        )

    def withdraw_lock(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        lock_wait: float | None = None,
        lock_lease: float | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance under the account's lock, in two round trips.

        Waits up to `lock_wait` seconds for a held lock, then answers `lock_busy`. The commit is
        refused with `lock_lost` once the lease of `lock_lease` seconds has ended.
        """
        return self._run(
            self._accounts.withdraw(
                "lock", user, amount, idempotency_key, None, lock_wait, lock_lease, timeout
            )
        )

    def withdraw_watch(
        self,
        user: str | int,
        amount: int,
        *,
        idempotency_key: str | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Takes from the balance by WATCH and EXEC, two round trips an attempt.

        After `max_retries` repetitions that met another writer it answers `conflict`.
        """
        return self._run(
            self._accounts.withdraw("watch", user, amount, idempotency_key, max_retries, None, None, timeout)
        )

    def withdraw_naive(self, user: str | int, amount: int, *, timeout: float | None = None) -> Result:
        """Reads, computes, writes: loses updates under contention. For comparison only."""
        return self._run(self._accounts.withdraw("naive", user, amount, None, None, None, None, timeout))

    def deposit_naive(self, user: str | int, amount: int, *, timeout: float | None = None) -> Result:
        """The naive way to add. For comparison only."""
        return self._run(self._accounts.deposit_naive(user, amount, timeout))

    def history(
        self, user: str | int, limit: int | None = None, *, timeout: float | None = None
    ) -> list[HistoryEntry]:
        """At most `limit` entries, newest first; all that are kept without it."""
        return self._run(self._accounts.history(user, limit, timeout))

    def outcome(
        self, user: str | int, idempotency_key: str, *, timeout: float | None = None
    ) -> Result | None:
        """The recorded outcome of a request, or None. Never charges."""
        return self._run(self._accounts.outcome(user, idempotency_key, timeout))

    def delete(self, user: str | int, *, timeout: float | None = None) -> Result:
        """Removes the balance and its history: `ok` or `missing`. Request records live on."""
        return self._run(self._accounts.delete(user, timeout))

    def health(self, *, timeout: float | None = None) -> Health:
        """What the server says of itself; answers also when it cannot be reached."""
        return self._run(self._accounts.health(timeout))

    def close(self) -> None:
        """Closes the connections. What is under way ends with an error; later calls raise `ClosedError`."""
        self._locks.close()
        self._waiter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _abandon_after_fork(self) -> None:
        self._waiter.abandon_after_fork()


register("blocking", Client)


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._abandon_after_fork()  # noqa: SLF001  # the same module


os.register_at_fork(after_in_child=_after_fork_in_child)
