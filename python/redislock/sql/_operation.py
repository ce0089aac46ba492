"""One operation from its first connection to its outcome: what is tried again, what failures mean.

A generator as the strategies are: it yields what it waits for, and a driver (`_places`, `asyncio`) waits.
It knows neither threads nor loops, and of databases only that a connection runs steps.
"""

from __future__ import annotations

import dataclasses
import random
import time
from typing import TYPE_CHECKING, Any, Final

from redislock._errors import (
    ClosedError,
    ConnectionError,  # noqa: A004
    OutcomeUnknownError,
    ServerError,
    TimeoutError,  # noqa: A004
)
from redislock.sql._faults import (
    AgainError,
    BusyError,
    CutError,
    ExpiredError,
    LostError,
    RefusedError,
    to_server_error,
)
from redislock.sql._strategies import Outcome, Pause, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from redislock.sql._statements import Statements, Step

__all__ = ["ACQUIRE", "Operation", "perform"]

ACQUIRE: Final = 0
"""An operation yields it to be sent a connection."""

_LEAST_PAUSE: Final = 0.02
_MOST_PAUSE: Final = 1.0
_UNCERTAIN: Final = ("lock_busy", "conflict", "lock_lost")


@dataclasses.dataclass(slots=True)
class Operation:
    """Something to be done once, by a driver: checked, and nothing was sent."""

    work: Callable[[Statements, Request], Generator[Step | Pause, Any, Any]]
    request: Request
    timeout: float
    limits: tuple[int, int]
    """Milliseconds to wait for a row's lock, and for which a transaction may stand still."""
    waits_less: bool = False
    """Whether the wait for a lock was cut short by the timeout."""
    added: float = 0.0
    """Seconds that are added to each round trip: so much farther away the database seems to be."""


def perform(
    do: Statements, operation: Operation, release: Callable[[Any], None], deadline: float
) -> Generator[Any, Any, Any]:
    """Carry the operation out; return what its strategy returned, or raise what its caller is to see."""
    judge = _Judge(operation, deadline)
    while True:
        try:
            connection = yield ACQUIRE
        except (ConnectionError, TimeoutError, ServerError, ClosedError) as error:
            if judge.unknown:
                raise _unknown(str(error)) from None
            raise
        try:
            if connection.limits != operation.limits:
                yield from connection.set_limits(operation.limits)
            return judge.certain((yield from _run(do, operation, connection)))
        except (CutError, RefusedError) as fault:
            outcome = judge.of(fault)
            if outcome is not None:
                return outcome
        except BaseException:
            if not connection.idle:
                connection.broken = True  # left in the middle of an answer
            raise
        finally:
            release(connection)
        yield judge.pause()


class _Judge:
    """Says what a fault means for an operation, and remembers whether an attempt may have been applied."""

    def __init__(self, operation: Operation, deadline: float) -> None:
        self.unknown = False
        self._operation = operation
        self._deadline = deadline
        self._pause = _LEAST_PAUSE

    def of(self, fault: CutError | RefusedError) -> Outcome | None:
        """The outcome that the fault is, or None where the operation is to be tried again."""
        late = time.monotonic() + self._pause >= self._deadline
        if isinstance(fault, CutError):
            self.unknown = self.unknown or fault.unknown
            if fault.unknown and not self._operation.request.keyed:
                raise _unknown(fault.message) from None
            if not late and not isinstance(fault, ExpiredError):
                return None
            raise (_unknown(fault.message) if self.unknown else _gave_up(fault)) from None
        if isinstance(fault, LostError):
            return self._certainly(Outcome("lock_lost", None))
        if isinstance(fault, BusyError) and not self._operation.waits_less:
            return self._certainly(Outcome("lock_busy", None))
        if isinstance(fault, AgainError) and not late:
            return None
        if self.unknown:
            raise _unknown(fault.message) from None
        if isinstance(fault, BusyError):
            raise TimeoutError(
                "the row was locked by others until the deadline; nothing was applied"
            ) from None
        raise to_server_error(fault) from None

    def certain(self, answer: Any) -> Any:
        """The answer, unless it would be a guess: an earlier attempt was written and never answered."""
        return self._certainly(answer) if isinstance(answer, Outcome) else answer

    def _certainly(self, outcome: Outcome) -> Outcome:
        if self.unknown and outcome.status in _UNCERTAIN:
            raise _unknown(outcome.status)
        return outcome

    def pause(self) -> Pause:
        """What lies between two attempts."""
        most, self._pause = self._pause, min(2 * self._pause, _MOST_PAUSE)
        return Pause(random.uniform(most / 2, most))  # noqa: S311 - spreads callers, keeps no secret


def _run(do: Statements, operation: Operation, connection: Any) -> Generator[Any, Any, Any]:
    """Drive the strategy over one connection."""
    request = operation.request
    strategy = operation.work(do, request)
    values = request.values
    try:
        step = next(strategy)
        while True:
            if isinstance(step, Pause):
                yield step
                step = strategy.send([])
                continue
            request.round_trips += 1
            request.statements += len(step.statements)
            request.transactions += step.transactions
            if operation.added:
                yield Pause(operation.added)
            try:
                rows = yield from connection.run(step, values)
            except (RefusedError, CutError) as fault:
                if isinstance(fault, RefusedError) and fault.rolled_back:
                    request.round_trips += 1
                    request.statements += 1
                step = strategy.throw(fault)
            else:
                step = strategy.send(rows)
    except StopIteration as ended:
        return ended.value


def _unknown(words: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the request was sent and never answered, so it may or may not have been applied ({words}); with an "
        "idempotency_key call again or ask outcome(), without one look at the balance and the history"
    )


def _gave_up(cut: CutError) -> Exception:
    if isinstance(cut, ExpiredError):
        return TimeoutError(f"{cut.message}; nothing was applied")
    return ConnectionError(f"the connection was lost: {cut.message}; nothing was applied")
