"""What both clients share: settings and arguments, checked before anything is opened."""

from __future__ import annotations

import json
import operator
import os
import urllib.parse
import weakref
from typing import TYPE_CHECKING, Any, Final

from redislock import _core
from redislock._errors import ConfigurationError, Error
from redislock._settings import environment_retries
from redislock.sql import _requests
from redislock.sql._operation import Operation
from redislock.sql._places import Backend
from redislock.sql._session import Session, parse_url
from redislock.sql._sqlite import SqliteFile, parse_path
from redislock.sql._statements import Statements
from redislock.sql._strategies import STRATEGIES, Request, deposit, deposit_naive
from redislock.sql._transfer import transfer, transfer_in_order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from redislock._core import Health, HistoryEntry, Result

    Balances: TypeAlias = Mapping[str, int] | Mapping[int, int] | Mapping[str | int, int]

__all__ = ["ON_SQLITE", "BaseClient", "open_clients"]

ON_SQLITE: Final = ("version", "atomic", "naive")
"""The strategies that exist on SQLite, which locks the whole file and no rows."""

# Whose arguments a strategy's are: the checks of the clients of Redis are these clients' as well.
_CHECKED_AS: Final = {
    "for_update": "lock",
    "version": "watch",
    "atomic": "lua",
    "serializable": "watch",
    "naive": "naive",
}
_OF_TIMEOUT: Final = 0.75  # after so much of it the server gives up waiting for a row, and says so in time
_MOST_CONNECTIONS: Final = 10_000

open_clients: weakref.WeakSet[BaseClient] = weakref.WeakSet()


class BaseClient:
    """Makes operations; how they are waited for is the client's."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 5.0,
        connect_timeout: float = 2.0,
        history_limit: int = 1000,
        idempotency_ttl: float = 86400.0,
        max_retries: int | None = None,
        lock_wait: float = 1.0,
        lock_lease: float = 5.0,
        max_connections: int = 64,
        client_name: str = "redislock",
    ) -> None:
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, not {type(url).__name__}")
        self._retries = environment_retries() if max_retries is None else max_retries
        # Nothing is opened here: it checks arguments.
        self._checks = _core.Accounts(
            _core.Options(
                "memory://",
                [("timeout", repr(float(timeout))), ("connect_timeout", repr(float(connect_timeout)))],
            ),
            history_limit=history_limit,
            idempotency_ttl=idempotency_ttl,
            max_retries=self._retries,
            lock_wait=lock_wait,
            lock_lease=lock_lease,
        )
        if isinstance(max_connections, bool) or not isinstance(max_connections, int):
            raise TypeError("max_connections must be an int")
        if not 1 <= max_connections <= _MOST_CONNECTIONS:
            raise ValueError(f"max_connections must be from 1 to {_MOST_CONNECTIONS}")
        self._timeout = float(timeout)
        self._history_limit = history_limit
        self._ttl = int(idempotency_ttl * 1000)
        self._lock_wait = lock_wait
        self._lock_lease = lock_lease
        self._limits, self._waits_less = self._limits_of(None, None, self._timeout)
        self._plain_url, self.dialect, where = _find(url, self._limits, lock_wait, client_name)
        self._backend = Backend(
            where,
            Statements(logs=history_limit > 0),
            most=max_connections,
            connect_timeout=float(connect_timeout),
        )
        open_clients.add(self)

    @property
    def url(self) -> str:
        """Where this client connects, without the password."""
        return self._plain_url

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that exist on this database."""
        return tuple(STRATEGIES) if self.dialect == "postgresql" else ON_SQLITE

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.url}>"

    def _limits_of(
        self, lock_wait: float | None, lock_lease: float | None, timeout: float
    ) -> tuple[tuple[int, int], bool]:
        """Milliseconds for the server, which is to give up before this side; whether that is early."""
        wait = self._lock_wait if lock_wait is None else lock_wait
        lease = self._lock_lease if lock_lease is None else lock_lease
        least = min(wait, _OF_TIMEOUT * timeout)
        return (max(1, int(least * 1000)), max(1, int(lease * 1000))), least < wait

    def _make(
        self,
        work: Any,
        values: dict[str, Any],
        timeout: float | None,
        *,
        keyed: bool = False,
        retries: int = 0,
        lock_wait: float | None = None,
        lock_lease: float | None = None,
    ) -> Operation:
        if timeout is None and lock_wait is None and lock_lease is None:
            limits, waits_less, timeout = self._limits, self._waits_less, self._timeout
        else:
            timeout = self._timeout if timeout is None else timeout
            limits, waits_less = self._limits_of(lock_wait, lock_lease, timeout)
        return Operation(work, Request(values, keyed, retries), timeout, limits, waits_less)

    def _user(self, user: str | int) -> str:
        name = user if isinstance(user, str) else str(operator.index(user))
        if "\0" in name:
            raise ValueError("user must not hold a NUL character, which a database's text cannot")
        return name

    def _withdraw(
        self,
        strategy: str,
        user: str | int,
        amount: int,
        key: str | None,
        timeout: float | None,
        *,
        max_retries: int | None = None,
        lock_wait: float | None = None,
        lock_lease: float | None = None,
    ) -> Operation:
        work = STRATEGIES.get(strategy)
        if work is None:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}")
        if self.dialect == "sqlite" and strategy not in ON_SQLITE:
            raise ConfigurationError(
                f"there is no strategy {strategy!r} on SQLite, which locks the whole file and no rows; "
                f"use {', '.join(ON_SQLITE)}, or PostgreSQL"
            )
        self._checks.withdraw(
            _CHECKED_AS[strategy], user, amount, key, max_retries, lock_wait, lock_lease, timeout
        )
        values = self._values(user, amount, key, "withdraw", strategy)
        values["logged"] = values["amount"]
        return self._make(
            work,
            values,
            timeout,
            keyed=key is not None,
            retries=self._retries if max_retries is None else max_retries,
            lock_wait=lock_wait,
            lock_lease=lock_lease,
        )

    def _deposit(self, user: str | int, amount: int, key: str | None, timeout: float | None) -> Operation:
        self._checks.deposit(user, amount, key, timeout)
        values = self._values(user, amount, key, "deposit", "deposit")
        return self._make(deposit, values, timeout, keyed=key is not None)

    def _deposit_naive(self, user: str | int, amount: int, timeout: float | None) -> Operation:
        self._checks.deposit_naive(user, amount, timeout)
        return self._make(
            deposit_naive, self._values(user, amount, None, "deposit", "deposit_naive"), timeout
        )

    def _transfer(
        self,
        source: str | int,
        target: str | int,
        amount: int,
        timeout: float | None,
        *,
        in_order: bool,
        max_retries: int | None,
    ) -> Operation:
        if self.dialect == "sqlite":
            raise ConfigurationError("a transfer locks rows, which SQLite does not; it exists on PostgreSQL")
        for user in (source, target):
            self._checks.withdraw("watch", user, amount, None, max_retries, None, None, timeout)
        values = self._values(source, amount, None, "transfer", "transfer")
        values["logged"], values["other"] = values["amount"], self._user(target)
        if values["user"] == values["other"]:
            raise ValueError("source and target must be two accounts")
        work = transfer_in_order if in_order else transfer
        retries = self._retries if max_retries is None else max_retries
        # A deadlock is noticed after a second, by default: a wait for a row must not end before.
        wait = self._timeout if timeout is None else timeout
        return self._make(work, values, timeout, retries=retries, lock_wait=wait)

    def _values(
        self, user: str | int, amount: int, key: str | None, operation: str, strategy: str
    ) -> dict[str, Any]:
        number = operator.index(amount)
        if key is not None and "\0" in key:
            raise ValueError("idempotency_key must not hold a NUL character, which a database's text cannot")
        return {
            "user": self._user(user),
            "amount": number,
            "logged": -number,
            "key": key,
            "operation": operation,
            "strategy": strategy,
            "ttl": self._ttl,
            "limit": self._history_limit,
        }

    def _init(self, user: str | int, balance: int, if_missing: bool, timeout: float | None) -> Operation:
        self._checks.init(user, balance, if_missing, timeout)
        values = {"user": self._user(user), "balance": operator.index(balance)}
        return self._make(_requests.init_if_missing if if_missing else _requests.init, values, timeout)

    def _reset(self, balances: Balances, timeout: float | None) -> Operation:
        for user, balance in balances.items():
            self._checks.init(user, balance, False, timeout)
        named = {self._user(user): operator.index(balance) for user, balance in balances.items()}
        wanted = json.dumps([{"user_id": user, "balance": balance} for user, balance in named.items()])
        return self._make(_requests.reset, {"wanted": wanted}, timeout)

    def _balance(self, user: str | int, timeout: float | None) -> Operation:
        self._checks.balance(user, timeout)
        return self._make(_requests.balance, {"user": self._user(user)}, timeout)

    def _history(self, user: str | int, limit: int | None, timeout: float | None) -> Operation:
        self._checks.history(user, limit, timeout)
        most = self._history_limit if limit is None else min(operator.index(limit), self._history_limit)
        return self._make(_requests.history, {"user": self._user(user), "limit": most}, timeout)

    def _outcome(self, user: str | int, key: str, timeout: float | None) -> Operation:
        self._checks.outcome(user, key, timeout)
        return self._make(_requests.outcome, {"user": self._user(user), "key": key}, timeout)

    def _delete(self, user: str | int, timeout: float | None) -> Operation:
        self._checks.delete(user, timeout)
        return self._make(_requests.delete, {"user": self._user(user)}, timeout)

    def _health(self, timeout: float | None) -> Operation:
        self._checks.health(timeout)
        return self._make(_requests.health, {}, timeout)

    def _to_health(self, found: Any, error: Error | None, elapsed: int) -> Health:
        return _requests.to_health(self.dialect, found, error, elapsed)

    def _abandon(self) -> None:
        raise NotImplementedError


def to_result(operation: Operation, outcome: Any, elapsed: int) -> Result:
    """What a change's caller gets."""
    attempts = max(1, operation.request.attempts)
    return _core._make_result(outcome.status, outcome.balance, attempts, elapsed, outcome.replayed)  # noqa: SLF001


def to_entries(rows: list[tuple[Any, ...]]) -> list[HistoryEntry]:
    """What a history's caller gets."""
    make, text = _core._make_entry, _requests.as_text  # noqa: SLF001
    return [make(int(a), int(b), int(t), text(s), text(k)) for a, b, t, s, k in rows]


def _find(
    url: str, limits: tuple[int, int], lock_wait: float, name: str
) -> tuple[str, str, Session | SqliteFile]:
    scheme = url.partition(":")[0]
    if scheme in ("postgresql", "postgres") and "://" in url:
        return _without_password(url), "postgresql", Session(parse_url(url), limits=limits, name=name)
    if url.startswith("sqlite:///"):
        return url, "sqlite", SqliteFile(parse_path(url), lock_wait=lock_wait)
    # The rest is not repeated: it may hold a password.
    raise ConfigurationError(
        "a database is named by its URL: postgresql://user:password@host:5432/database, or sqlite:///file.db"
    )


def _without_password(url: str) -> str:
    parameters = parse_url(url)
    user = urllib.parse.quote(str(parameters.get("user", "")), safe="")
    host = str(parameters.get("host", ""))
    port = f":{parameters['port']}" if "port" in parameters else ""
    database = urllib.parse.quote(str(parameters.get("dbname", "")), safe="")
    at = f"{user}@" if user else ""
    if host.startswith("/"):
        asked = {"host": host} | ({"port": parameters["port"]} if port else {})
        return f"postgresql://{at}/{database}?{urllib.parse.urlencode(asked, safe='/')}"
    return f"postgresql://{at}{f'[{host}]' if ':' in host else host}{port}/{database}"


def _after_fork_in_child() -> None:
    for client in list(open_clients):
        client._abandon()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork_in_child)
