"""What a check of a strategy has seen, in figures and in words. It knows nothing of how it ran."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redislock._report import Latency
    from redislock._verdict import Verdict

__all__ = ["LostMoneyError", "StrategyReport"]


@dataclasses.dataclass(frozen=True)
class StrategyReport:
    """What a strategy did under load, and what it lost. Prints as a short text."""

    name: str
    """Of the callable."""
    users: int
    amount: int
    """Units of each withdrawal."""
    accounts: int
    """One after the other; each was withdrawn from until its money had gone."""
    elapsed: float
    """Seconds."""
    ok: int
    """Calls that answered true: the money was taken."""
    refused: int
    """Calls that answered false."""
    raised: int
    """Calls that raised."""
    errors: dict[str, dict[str, Any]]
    """What they raised, by kind: ``count``, and ``first``, the words of the first one."""
    paid: int
    """Units that callers were told they have."""
    deducted: int
    """Units that have really left the accounts."""
    latency: Latency
    """Of the calls that answered true."""
    overlap: int
    """The most calls that were under way at one moment."""
    verdict: Verdict
    notes: tuple[str, ...]
    """What a reader should know before trusting it."""

    @property
    def lost(self) -> int:
        """Units lost or made, over all accounts."""
        return self.verdict.lost

    @property
    def throughput(self) -> float:
        """Ok a second."""
        return self.ok / self.elapsed

    def __str__(self) -> str:
        settings = f"{self.users} users took {self.amount} at a time for {self.elapsed:.1f} s"
        outcomes = f"{self.ok} ok, {self.refused} refused, {self.raised} raised"
        lines = [f"{self.name}: {self.verdict}; {settings}: {outcomes}"]
        if not self.verdict.held:
            sums = f"paid out: {self.paid} units; deducted: {self.deducted}"
            lines.append(f"{sums}, from {self.accounts} accounts in turn")
            first, *more = self.verdict.detail.split("; account ")
            lines.extend([first, *(f"account {each}" for each in more)])
        lines.extend(f"{kind}, {each['count']} times: {each['first']}" for kind, each in self.errors.items())
        lines.extend(self.notes)
        return "\n  ".join(lines)


class LostMoneyError(AssertionError):
    """A strategy lost money, or showed nothing that could be judged; `report` holds the figures."""

    def __init__(self, report: StrategyReport, why: str = "") -> None:
        super().__init__(f"{why}\n{report}" if why else str(report))
        self.report = report
