"""The exceptions: one small tree under `Error`.

Where a built-in says the same, the exception is also that, so that ``except ConnectionError``
catches what a reader expects. `OutcomeUnknownError` is deliberately neither a `ConnectionError` nor
a `TimeoutError`: code that retries on those would charge twice.
"""

from __future__ import annotations

import builtins
from typing import Final

__all__ = [
    "AuthenticationError",
    "ClosedError",
    "ConfigurationError",
    "ConnectionError",
    "CorruptBalanceError",
    "Error",
    "IdempotencyMismatchError",
    "OperationCancelledError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "ProtocolError",
    "RedirectedError",
    "ServerError",
    "TimeoutError",
    "WrongTypeError",
]


class Error(Exception):
    """The root of everything that redislock raises besides wrong arguments."""


class ConfigurationError(Error, ValueError):
    """A URL, an option or an environment variable cannot be used. Nothing was sent."""


class ConnectionError(Error, builtins.ConnectionError):  # noqa: A001  # caught as redislock.ConnectionError
    """No connection could be made or kept. Nothing was applied."""


class AuthenticationError(ConnectionError):
    """The server refused the user name or the password."""


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001  # caught as redislock.TimeoutError
    """The deadline passed before the request could have been applied. Nothing was applied."""


class OutcomeUnknownError(Error):
    """The request was written and never answered: it may or may not have been applied.

    With an ``idempotency_key`` asking again is safe, and ``client.outcome(user, key)`` tells what
    was recorded without charging. Without one, compare the balance or the history first.
    """


class ProtocolError(Error):
    """The peer does not speak the Redis protocol, or exceeds a limit."""


class ServerError(Error):
    """The server answered with an error and applied nothing (BUSY, OOM, MISCONF, ...)."""


class PermissionDeniedError(ServerError):
    """The server's ACL forbids a command that is needed."""


class RedirectedError(ServerError):
    """A cluster node answered that another node holds the key."""


MAY_HAVE_MOVED: Final = (OutcomeUnknownError, ProtocolError)
"""What a change ends in that may or may not have been applied: all others say that it was not."""


class WrongTypeError(ServerError):
    """A history or record key holds another type. Nothing was changed."""


class CorruptBalanceError(Error, ValueError):
    """The stored balance is not a canonical integer. It was left as it is."""


class IdempotencyMismatchError(Error, ValueError):
    """The idempotency key was used for another operation or amount. Nothing was changed."""


class OperationCancelledError(Error):
    """The operation was cancelled before it was written. Nothing was applied."""


class ClosedError(Error, RuntimeError):
    """The client is closed."""
