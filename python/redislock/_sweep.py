"""A comparison as a grid: which runs it is made of, in which order, and what a cell of it shows.

A setting is what one row of the grid has in common; a cell is one strategy under one setting, run
once or several times. It runs nothing itself and prints nothing.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any, Final

from redislock._verdict import Verdict
from redislock.load import Latency, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["METRICS", "Cell", "Run", "Setting", "panels", "plan", "show_duration"]

DIMENSIONS: Final = ("users", "accounts", "rtt")


def _conflicts(report: Report) -> float | None:
    """Attempts that another caller spoiled, for each withdrawal that was ok."""
    counts = report.statuses
    decided = sum(counts.get(each, 0) for each in ("ok", "insufficient", "missing"))
    return (report.attempts - decided) / counts["ok"] if counts.get("ok") else None


def _per_success(number: int, report: Report) -> float | None:
    ok = report.statuses.get("ok")
    return number / ok if ok else None


def _of_latency(name: str) -> Callable[[Report], float | None]:
    return lambda report: getattr(report.latency, name) if report.latency.count else None


METRICS: Final[dict[str, Callable[[Report], float | None]]] = {
    "throughput": lambda report: report.throughput,
    "p50": _of_latency("p50"),
    "p95": _of_latency("p95"),
    "p99": _of_latency("p99"),
    "p99.9": _of_latency("p999"),
    "max": _of_latency("max"),
    "conflicts": _conflicts,
    "attempts": lambda report: report.attempts_per_success,
    "round_trips": lambda report: _per_success(report.round_trips, report),
    "statements": lambda report: _per_success(report.statements, report),
    "transactions": lambda report: (
        None if report.transactions is None else _per_success(report.transactions, report)
    ),
}
"""What can be compared: seconds, withdrawals a second, or so many per withdrawal that was ok."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What varies over a sweep."""

    users: int
    accounts: int = 1
    rtt: float = 0.0

    def words(self, of: Sequence[str] = DIMENSIONS) -> str:
        """Say it, or only some dimensions of it, for a reader."""
        each = {
            "users": f"{self.users:,} user{'s' * (self.users != 1)}",
            "accounts": f"{self.accounts:,} account{'s' * (self.accounts != 1)}",
            "rtt": f"{show_duration(self.rtt)} added",
        }
        return ", ".join(each[name] for name in DIMENSIONS if name in of)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a sweep."""

    setting: Setting
    strategy: str
    round: int
    """From 1."""


@dataclasses.dataclass
class Cell:
    """One strategy under one setting, and what its rounds have shown."""

    setting: Setting
    strategy: str
    reports: list[Report] = dataclasses.field(default_factory=list)

    @property
    def report(self) -> Report:
        """All rounds as one: the median of each figure, the sum of counts, the worst of verdicts."""
        return _combine(self.reports)

    def value(self, metric: str) -> float | None:
        """Return the median over the rounds; None where nothing was ok."""
        seen = self._values(metric)
        return statistics.median(seen) if seen else None

    def spread(self, metric: str) -> tuple[float, float] | None:
        """Return the least and the greatest of several rounds."""
        seen = self._values(metric)
        return (min(seen), max(seen)) if len(self.reports) > 1 and seen else None

    def short_of_money(self) -> list[str]:
        """Return the statuses that mean that something else than withdrawals was measured."""
        counts = self.report.statuses
        return [each for each in ("insufficient", "missing") if counts.get(each)]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dict; of several rounds also their spread, and each of them."""
        out = self.report.as_dict()
        if len(self.reports) > 1:
            out["spread"] = {name: self.spread(name) for name in METRICS}
            out["rounds"] = [each.as_dict() for each in self.reports]
        return out

    def _values(self, metric: str) -> list[float]:
        seen = (METRICS[metric](each) for each in self.reports)
        return [each for each in seen if each is not None]


def plan(settings: Sequence[Setting], strategies: Sequence[str], rounds: int) -> Iterator[Run]:
    """Yield the runs in order: under each setting A B C, A B C, so that drift meets all alike."""
    for setting in settings:
        for number in range(1, rounds + 1):
            for strategy in strategies:
                yield Run(setting, strategy, number)


def varying(settings: Sequence[Setting]) -> list[str]:
    """Return the dimensions that take more than one value."""
    return [name for name in DIMENSIONS if len({getattr(each, name) for each in settings}) > 1]


def panels(settings: Sequence[Setting]) -> tuple[str | None, dict[str, list[Setting]]]:
    """Return the dimension for the charts' x axis, and for each chart its title and its settings."""
    moving = varying(settings)
    if not moving:
        return None, {"": list(settings)}
    out: dict[str, list[Setting]] = {}
    for each in settings:
        out.setdefault(each.words(moving[1:]), []).append(each)
    return moving[0], out


def tick(setting: Setting, dimension: str) -> str:
    """Return what stands below a chart for a value."""
    value = getattr(setting, dimension)
    return show_duration(value) if dimension == "rtt" else f"{value:,}"


def show_duration(seconds: float) -> str:
    """Return a duration in the unit that suits it, with three digits."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if 0 < seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds else "0"


def _combine(reports: Sequence[Report]) -> Report:
    first = reports[0]
    if len(reports) == 1:
        return first
    attempts = [each.attempts_per_success for each in reports if each.attempts_per_success is not None]
    return dataclasses.replace(
        first,
        throughput=statistics.median(each.throughput for each in reports),
        elapsed=sum(each.elapsed for each in reports),
        latency=_middle([each.latency for each in reports]),
        service=_middle([each.service for each in reports]),
        latency_all=_middle([each.latency_all for each in reports]),
        statuses=_added([each.statuses for each in reports]),
        attempts=sum(each.attempts for each in reports),
        round_trips=sum(each.round_trips for each in reports),
        statements=sum(each.statements for each in reports),
        transactions=None if first.transactions is None else sum(each.transactions or 0 for each in reports),
        missed=sum(each.missed for each in reports),
        attempts_per_success=statistics.median(attempts) if attempts else None,
        errors=_faults(reports),
        verdict=_worst([each.verdict for each in reports]),
        notes=tuple(dict.fromkeys(note for each in reports for note in each.notes)),
        interrupted=any(each.interrupted for each in reports),
    )


def _middle(seen: Sequence[Latency]) -> Latency:
    counted = [each for each in seen if each.count] or list(seen)
    names = ("mean", "p50", "p95", "p99", "p999", "max")
    return Latency(
        count=sum(each.count for each in seen),
        min=min(each.min for each in counted),
        **{name: statistics.median(getattr(each, name) for each in counted) for name in names},
    )


def _added(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: sum(each.get(name, 0) for each in counts) for name in names}


def _faults(reports: Sequence[Report]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for report in reports:
        for kind, each in report.errors.items():
            known = out.setdefault(kind, {"count": 0, "first": each["first"]})
            known["count"] += each["count"]
    return out


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    told = [f"round {number}: {each.detail}" for number, each in enumerate(verdicts, 1) if each.detail]
    return Verdict(
        held=all(each.held for each in verdicts),
        unknown=sum(each.unknown for each in verdicts),
        lost=sum(each.lost for each in verdicts),
        detail="; ".join(told),
    )
