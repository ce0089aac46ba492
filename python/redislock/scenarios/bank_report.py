"""What the run of a plan came to: who should hold what, and who holds it. It knows nothing of servers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from redislock.scenarios.plan import PlannedUser

__all__ = ["FAIL", "SUCCESS", "BankReport", "BankUser"]

SUCCESS: Final = "SUCCESS"
FAIL: Final = "FAIL"


@dataclasses.dataclass(frozen=True)
class BankUser:
    """One account after a run."""

    planned: PlannedUser
    actual: int | None
    """What it holds; None where there is none, or nothing that can be read."""
    told: int
    """What it should hold by the calls that answered ok: `expected`, where all did."""
    unreadable: str = ""

    @property
    def expected(self) -> int:
        """What it should hold when all is done."""
        return self.planned.end

    @property
    def difference(self) -> int:
        """Units that are there too much, or too little where it is below 0."""
        return (self.actual or 0) - self.expected

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as a new dict."""
        return {
            "user": self.planned.name,
            "start": self.planned.start,
            "expected": self.expected,
            "actual": self.actual,
            "told": self.told,
            "unreadable": self.unreadable,
        }


@dataclasses.dataclass(frozen=True)
class BankReport:
    """A plan, and what became of it. Prints as a table and a verdict; is true where it succeeded."""

    name: str
    """The strategy, or the callable."""
    users: tuple[BankUser, ...]
    operations: int
    """How many the plan has."""
    ok: int
    """How many of them answered ok."""
    refused: Mapping[str, int]
    """The other answers, by their word."""
    errors: Mapping[str, Mapping[str, Any]]
    """What calls raised, by kind: ``count``, and ``first``, the words of the first one."""
    unknown: int
    """Calls that were cut off, and may or may not have been applied."""
    repeated: int
    """Calls that lost a race by the strategy's own word, and were made again."""
    overlap: int
    """The most calls that were under way at one moment."""
    elapsed: float
    """Seconds, of the last run."""
    runs: int = 1
    """Runs of the plan; more than one where nothing raced in those before."""
    unsafe: bool = False
    """Whether the strategy is there to fail: coming out right shows only that nothing raced."""
    interrupted: bool = False
    """Whether Ctrl-C ended it early."""

    @property
    def right(self) -> bool:
        """Whether every operation was done, and every account holds what it should."""
        return self.ok == self.operations and not any(each.difference for each in self.users)

    @property
    def raced(self) -> bool:
        """Whether operations met, so that a strategy could show what it is worth."""
        return self.overlap > 1 and not (self.unsafe and self.right)

    def __bool__(self) -> bool:
        return self.right and self.raced and not self.interrupted

    @property
    def word(self) -> str:
        """``SUCCESS`` or ``FAIL``."""
        return SUCCESS if self else FAIL

    @property
    def lost(self) -> int:
        """Units that are there too much or too little by what was told, over all accounts."""
        return sum(abs((each.actual or 0) - each.told) for each in self.users)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield the table, the figures and the verdict."""
        yield from self._table()
        yield self.figures()
        yield from (f"{kind}, {each['count']} times: {each['first']}" for kind, each in self.errors.items())
        yield f"{self.word}: {self.why()}"

    def figures(self) -> str:
        """Return how it went, in one line."""
        parts = [f"{self.ok} of {self.operations} operations ok in {self.elapsed:.3f} s"]
        parts += [f"{count} {word}" for word, count in self.refused.items()]
        if self.unknown:
            parts.append(f"{self.unknown} unknown")
        if self.repeated:
            parts.append(f"{self.repeated} repeated")
        return ", ".join([*parts, f"up to {self.overlap} at once"])

    def why(self) -> str:
        """Return what the verdict stands on, in one sentence."""
        wrong = [each for each in self.users if each.difference]
        if self.interrupted:
            return f"ended early by Ctrl-C after {self.ok} of {self.operations} operations"
        if wrong:
            told = ", ".join(map(_complain, wrong))
            return f"{told}{'; updates were lost' if self.ok == self.operations else ''}"
        if self.ok < self.operations:
            return f"{self.operations - self.ok} operations were not done"
        if not self.raced:
            again = f" in {self.runs} runs" if self.runs > 1 else ""
            return f"nothing raced{again}, so that nothing was shown"
        return "every account holds what the plan says, whatever the order was"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as a new dict that JSON can hold."""
        out = dataclasses.asdict(self)
        out["users"] = [each.as_dict() for each in self.users]
        return {**out, "raced": self.raced, "verdict": self.word, "why": self.why()}

    def _table(self) -> Iterator[str]:
        rows = [("user", "start", "deposits", "withdrawals", "expected", "actual", "")]
        for each in self.users:
            planned = each.planned
            rows.append(
                (
                    planned.name,
                    str(planned.start),
                    ", ".join(map(str, planned.deposits)) or "-",
                    ", ".join(map(str, planned.withdrawals)) or "-",
                    str(each.expected),
                    "?" if each.actual is None else str(each.actual),
                    f"{each.difference:+}" if each.difference else "",
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(7)]
        for row in rows:
            cells = [f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True)]
            yield "  ".join([f"{row[0]:<{widths[0]}}", *cells]).rstrip()


def _complain(wrong: BankUser) -> str:
    if wrong.unreadable:
        return f"user {wrong.planned.name}: {wrong.unreadable}"
    direction = "much" if wrong.difference > 0 else "little"
    return f"user {wrong.planned.name} holds {abs(wrong.difference)} too {direction}"
