"""Moves balances and stock on Redis without races, natively, and locks what must not be done twice at once.

    >>> import redislock
    >>> redislock.init("alice", 100)
    >>> redislock.withdraw_lua("alice", 3)
    Result(status='ok', balance=97, ...)
    >>> with redislock.default_client().lock("inventory"):
    ...     count_it()

`Client` is for threads and gevent, `redislock.asyncio.Client` for asyncio. The functions of the
same names use a default client made from the environment.
"""

from __future__ import annotations

from redislock._client import Client
from redislock._coordination.entity import ANYTHING, Entity, Versioned
from redislock._coordination.once import Once
from redislock._coordination.once_base import OnceResult, OnceTurn
from redislock._coordination.rate_limit import RateLimit, RateLimitResult
from redislock._core import Health, HistoryEntry, Result, StockResult, build_info
from redislock._default import (
    balance,
    default_client,
    delete,
    deposit,
    deposit_naive,
    health,
    history,
    init,
    outcome,
    withdraw,
    withdraw_lock,
    withdraw_lua,
    withdraw_naive,
    withdraw_watch,
)
from redislock._errors import (
    AuthenticationError,
    ClosedError,
    ConcurrencyError,
    ConfigurationError,
    ConnectionError,  # noqa: A004  # meant to be caught as redislock.ConnectionError
    CorruptBalanceError,
    DeadlockError,
    Error,
    IdempotencyMismatchError,
    LockError,
    LockLostError,
    LockNotOwnedError,
    OperationCancelledError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProtocolError,
    RedirectedError,
    SchemaError,
    ServerError,
    TimeoutError,  # noqa: A004
    WrongTypeError,
)
from redislock._locks.kinds import MultiLock, ReadLock, RWLock, Semaphore, WriteLock
from redislock._locks.lock import Lock
from redislock._status import Status, StockStatus
from redislock._stock import Stock

__all__ = [
    "ANYTHING",
    "AuthenticationError",
    "Client",
    "ClosedError",
    "ConcurrencyError",
    "ConfigurationError",
    "ConnectionError",
    "CorruptBalanceError",
    "DeadlockError",
    "Entity",
    "Error",
    "Health",
    "HistoryEntry",
    "IdempotencyMismatchError",
    "Lock",
    "LockError",
    "LockLostError",
    "LockNotOwnedError",
    "MultiLock",
    "Once",
    "OnceResult",
    "OnceTurn",
    "OperationCancelledError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "ProtocolError",
    "RWLock",
    "RateLimit",
    "RateLimitResult",
    "ReadLock",
    "RedirectedError",
    "Result",
    "SchemaError",
    "Semaphore",
    "ServerError",
    "Status",
    "Stock",
    "StockResult",
    "StockStatus",
    "TimeoutError",
    "Versioned",
    "WriteLock",
    "WrongTypeError",
    "__version__",
    "balance",
    "build_info",
    "default_client",
    "delete",
    "deposit",
    "deposit_naive",
    "health",
    "history",
    "init",
    "outcome",
    "withdraw",
    "withdraw_lock",
    "withdraw_lua",
    "withdraw_naive",
    "withdraw_watch",
]

__version__: str = build_info()["version"]
