"""Several processes that put one strategy under load together, driven as if they were one generator.

`Fleet` has the methods of `_core.LoadGenerator`. Each process (`_worker`) drives its share of the
users, all on the same accounts; counts, money and histograms are added up, so that a quantile is
that of all withdrawals and no average. It makes and removes no account.
"""

from __future__ import annotations

import base64
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from redislock import _core, _errors
from redislock._crew import Crew, Member

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Fleet", "shares"]

_ADDED: Final = ("operations", "attempts", "round_trips", "statements", "missed")
_PHASES: Final = ("fresh", "warming", "measuring", "draining", "over")
_NOTHING: Final[dict[str, Any]] = {
    "phase": "warming",
    "progress": 0.0,
    "elapsed": 0.0,
    "in_flight": 0,
    "operations": 0,
    "throughput": 0.0,
    "statuses": {},
}


def shares(settings: Mapping[str, Any], processes: int) -> list[dict[str, Any]]:
    """Return what each process is to do: its part of users, count and rate, and a seed of its own."""
    out = []
    for index in range(processes):
        mine = dict(settings)
        mine["users"] = _part(settings["users"], processes, index)
        if settings.get("count") is not None:
            mine["count"] = _part(settings["count"], processes, index)
        if settings.get("rate") is not None:
            mine["rate"] = settings["rate"] / processes
        # An odd step through all seeds: the first process draws what one alone would.
        mine["seed"] = (settings["seed"] + index * 0x9E3779B97F4A7C15) % 2**64
        out.append(mine)
    return out


def _part(whole: int, parts: int, index: int) -> int:
    return whole // parts + (index < whole % parts)


class _Worker(Member):
    """One process of the load generator, as its parent sees it."""

    def __init__(self, job: Mapping[str, Any], news: threading.Event) -> None:
        self.snapshot = _NOTHING
        super().__init__("redislock._worker", job, news)

    def take_in(self, message: dict[str, Any]) -> None:
        """Note a snapshot; the last one is that of the end."""
        super().take_in(message)
        if "report" in message:
            self.snapshot = {**self.snapshot, "phase": "over", "progress": 1.0}
        elif "snapshot" in message:
            self.snapshot = message["snapshot"]


class Fleet(Crew[_Worker]):
    """Several generators in processes of their own."""

    def __init__(
        self,
        url: str | None,
        options: Mapping[str, Any],
        *,
        prefix: str,
        accounts: int,
        settings: Mapping[str, Any],
        processes: int,
    ) -> None:
        self._accounts = accounts
        jobs = [
            {"url": url, "options": dict(options), "prefix": prefix, "accounts": accounts, "settings": each}
            for each in shares(settings, processes)
        ]
        super().__init__(_Worker, jobs, "load generator")

    def snapshot(self) -> dict[str, Any]:
        """How far the run has got."""
        seen = [each.snapshot for each in self.members] or [_NOTHING]
        return {
            "phase": min((each["phase"] for each in seen), key=_PHASES.index),
            "progress": min(each["progress"] for each in seen),
            "elapsed": max(each["elapsed"] for each in seen),
            "in_flight": sum(each["in_flight"] for each in seen),
            "operations": sum(each["operations"] for each in seen),
            "throughput": sum(each["throughput"] for each in seen),
            "statuses": _total(each["statuses"] for each in seen),
        }

    def report(self) -> dict[str, Any]:
        """All that was counted, by all of them."""
        self.check()
        reports = [each.report for each in self.members if each.report is not None]
        if not self.members or len(reports) < len(self.members):
            raise _errors.Error("a process of the load generator did not tell what it took")
        return _merge(reports, self._accounts)


# ---- merging


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    out: Counter[str] = Counter()
    for each in counts:
        out.update(each)
    return dict(out)


def _merge(reports: Sequence[dict[str, Any]], accounts: int) -> dict[str, Any]:
    elapsed = max(each["elapsed"] for each in reports)
    # They begin within the same millisecond; the window of all lasts as long as the longest.
    ok = sum(round(each["throughput"] * each["elapsed"]) for each in reports)
    return {
        "elapsed": elapsed,
        "throughput": ok / elapsed if elapsed > 0 else 0.0,
        **{name: sum(each[name] for each in reports) for name in _ADDED if name in reports[0]},
        "statuses": _total(each["statuses"] for each in reports),
        **_latencies([each["histograms"] for each in reports]),
        "faults": _faults(each["faults"] for each in reports),
        "fatal": next((_fatal(*each["fatal"]) for each in reports if each["fatal"]), None),
        "longest_line": max(each["longest_line"] for each in reports),
        "accounts": _money((each["accounts"] for each in reports), accounts),
    }


def _latencies(packed: Sequence[Mapping[str, str]]) -> dict[str, dict[str, float]]:
    out = {}
    for name in packed[0]:
        merged = _core.Histogram()
        for each in packed:
            merged.merge(base64.b64decode(each[name]))
        out[name] = merged.summary()
    return out


def _faults(seen: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for faults in seen:
        for kind, each in faults.items():
            known = out.setdefault(kind, {"count": 0, "first": each["first"]})
            known["count"] += each["count"]
    return out


def _fatal(name: str, words: str) -> Exception:
    kind = getattr(_errors, name, _errors.Error)
    made: Exception = kind(words)
    return made


def _money(seen: Iterable[Sequence[tuple[int, Mapping[str, int]]]], accounts: int) -> list[dict[str, int]]:
    names = ("taken", "unknown", "taken_count", "unknown_count")
    out = [dict.fromkeys(names, 0) for _ in range(accounts)]
    for report in seen:
        for index, money in report:
            for name in names:
                out[index][name] += money[name]
    return out
