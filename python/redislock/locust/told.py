"""What a run showed, in the lines that are printed at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redislock.locust.outcomes import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock._report import Latency

__all__ = ["milliseconds", "table"]

_TIMES: Final = ("p50", "p95", "p99", "p99.9", "max")


def table(rows: list[tuple[str, dict[str, int], Latency]]) -> Iterator[str]:
    """Lay out outcomes and percentiles; only outcomes that occurred have a column."""
    words = [word for word in WORDS if any(counts.get(word) for _, counts, _ in rows)]
    lines = [["redislock", *words, *_TIMES]]
    for name, counts, latency in rows:
        times = (latency.p50, latency.p95, latency.p99, latency.p999, latency.max)
        told = [milliseconds(each) if latency.count else "-" for each in times]
        lines.append([name, *(f"{counts.get(word, 0):,}" for word in words), *told])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        first, *rest = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join([first.strip().ljust(widths[0]), *rest])
    yield "Times: milliseconds, of requests that were answered."


def milliseconds(seconds: float) -> str:
    """Write a time with three digits, also below a millisecond."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004  # from there on all digits show
