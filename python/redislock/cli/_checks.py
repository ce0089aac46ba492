"""Demands on the figures of a comparison: `--check lua.p99<5ms`, and `--fail p99:10%` of a baseline.

    [STRATEGY.]METRIC OP VALUE[UNIT]      OP: < <= > >=
    [STRATEGY.]METRIC:PERCENT%            how much worse than the baseline it may be

Without a strategy it is asked of all. Each cell of a sweep must meet it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redislock._sweep import show_duration
from redislock.cli._common import wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redislock._sweep import Cell, Setting

OFFERED: Final = ("p50", "p95", "p99", "p99.9", "max", "throughput", "conflicts", "attempts")
_DURATIONS: Final = frozenset({"p50", "p95", "p99", "p99.9", "max"})
_UNITS: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_COMPARED: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NAME: Final = rf"(?:(?P<strategy>[a-z_]+)\.)?(?P<metric>{'|'.join(re.escape(each) for each in OFFERED)})"
_CHECK: Final = re.compile(
    rf"\s*{_NAME}\s*(?P<op><=|>=|<|>)\s*(?P<value>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>us|µs|ms|s|)\s*"
)
_FAIL: Final = re.compile(rf"\s*{_NAME}\s*:\s*(?P<value>[0-9]+(?:\.[0-9]+)?)\s*%\s*")


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What became of a demand."""

    demand: str
    held: bool
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a new dict."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Demand:
    """A demand on one figure."""

    text: str
    strategy: str | None
    metric: str
    op: str
    """Empty for one that is held against a baseline."""
    bound: float
    """In seconds, withdrawals a second or a ratio; against a baseline, the share that may be lost."""

    def concerns(self, cell: Cell) -> bool:
        """Tell whether it is about the strategy of this cell."""
        return self.strategy in (None, cell.strategy)


def parse_check(text: str, strategies: Sequence[str]) -> Demand:
    """Read what stands behind `--check`; ends the command where it is none."""
    found = _CHECK.fullmatch(text)
    if found is None:
        wrong("--check", f"{text!r} is not like lua.p99<5ms; metrics: {', '.join(OFFERED)}")
    metric, unit = found["metric"], found["unit"]
    value = float(found["value"])
    if metric in _DURATIONS and not unit and value:
        wrong("--check", f"{text!r} needs a unit: us, ms or s")
    if metric not in _DURATIONS and unit:
        wrong("--check", f"{text!r}: {metric} is no duration, so it takes no unit")
    _known(found["strategy"], strategies, text, "--check")
    return Demand(text.strip(), found["strategy"], metric, found["op"], value * _UNITS.get(unit, 1.0))


def parse_fail(text: str, strategies: Sequence[str]) -> Demand:
    """Read what stands behind `--fail`; ends the command where it is none."""
    found = _FAIL.fullmatch(text)
    if found is None:
        wrong("--fail", f"{text!r} is not like p99:10%; metrics: {', '.join(OFFERED)}")
    _known(found["strategy"], strategies, text, "--fail")
    return Demand(text.strip(), found["strategy"], found["metric"], "", float(found["value"]) / 100)


def _known(strategy: str | None, strategies: Sequence[str], text: str, option: str) -> None:
    if strategy is not None and strategy not in strategies:
        wrong(option, f"{text!r}: {strategy} is none of {', '.join(strategies)}, which are compared")


def judge(demand: Demand, cells: Sequence[Cell]) -> Ruling:
    """Hold a check against every cell that it is about."""
    seen = [each for each in cells if demand.concerns(each)]
    failed = []
    for cell in seen:
        value = cell.value(demand.metric)
        if value is None or not _COMPARED[demand.op](value, demand.bound):
            failed.append(f"{_where(cell)}: {show(demand.metric, value)}")
    if failed:
        return Ruling(demand.text, held=False, detail="; ".join(failed))
    values = [(value, each) for each in seen if (value := each.value(demand.metric)) is not None]
    if not values:
        return Ruling(demand.text, held=False, detail="nothing was measured")
    closest = (max if "<" in demand.op else min)(values, key=operator.itemgetter(0))
    edge = "at most" if "<" in demand.op else "at least"
    return Ruling(demand.text, held=True, detail=f"{show(demand.metric, closest[0])} {edge}")


def _where(cell: Cell) -> str:
    return f"{cell.strategy}, {cell.setting.words()}"


def show(metric: str, value: float | None) -> str:
    """Return a figure for a reader."""
    if value is None:
        return "nothing was ok"
    if metric in _DURATIONS:
        return show_duration(value)
    return f"{value:,.0f} ok/s" if metric == "throughput" else f"{value:.3g}"


# ---- a baseline

_Key = tuple[Any, ...]


class Baseline:
    """The figures of an earlier comparison, from its JSON."""

    def __init__(self, name: str, figures: dict[_Key, dict[str, float | None]]) -> None:
        self.name = name
        self._figures = figures

    @classmethod
    def read(cls, name: str) -> Baseline:
        """Read the file that `--json` wrote; ends the command where it is none."""
        try:
            data = json.loads(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            wrong("--baseline", f"{name}: {error.strerror}")
        except ValueError:
            wrong("--baseline", f"{name} is no JSON")
        try:
            figures = {
                _key(strategy, each["settings"]): {name: _figure(report, name) for name in OFFERED}
                for each in data.get("cells", [data])
                for strategy, report in each["strategies"].items()
            }
        except (KeyError, TypeError, AttributeError, ZeroDivisionError):
            wrong("--baseline", f"{name} was not written by redislock compare --json")
        return cls(name, figures)

    def knows(self, strategy: str, setting: Setting, asked: dict[str, Any]) -> bool:
        """Tell whether it has a figure for this cell."""
        return _key(strategy, {**asked, **dataclasses.asdict(setting)}) in self._figures

    def value(self, cell: Cell, metric: str, asked: dict[str, Any]) -> float | None:
        """Return its figure for this cell, None where it has none."""
        found = self._figures.get(_key(cell.strategy, {**asked, **dataclasses.asdict(cell.setting)}))
        return None if found is None else found[metric]


def _key(strategy: str, settings: dict[str, Any]) -> _Key:
    # What later versions have added is what earlier ones did.
    rate = settings.get("rate")
    spread = settings["keys"] if settings["accounts"] > 1 else "hot"
    return strategy, settings["users"], settings["accounts"], settings.get("rtt", 0.0), rate, spread


def _figure(report: dict[str, Any], metric: str) -> float | None:
    """Return the median over the rounds, as a cell does. Raises TypeError for what is no number."""
    seen = [_of_one(each, metric) for each in report.get("rounds") or [report]]
    values = [each for each in seen if each is not None]
    if any(isinstance(each, bool) or not 0 <= each < math.inf for each in values):
        raise TypeError(metric)
    return statistics.median(values) if values else None


def _of_one(report: dict[str, Any], metric: str) -> float | None:
    ok = report["statuses"].get("ok", 0)
    value: float | None
    if metric in _DURATIONS:
        value = report["latency"]["p999" if metric == "p99.9" else metric] if ok else None
    elif metric == "throughput":
        value = report["throughput"]
    elif metric == "attempts":
        value = report["attempts_per_success"]
    else:
        decided = sum(report["statuses"].get(each, 0) for each in ("ok", "insufficient", "missing"))
        value = (report["attempts"] - decided) / ok if ok else None
    return value


def compare_with(demand: Demand, cells: Sequence[Cell], baseline: Baseline, asked: dict[str, Any]) -> Ruling:
    """Hold every cell that the baseline knows against it."""
    failed, worst, seen = [], None, 0
    for cell in (each for each in cells if demand.concerns(each)):
        old = baseline.value(cell, demand.metric, asked)
        if old is None:
            continue
        seen += 1
        new = cell.value(demand.metric)
        change = _worse_by(demand.metric, old, new)
        if change > demand.bound:
            told = f"{show(demand.metric, old)} before, {show(demand.metric, new)} now"
            failed.append(f"{_where(cell)}: {told}")
        worst = change if worst is None else max(worst, change)
    if failed:
        return Ruling(demand.text, held=False, detail="; ".join(failed))
    if worst is None:
        return Ruling(demand.text, held=False, detail=f"{baseline.name} has no figure to compare with")
    return Ruling(
        demand.text,
        held=True,
        detail=f"{'up to ' if seen > 1 else ''}{worst:.1%} worse" if worst > 0 else "no worse",
    )


def _worse_by(metric: str, old: float, new: float | None) -> float:
    """Return by which share of the old figure the new one is worse; negative if it is better."""
    if new is None:
        return float("inf")
    lost = old - new if metric == "throughput" else new - old
    if old == 0:
        return float("inf") if lost > 0 else 0.0
    return lost / old
