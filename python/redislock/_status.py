"""The statuses: expected outcomes of an operation, as text that behaves."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status"]


class Status(str, Enum):
    """How an operation ended. `str()`, format and JSON give the bare word on every Python."""

    ok = "ok"
    insufficient = "insufficient"
    missing = "missing"
    lock_busy = "lock_busy"
    conflict = "conflict"
    lock_lost = "lock_lost"
    overflow = "overflow"

    def __str__(self) -> str:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)
