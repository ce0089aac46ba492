"""The strategies: each is a generator that yields steps, is sent their rows, and returns how it ended.

They do no I/O and wait for nothing, so that one text serves threads, greenlets and asyncio, PostgreSQL and
SQLite. What a step refuses is thrown into them; what they do not catch ends the operation, or has it
repeated, which is for the runner to decide.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redislock._errors import IdempotencyMismatchError
from redislock.sql._faults import AgainError, CutError, DuplicateError, RefusedError
from redislock.sql._statements import MOST, TRIM_EVERY, Statements, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

__all__ = ["STRATEGIES", "Outcome", "Pause", "Request", "as_text", "pause"]

_LEAST_PAUSE: Final = 0.00025
_MOST_PAUSE: Final = 0.016


@dataclasses.dataclass(slots=True)
class Request:
    """What is asked for. `values` holds the parameters of the statements, by name."""

    values: dict[str, Any]
    keyed: bool = False
    retries: int = 0
    attempts: int = 0
    """Attempts so far; it counts on where the connection was lost and the strategy began anew."""
    round_trips: int = 0
    statements: int = 0
    transactions: int = 0
    """What it took of the database; a step that stands alone is a transaction."""


@dataclasses.dataclass(frozen=True)
class Pause:
    """A strategy yields it to wait for so many seconds."""

    seconds: float


class Outcome(NamedTuple):
    """How a change ended."""

    status: str
    balance: int | None
    replayed: bool = False


Rows = list[tuple[Any, ...]]

if TYPE_CHECKING:
    Working = Generator[Step | Pause, list[Rows], Outcome]
    Strategy = Callable[[Statements, Request], Working]


def withdraw_atomic(do: Statements, request: Request) -> Working:
    """One statement: the balance is taken from where it suffices."""
    return (yield from _change_atomically(do, request, do.take, "insufficient"))


def deposit(do: Statements, request: Request) -> Working:
    """One statement, as `withdraw_atomic`."""
    return (yield from _change_atomically(do, request, do.add, "overflow"))


def _change_atomically(do: Statements, request: Request, steps: Sequence[Step], refusal: str) -> Working:
    while True:
        request.attempts += 1
        try:
            [rows] = yield steps[request.keyed]
        except DuplicateError:
            found = yield from _replay_or_forget(do, request)
            if found is not None:
                return found
            continue
        if rows:
            return (yield from _done(do, request, rows))
        rows, *records = yield do.read[request.keyed]
        found = _recorded(request, records) or _refusal(request, rows, refusal)
        if found is None:
            continue  # it has become possible since
        kept = yield from _keep(do, request, found, do.keep)
        if kept is not None:
            return kept


def withdraw_for_update(do: Statements, request: Request) -> Working:
    """A transaction that locks the row, decides here, and writes."""
    return (yield from _in_transaction(do, request, do.lock))


def withdraw_serializable(do: Statements, request: Request) -> Working:
    """A transaction that reads, decides here and writes, refused where no order would explain it."""
    return (yield from _in_transaction(do, request, do.begin_serializable))


def _in_transaction(do: Statements, request: Request, begin: Sequence[Step]) -> Working:
    values = request.values
    last = request.attempts + 1 + request.retries
    while True:
        request.attempts += 1
        try:
            _, rows, *records = yield begin[request.keyed]
            found = _recorded(request, records) or _refusal(request, rows, "insufficient")
            if found is None:
                values["balance"] = int(rows[0][0]) - values["amount"]
                rows, _ = yield do.commit_write[request.keyed]
                return (yield from _done(do, request, rows))
            if not request.keyed or found.replayed or found.status == "missing":
                yield do.rollback
                return found
            values["status"], values["balance"] = found.status, found.balance
            yield do.commit_keep
        except DuplicateError:
            # Where the row was locked only a record that has expired is in the way; where it was not,
            # another of the same key may have come first.
            again = yield from _replay_or_forget(do, request)
            if again is not None:
                return again
        except AgainError:
            if request.attempts >= last:
                return Outcome("conflict", None)
            yield pause(request.attempts)
        else:
            return found


def withdraw_version(do: Statements, request: Request) -> Working:
    """Reads balance and version, decides here, and writes if the version is still the same."""
    values = request.values
    last = request.attempts + 1 + request.retries
    while True:
        request.attempts += 1
        rows, *records = yield do.read_version[request.keyed]
        found = _recorded(request, records) or _refusal(request, rows, "insufficient")
        if found is not None:
            found = yield from _keep(do, request, found, do.keep)
            if found is not None:
                return found
            continue
        values["read"], values["seen"] = int(rows[0][0]), int(rows[0][1])
        values["balance"] = values["read"] - values["amount"]
        try:
            [rows] = yield do.swap[request.keyed]
        except DuplicateError:
            found = yield from _replay_or_forget(do, request)
            if found is not None:
                return found
            continue
        if rows:
            return (yield from _done(do, request, rows))
        if request.attempts >= last:
            return Outcome("conflict", None)
        yield pause(request.attempts)


def withdraw_naive(do: Statements, request: Request) -> Working:
    """Reads, computes here, writes: whatever happened in between is overwritten."""
    request.attempts += 1
    [rows] = yield do.read[0]
    found = _refusal(request, rows, "insufficient")
    if found is not None:
        return found
    request.values["balance"] = int(rows[0][0]) - request.values["amount"]
    [rows] = yield do.overwrite
    return (yield from _done(do, request, rows))


def deposit_naive(do: Statements, request: Request) -> Working:
    """The naive way to add."""
    request.attempts += 1
    [rows] = yield do.read[0]
    found = _refusal(request, rows, "overflow")
    if found is not None:
        return found
    request.values["balance"] = int(rows[0][0]) + request.values["amount"]
    [rows] = yield do.overwrite
    return (yield from _done(do, request, rows))


def _done(do: Statements, request: Request, rows: Rows) -> Working:
    """The change was made. Now and then what is too old is cleared away; a failure there changes nothing."""
    if not rows:
        return Outcome("missing", None)  # the account was deleted since it was read
    if int(rows[0][1]) % TRIM_EVERY == 0:
        with contextlib.suppress(RefusedError, CutError):
            if do.logs:
                yield do.trim
            if request.keyed:
                yield do.sweep
    return Outcome("ok", int(rows[0][0]))


def _refusal(request: Request, rows: Rows, word: str) -> Outcome | None:
    """Why the change cannot be made, or None where it can."""
    if not rows:
        return Outcome("missing", None)
    balance, amount = int(rows[0][0]), request.values["amount"]
    possible = balance >= amount if word == "insufficient" else balance <= MOST - amount
    return None if possible else Outcome(word, balance)


def _recorded(request: Request, records: Sequence[Rows]) -> Outcome | None:
    """The outcome of an earlier request with this key."""
    if not records or not records[0]:
        return None
    operation, amount, status, balance = records[0][0]
    if (as_text(operation), int(amount)) != (request.values["operation"], request.values["amount"]):
        raise IdempotencyMismatchError(
            f"idempotency_key '{request.values['key']}' was used for another operation or amount on this "
            "account; nothing was changed; use a new key"
        )
    return Outcome(as_text(status), int(balance), replayed=True)


def _keep(
    do: Statements, request: Request, found: Outcome, step: Step
) -> Generator[Step | Pause, list[Rows], Outcome | None]:
    """Records a refusal, so that it is told again; None where there was an expired record, which is gone."""
    if not request.keyed or found.replayed or found.status == "missing":
        return found
    request.values["status"], request.values["balance"] = found.status, found.balance
    try:
        yield step
    except DuplicateError:
        return (yield from _replay_or_forget(do, request))
    return found


def _replay_or_forget(
    do: Statements, request: Request
) -> Generator[Step | Pause, list[Rows], Outcome | None]:
    """A record is in the way: its outcome, or None where it has expired and is gone now."""
    [rows] = yield do.record
    found = _recorded(request, [rows])
    if found is None:
        yield do.forget
    return found


def pause(attempts: int) -> Pause:
    """What lies between two attempts: more, the more there were."""
    most = min(_MOST_PAUSE, _LEAST_PAUSE * 2 ** min(attempts, 10))
    return Pause(random.uniform(most / 4, most))  # noqa: S311 - spreads callers, keeps no secret


def as_text(value: str | bytes) -> str:
    """PostgreSQL's text comes as bytes."""
    return value.decode() if isinstance(value, bytes) else value


STRATEGIES: Final[dict[str, Strategy]] = {
    "for_update": withdraw_for_update,
    "version": withdraw_version,
    "atomic": withdraw_atomic,
    "serializable": withdraw_serializable,
    "naive": withdraw_naive,
}
