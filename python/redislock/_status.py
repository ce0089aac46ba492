"""The statuses: expected outcomes of an operation, as text that behaves."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status", "StockStatus"]


class _Word(str, Enum):
    """`str()`, format and JSON give the bare word on every Python."""

    value: str

    def __str__(self) -> str:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


class Status(_Word):
    """How an operation on an account ended."""

    ok = "ok"
    insufficient = "insufficient"
    missing = "missing"
    lock_busy = "lock_busy"
    conflict = "conflict"
    lock_lost = "lock_lost"
    overflow = "overflow"


class StockStatus(_Word):
    """How an operation on a stock ended."""

    ok = "ok"
    sold_out = "sold_out"
    limit = "limit"
    duplicate = "duplicate"
    retry_later = "retry_later"
    missing = "missing"
