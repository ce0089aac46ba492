"""A transfer between two accounts: both rows are locked, then both balances are written, in one transaction.

Two transfers in opposite directions that lock in the order of their directions wait for each other.
PostgreSQL notices after its `deadlock_timeout` and refuses one of them, which is tried again. In one order
for all they cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redislock.sql._faults import AgainError
from redislock.sql._statements import MOST
from redislock.sql._strategies import Outcome, pause

if TYPE_CHECKING:
    from redislock.sql._statements import Statements
    from redislock.sql._strategies import Request, Working

__all__ = ["transfer", "transfer_in_order"]


def transfer_in_order(do: Statements, request: Request) -> Working:
    """Locks the account first whose name comes first."""
    source_first = request.values["user"] < request.values["other"]
    return (yield from _transfer(do, request, source_first=source_first))


def transfer(do: Statements, request: Request) -> Working:
    """Locks the source first, as one would write it at first."""
    return (yield from _transfer(do, request, source_first=True))


def _transfer(do: Statements, request: Request, *, source_first: bool) -> Working:
    values, last = request.values, request.attempts + 1 + request.retries
    steps = (do.begin_source, do.lock_target) if source_first else (do.begin_target, do.lock_source)
    while True:
        request.attempts += 1
        try:
            _, first = yield steps[0]
            [second] = yield steps[1]
            source, target = (first, second) if source_first else (second, first)
            refused = _refusal(source, target, values["amount"])
            if refused is not None:
                yield do.rollback
                return refused
            values["balance"] = int(source[0][0]) - values["amount"]
            values["gained"] = int(target[0][0]) + values["amount"]
            yield do.commit_transfer
            return Outcome("ok", values["balance"])
        except AgainError:
            if request.attempts >= last:
                return Outcome("conflict", None)
            yield pause(request.attempts)


def _refusal(source: list[tuple[bytes, ...]], target: list[tuple[bytes, ...]], amount: int) -> Outcome | None:
    if not source or not target:
        return Outcome("missing", None)
    left = int(source[0][0])
    if left < amount:
        return Outcome("insufficient", left)
    return Outcome("overflow", left) if int(target[0][0]) > MOST - amount else None
