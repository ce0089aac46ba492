"""The exceptions: one small tree under `Error`.

Where a built-in says the same, the exception is also that, so that ``except ConnectionError``
catches what a reader expects. `OutcomeUnknownError` is deliberately neither a `ConnectionError` nor
a `TimeoutError`: code that retries on those would charge twice.

The errors of locks are also redis-py's `LockError` and `LockNotOwnedError` where that is loaded when
they are raised, and so are all others that a lock raises which runs on a redis-py client: programs
which came from it catch what they did before. It is never imported from here.
"""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

__all__ = [
    "AuthenticationError",
    "ClosedError",
    "ConcurrencyError",
    "ConfigurationError",
    "ConnectionError",
    "CorruptBalanceError",
    "DeadlockError",
    "Error",
    "IdempotencyMismatchError",
    "LockError",
    "LockLostError",
    "LockNotOwnedError",
    "OperationCancelledError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "ProtocolError",
    "RedirectedError",
    "SchemaError",
    "ServerError",
    "TimeoutError",
    "WrongTypeError",
]


class Error(Exception):
    """The root of everything that redislock raises besides wrong arguments."""

    _redis_name: ClassVar[str | None] = None  # redis-py's class of the same meaning

    __repr__ = Exception.__repr__  # redis-py's leaves the message out

    def __reduce__(self) -> tuple[Any, ...] | str:
        plain = _plain.get(type(self))
        return super().__reduce__() if plain is None else (plain, self.args, _own(self))


class ConfigurationError(Error, ValueError):
    """A URL, an option or an environment variable cannot be used. Nothing was sent."""


class ConnectionError(Error, builtins.ConnectionError):  # noqa: A001  # caught as redislock.ConnectionError
    """No connection could be made or kept. Nothing was applied."""

    _redis_name = "ConnectionError"


class AuthenticationError(ConnectionError):
    """The server refused the user name or the password."""

    _redis_name = "AuthenticationError"


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001  # caught as redislock.TimeoutError
    """The deadline passed before the request could have been applied. Nothing was applied."""

    _redis_name = "TimeoutError"


class OutcomeUnknownError(Error):
    """The request was written and never answered: it may or may not have been applied.

    With an ``idempotency_key`` asking again is safe, and ``client.outcome(user, key)`` tells what
    was recorded without charging. Without one, compare the balance or the history first.
    """

    _redis_name = "RedisError"


class ProtocolError(Error):
    """The peer does not speak the Redis protocol, or exceeds a limit."""

    _redis_name = "InvalidResponse"


class ServerError(Error):
    """The server answered with an error and applied nothing (BUSY, OOM, MISCONF, ...)."""

    _redis_name = "ResponseError"


class PermissionDeniedError(ServerError):
    """The server's ACL forbids a command that is needed."""

    _redis_name = "NoPermissionError"


class RedirectedError(ServerError):
    """A cluster node answered that another node holds the key."""


class SchemaError(ServerError):
    """The database's tables of redislock are missing, of another version or not redislock's."""


MAY_HAVE_MOVED: Final = (OutcomeUnknownError, ProtocolError)
"""What a change ends in that may or may not have been applied: all others say that it was not."""


class WrongTypeError(ServerError):
    """A key holds another type than the operation needs. Nothing was changed."""


class CorruptBalanceError(Error, ValueError):
    """The stored balance is not a canonical integer. It was left as it is."""


class IdempotencyMismatchError(Error, ValueError):
    """The idempotency key was used for another operation or amount. Nothing was changed."""


class ConcurrencyError(Error):
    """An entity is not what the write asked for, since somebody else wrote. Nothing was changed.

    `etag` and `value` are the latest ones, both None where there is none; `key` is the entity's.
    """

    def __init__(
        self, message: str = "", *, key: str | bytes = "", etag: str | None = None, value: Any = None
    ) -> None:
        super().__init__(message)
        self.key = key
        self.etag = etag
        self.value = value


class OperationCancelledError(Error):
    """The operation was cancelled before it was written. Nothing was applied."""


class ClosedError(Error, RuntimeError):
    """The client is closed."""


class LockError(Error, ValueError):
    """A lock cannot be had, or not be given back. `lock_name` is its name."""

    _redis_name = "LockError"

    def __new__(cls, *args: object, **_: object) -> Self:
        error: Self = super().__new__(_with_redis(cls), *args)
        error.lock_name = None
        return error

    def __init__(self, message: str | None = None, lock_name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.lock_name = lock_name

    def __reduce__(self) -> tuple[Callable[..., LockError], tuple[Any, ...]]:
        return _remake, (_plain.get(type(self), type(self)), self.args, _own(self))


class LockNotOwnedError(LockError):
    """The lock is not, or no longer, held by this owner."""

    _redis_name = "LockNotOwnedError"


class LockLostError(LockNotOwnedError):
    """The lease ended, or its renewal was refused, while the lock was thought to be held."""


class DeadlockError(LockError):
    """Waiting would never end. `parties`: who waits for which lock since when, this waiter first.

    Each is a tuple of the owner, the lock's name and the time in seconds since 1970.
    """

    def __init__(
        self,
        message: str | None = None,
        parties: Iterable[tuple[str, str, float]] = (),
        lock_name: str | None = None,
    ) -> None:
        super().__init__(message, lock_name)
        self.parties = list(parties)


# What redis-py's classes add to an instance; not pickled, for who reads it may not have redis-py.
_OF_REDIS = ("error_type", "status_code")

_combined: dict[type[Error], type[Error]] = {}
_plain: dict[type[Error], type[Error]] = {}


def _own(error: Error) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name not in _OF_REDIS}


def _with_redis(cls: type[Error]) -> type[Any]:
    """`cls`, or where redis-py is loaded a class that is also redis-py's of that meaning."""
    if cls._redis_name is None:
        return cls
    known = _combined.get(cls)
    if known is not None:
        return known
    exceptions = sys.modules.get("redis.exceptions")
    theirs = getattr(exceptions, cls._redis_name, None)  # None too while it is being imported
    if theirs is None or issubclass(cls, theirs):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    both: type[Error] = type(cls.__name__, (cls, theirs), names)
    _plain[both] = cls
    return _combined.setdefault(cls, both)


def as_of_redis_py(error: Error) -> Error:
    """The same error, which is also redis-py's of that meaning."""
    both = _with_redis(type(error))
    if both is type(error):
        return error
    made: Error = both(*error.args)
    return made.with_traceback(error.__traceback__)


def _remake(cls: type[LockError], args: tuple[Any, ...], own: dict[str, Any]) -> LockError:
    error = cls.__new__(cls, *args)
    LockError.__init__(error, *args[:1])
    error.args = args
    vars(error).update(own)
    return error
