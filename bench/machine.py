"""The machine that figures come from: its cores, who else uses them, and the versions installed.

Says nothing by which the machine itself could be told: no host name, no paths.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = (
    "redislock",
    "redis",
    "hiredis",
    "psycopg",
    "valkey-glide-sync",
    "valkey-glide",
    "gevent",
    "uvloop",
    "locust",
    "python-redis-lock",
    "pottery",
)


def two_cores() -> tuple[int | None, int | None]:
    """A core for the server and another for the client; None where that can't be had."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def pin_server(pid: int, core: int | None) -> None:
    """Keep all threads of the server on one core."""
    if core is not None:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def busy_seconds() -> float | None:
    """Time that all cores together have worked since the machine started; None if unknown."""
    with contextlib.suppress(OSError):
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, words[1:9])
        ticks = user + nice + system + irq + softirq + steal
        return ticks / os.sysconf("SC_CLK_TCK")
    return None


def server_seconds(pid: int) -> float:
    """Time that the server has worked."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def wait_until_quiet(patience: float, most: float = 0.1) -> None:
    """Wait until others use less than `most` of a core, up to `patience` seconds."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        before, at = busy_seconds(), time.monotonic()
        if before is None:
            return
        time.sleep(0.5)
        after = busy_seconds()
        if after is None or (after - before) / (time.monotonic() - at) < most:
            return


def describe() -> dict[str, Any]:
    """Processor, cores, systems and versions, for the record."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "scheduling": _scheduling(),
    }


def _scheduling() -> str:
    """How processes of the run are favoured, if they are: all of them alike, the server too."""
    for name in ("SCHED_FIFO", "SCHED_RR"):
        if hasattr(os, name) and os.sched_getscheduler(0) == getattr(os, name):
            return name
    return f"nice {os.nice(0)}"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def versions() -> dict[str, str | None]:
    """The contestants' versions; None for what is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        found[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
