"""What may go wrong between a step and its answer, as strategies see it. Knows no database.

`_operation` makes the exceptions of redislock of it.
"""

from __future__ import annotations

from typing import Final

from redislock._errors import PermissionDeniedError, SchemaError, ServerError

__all__ = [
    "UNDEFINED_TABLE",
    "AgainError",
    "BusyError",
    "CutError",
    "DuplicateError",
    "ExpiredError",
    "LostError",
    "RefusedError",
    "missing_tables",
    "to_server_error",
]

UNDEFINED_TABLE: Final = "42P01"  # SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html


class RefusedError(Exception):
    """The database answered with an error: nothing of this step was applied, and its transaction is over."""

    def __init__(self, message: str, state: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.state = state
        self.rolled_back = False
        """Whether it took a round trip to end its transaction."""


class DuplicateError(RefusedError):
    """There is such a row already: a record of this idempotency key."""


class AgainError(RefusedError):
    """A deadlock, or transactions that cannot be put in an order: this one may be tried again."""


class BusyError(RefusedError):
    """A row was locked by others for too long."""


class LostError(RefusedError):
    """The database gave the transaction up, because nothing was heard of it for longer than its lease."""


class CutError(Exception):
    """The connection ended. `unknown` says whether the step may have been applied for good."""

    def __init__(self, message: str, *, unknown: bool) -> None:
        super().__init__(message)
        self.message = message
        self.unknown = unknown


class ExpiredError(CutError):
    """The deadline passed while an answer was awaited; the connection is of no further use."""


def missing_tables() -> SchemaError:
    """What is said of a database that nobody prepared."""
    return SchemaError("this database has no tables of redislock; make them with client.migrate()")


def to_server_error(refused: RefusedError) -> ServerError:
    """What a refusal that nobody expects is to the caller."""
    if refused.state == UNDEFINED_TABLE:
        return missing_tables()
    if refused.state == "42501":
        return PermissionDeniedError(f"the database forbids it: {refused.message}")
    state = f" (SQLSTATE {refused.state})" if refused.state else ""
    return ServerError(f"the database refused: {refused.message}{state}")
