"""What the parent tells a contestant's process, and what it hears back; both travel as JSON."""

from __future__ import annotations

import dataclasses
import urllib.parse
from typing import Any


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of one contestant."""

    family: str
    """The module of this folder that knows the client."""
    kind: str
    """How it is called: sync, threads, asyncio, gevent, or a way of the family's own."""
    url: str
    """The server's: redis://127.0.0.1:port or unix:///path."""
    server_pid: int
    core: int | None
    """Where the process pins itself; None: nowhere."""
    warmup: float
    duration: float
    users: int = 1
    accounts: int = 1
    operations: int = 0
    """For runs that are measured by count."""
    rate: float = 0.0
    """For open loops: operations begun per second."""
    lease: float = 0.0
    """Of locks that are renewed, in seconds."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def address(self) -> tuple[str | None, int | None]:
        """The unix socket's path, or the port."""
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme == "unix":
            return urllib.parse.unquote(parts.path), None
        return None, parts.port


@dataclasses.dataclass
class Sample:
    """The figures of one run. Those that a run does not know stay None."""

    ok: int
    """Withdrawals that answered ok over the whole run, warm-up included: the books need them.
    In rows of locks, of which the books know nothing: locks taken and given back."""
    rate: float | None = None
    """Of those, per second of the measured window."""
    cpu: float | None = None
    """User and system time of the client's processes for each of those, in microseconds."""
    refused: int = 0
    """Other answers within the window: conflicts, busy locks."""
    p50: float | None = None
    p99: float | None = None
    """Latencies in seconds."""
    bytes_per_operation: float | None = None
    growth: float | None = None
    """Of resident memory, in bytes."""
    spread: float | None = None
    """Turns of the busiest process, in those of the idlest."""
    longest: float | None = None
    """The longest wait, in medians of all waits."""
    subscriptions: float | None = None
    connections: float | None = None
    """What the server has of this client at one moment."""
    load: float | None = None
    """Cores that the client's process keeps busy while its callers wait."""
    batch: float | None = None
    """Leases that one call renews."""
    others: float | None = None
    """Cores that processes of other people kept busy meanwhile."""
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
