"""What a row of the benchmark is: who takes turns at which work, and the bounds on their figures."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any, Final

from bench import redis_benchmark

MORE_IS_BETTER: Final = ("rate", "batch")


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One way of doing a row's work."""

    name: str
    family: str
    kind: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Modules that must be installed."""
    accounts: int | None = None
    users: int | None = None

    def missing(self) -> str | None:
        """Why it can't run here, with the way out; None if it can."""
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed; get it with: pip install --group bench"
        if self.family == "redis_benchmark" and redis_benchmark.find() is None:
            return redis_benchmark.MISSING
        if self.family == "sql":
            from bench import sql

            return sql.missing()
        return None


@dataclasses.dataclass(frozen=True)
class Goal:
    """A bound on a figure of `who`, or on its ratio to that of `against`."""

    figure: str
    """rate, cpu, bytes_per_operation, growth: a field of Sample."""
    bound: float
    against: str | None = None
    who: str = "redislock"

    @property
    def at_least(self) -> bool:
        """More is better."""
        return self.figure in MORE_IS_BETTER


@dataclasses.dataclass(frozen=True)
class Row:
    """Contestants that take turns at the same work."""

    name: str
    title: str
    """For a reader; the plan's figures are put into its braces."""
    users: int
    contestants: tuple[Contestant, ...]
    goals: tuple[Goal, ...] = ()
    accounts: int = 1
    once: bool = False
    """A long run, not repeated."""
    together: bool = False
    """Client and server on one core, where only one of them can ever have work."""
    books: bool = True
    """Its contestants withdraw money, and must have taken as much as they say."""
    count: str = ""
    """The field of the plan that says how many operations, locks or waiters there are."""
