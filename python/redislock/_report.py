"""What a run of the load generator shows, as plain data. It knows nothing of how a run is made."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redislock._verdict import Verdict

__all__ = ["Latency", "Progress", "Report"]


@dataclasses.dataclass(frozen=True)
class Latency:
    """How long withdrawals took, in seconds, from HDR histograms."""

    count: int
    min: float
    mean: float
    p50: float
    p95: float
    p99: float
    p999: float
    max: float

    def as_dict(self) -> dict[str, float]:
        """Return the fields as a new dict."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run has got."""

    strategy: str
    phase: str
    """``warming``, ``measuring``, ``draining`` or ``over``."""
    fraction: float
    """Of the run, from 0 to 1."""
    elapsed: float
    """Seconds of the measured window so far."""
    throughput: float
    """Ok a second in the measured window so far."""
    operations: int
    statuses: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run showed.

    `throughput` counts the withdrawals that ended ok within the measured window. Statuses,
    attempts and latencies are those of all that began within it, also where they ended after
    it: a server that stalls at the end is not hidden. In an open loop it is all that were due
    within it, and began then or within as long again. Errors and the verdict cover the whole run,
    warm-up included.
    """

    strategy: str
    throughput: float
    """Ok a second."""
    elapsed: float
    """Seconds of the measured window."""
    latency: Latency
    """Of the withdrawals that were ok; in an open loop from when each was due."""
    service: Latency
    """The same, from when each really began."""
    latency_all: Latency
    """Of all, whatever their end."""
    statuses: dict[str, int]
    attempts: int
    round_trips: int
    statements: int
    """Commands sent, those inside of MULTI and EXEC included; a script is one."""
    missed: int
    """Of an open loop: withdrawals that were due within the window and never began."""
    attempts_per_success: float | None
    """None where nothing was ok."""
    errors: dict[str, dict[str, Any]]
    """Faults by kind: ``count``, and ``first``, the words of the first one."""
    verdict: Verdict
    notes: tuple[str, ...]
    """What a reader should know before comparing."""
    interrupted: bool
    """Whether Ctrl-C ended the run early."""
    settings: dict[str, Any]
    """What the run was started with."""
    transactions: int | None = None
    """Of a database, those rolled back included; None where the server has none."""

    @property
    def rtt(self) -> float:
        """Seconds that were added to each round trip."""
        return float(self.settings["rtt"])

    @property
    def rate(self) -> float | None:
        """Withdrawals that were to begin a second; None in a closed loop."""
        rate: float | None = self.settings["rate"]
        return rate

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a new dict that JSON can hold; ``verdict`` is its word."""
        out = dataclasses.asdict(self)
        out["verdict"] = self.verdict.word
        out["verdict_detail"] = self.verdict.as_dict()
        out["notes"] = list(self.notes)
        return out
