"""What requests came to, counted: per process, in a form that workers send and a master adds up.

It knows neither Locust nor the web UI. Latencies go into the core's HDR histograms, which merge
exactly, so that a fleet's percentiles are those of all its requests.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from redislock import Status, StockStatus, _core
from redislock._report import Latency

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ERROR", "STOPPED", "UNKNOWN", "WORDS", "Money", "Recorder", "Sample", "Totals"]

UNKNOWN: Final = "unknown"
STOPPED: Final = "stopped"
"""Unknown as well: the user was stopped in the midst of it."""
ERROR: Final = "error"
_EXPECTED: Final = {each.value: None for each in (*Status, *StockStatus)}  # each once, in their order
WORDS: Final = (*_EXPECTED, UNKNOWN, STOPPED, ERROR)

_KEYS: Final = 100_000  # that are remembered; an older one that comes again is unknown
_SAMPLES: Final = 900  # of a second each: what a chart shows


@dataclasses.dataclass
class Money:
    """What users of one class did to one account."""

    ok: int = 0
    unknown: int = 0
    unknown_count: int = 0
    deposits: int = 0
    reset: bool = False
    """Whether a user set or deleted the balance: nothing can be said of it then."""

    def add(self, other: Money) -> None:
        """Add what others did."""
        self.ok += other.ok
        self.unknown += other.unknown
        self.unknown_count += other.unknown_count
        self.deposits += other.deposits
        self.reset = self.reset or other.reset


class _Tally:
    """The requests of one name since the last delta."""

    __slots__ = ("counts", "latency")

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.latency = _core.Histogram()


class Recorder:
    """Counts the requests of one process until they are taken."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}
        self._keys: dict[tuple[str, str, str], None] = {}  # the oldest first
        self._money: defaultdict[str, defaultdict[str, Money]] = defaultdict(lambda: defaultdict(Money))

    def count(self, name: str, word: str, seconds: float | None) -> None:
        """Count one request; `seconds` is None where its time means nothing."""
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = _Tally()
        tally.counts[word] += 1
        if seconds is not None:
            tally.latency.record(seconds)

    def add(self, name: str, counts: dict[str, int], encoded: bytes) -> None:
        """Count many requests; `encoded` holds their latencies."""
        tally = self._tallies.setdefault(name, _Tally())
        for word, number in counts.items():
            tally.counts[word] += number
        tally.latency.merge(encoded)

    def money(self, owner: str, user: str) -> Money:
        """Return what the class of that name did to that account, to be added to."""
        return self._money[owner][user]

    def hear(self, owner: str, user: str, key: str) -> bool:
        """Note that a change of that idempotency key is in the books; answer whether that is news."""
        known = (owner, user, key)
        if known in self._keys:
            return False
        self._keys[known] = None
        if len(self._keys) > _KEYS:
            del self._keys[next(iter(self._keys))]
        return True

    def take(self) -> dict[str, Any]:
        """Return what was counted since the last time, as plain data, and forget it."""
        names = {
            name: [dict(tally.counts), tally.latency.encode()]
            for name, tally in self._tallies.items()
            if tally.counts
        }
        for name in names:
            self._tallies[name].counts.clear()
            self._tallies[name].latency.clear()
        money = [
            # As text: sums may exceed the 64 bits of an integer on the wire.
            [owner, user, str(done.ok), str(done.unknown), done.unknown_count, str(done.deposits), done.reset]
            for owner, accounts in self._money.items()
            for user, done in accounts.items()
        ]
        self._money.clear()
        return {"names": names, "money": money}


class _Total:
    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.latency = _core.Histogram()
        self.ok_before = 0
        self.lately = _core.Histogram()


@dataclasses.dataclass(frozen=True)
class Sample:
    """One second of a run."""

    at: float
    """Seconds since the run was started."""
    per_second: dict[str, float]
    """Ok a second, by name."""
    p99: dict[str, float]
    """Seconds, by name; of what was counted in this second."""


class Totals:
    """What all processes have counted in one run."""

    def __init__(self) -> None:
        self._totals: dict[str, _Total] = {}
        self._money: dict[tuple[str, str], Money] = {}
        self._sampled_at = 0.0
        self.samples: deque[Sample] = deque(maxlen=_SAMPLES)

    def merge(self, delta: dict[str, Any]) -> None:
        """Add what a `Recorder` handed over."""
        for name, (counts, encoded) in delta["names"].items():
            total = self._totals.setdefault(name, _Total())
            for word, number in counts.items():
                total.counts[word] += number
            total.latency.merge(encoded)
            total.lately.merge(encoded)
        for owner, user, ok, unknown, count, deposits, reset in delta["money"]:
            done = Money(int(ok), int(unknown), count, int(deposits), reset)
            self._money.setdefault((owner, user), Money()).add(done)

    def sample(self, at: float) -> None:
        """Close a second of the chart."""
        span = at - self._sampled_at
        per_second: dict[str, float] = {}
        p99: dict[str, float] = {}
        for name, total in self._totals.items():
            ok = total.counts["ok"]
            per_second[name] = (ok - total.ok_before) / span if span > 0 else 0.0
            total.ok_before = ok
            lately = Latency(**total.lately.summary())
            if lately.count:
                p99[name] = lately.p99
            total.lately.clear()
        self._sampled_at = at
        self.samples.append(Sample(at, per_second, p99))

    def money(self, owners: Iterator[str], user: str) -> Money:
        """Return what users of these classes did to that account."""
        done = Money()
        for owner in owners:
            done.add(self._money.get((owner, user), Money()))
        return done

    def rows(self) -> list[tuple[str, dict[str, int], Latency]]:
        """Return name, counts and latency of each kind of request, in the order of names."""
        return [
            (name, dict(total.counts), Latency(**total.latency.summary()))
            for name, total in sorted(self._totals.items())
        ]

    def count(self, word: str) -> int:
        """Return how many requests came to that."""
        return sum(total.counts[word] for total in self._totals.values())
