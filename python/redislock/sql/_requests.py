"""What is asked of an account besides changing it by an amount, in the manner of `_strategies`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from redislock import _core
from redislock._errors import ServerError
from redislock.sql._strategies import Outcome, Request, Rows, as_text

if TYPE_CHECKING:
    from collections.abc import Generator

    from redislock._core import Health
    from redislock._errors import Error
    from redislock.sql._statements import Statements, Step
    from redislock.sql._strategies import Pause

    Asking = Generator[Step | Pause, list[Rows], Any]

__all__ = [
    "as_text",
    "balance",
    "delete",
    "health",
    "history",
    "init",
    "init_if_missing",
    "outcome",
    "reset",
    "to_health",
]

_RISKS: Final = (
    ("fsync", "off", "fsync is off: a crash of the machine may lose or damage everything; use fsync = on"),
    ("synchronous_commit", "off", "synchronous_commit is off: a crash loses the last moments; use on"),
    ("full_page_writes", "off", "full_page_writes is off: a crash may leave torn pages; use on"),
)


def init(do: Statements, request: Request) -> Asking:
    """Sets a balance and clears the history."""
    yield do.init
    return Outcome("ok", request.values["balance"])


def init_if_missing(do: Statements, request: Request) -> Asking:
    """Opens an account, or leaves the one that is there alone."""
    _, rows = yield do.open
    return Outcome("ok", int(rows[0][0]))


def reset(do: Statements, request: Request) -> Asking:
    """Sets several balances and clears their histories, all or nothing."""
    yield do.reset
    return Outcome("ok", None)


def balance(do: Statements, request: Request) -> Asking:
    """The balance, or None."""
    [rows] = yield do.read[0]
    return int(rows[0][0]) if rows else None


def history(do: Statements, request: Request) -> Asking:
    """The newest changes, newest first."""
    [rows] = yield do.history
    return rows


def outcome(do: Statements, request: Request) -> Asking:
    """The recorded outcome of a request, or None."""
    [rows] = yield do.record
    if not rows:
        return None
    _, _, status, left = rows[0]
    return Outcome(as_text(status), int(left), replayed=True)


def delete(do: Statements, request: Request) -> Asking:
    """Removes the account and its history."""
    rows, _ = yield do.remove
    return Outcome("ok" if rows else "missing", None)


def health(do: Statements, request: Request) -> Asking:
    """What the database says of itself."""
    [rows] = yield do.health
    return [as_text(each) for each in rows[0]]


def to_health(dialect: str, found: Any, error: Error | None, elapsed: int) -> Health:
    """What health's caller gets."""
    make = _core._make_health  # noqa: SLF001
    if error is not None and not isinstance(error, ServerError):
        return make(False, 0, "", "", "", [], str(error), {})
    if found is None:
        return make(True, elapsed, dialect, "", "", [str(error)], "", {})
    version, role, *settings = found
    names = (
        ("fsync", "synchronous_commit", "full_page_writes") if dialect == "postgresql" else ("journal_mode",)
    )
    details = dict(zip(names, settings, strict=False))
    warnings = [words for name, value, words in _RISKS if details.get(name) == value]
    if role != "primary":
        warnings.append("this server is a replica: it refuses writes; connect to its primary")
    return make(True, elapsed, dialect, version, role, warnings, "", details)
