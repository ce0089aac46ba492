"""How a comparison is shown: a bar or plain lines while it runs, then one table and what to note."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from redislock.cli._common import in_words, natural_width
from redislock.load import NO_CONFLICT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redislock import load

UNSAFE: Final = frozenset({"naive"})
"""Strategies that are expected to lose money under contention."""


_TRIES: Final = "tries\nper ok"
_LAYOUTS: Final = (
    ("ok/s", "p50", "p95", "p99", "p99.9", "max", "statuses", _TRIES),
    ("ok/s", "p50", "p99", "max", "statuses", _TRIES),
    ("ok/s", "p50", "p99", "statuses"),
    ("ok/s", "p50", "p99"),
)
"""The columns between strategy and verdict; the first that a terminal is wide enough for is taken."""


class Scores:
    """Writes a comparison to a console, fit for a terminal or for a file."""

    def __init__(self, *, to_stderr: bool) -> None:
        self.console = Console(stderr=to_stderr, markup=False, highlight=False)
        if not self.console.is_terminal:
            self.console.width = 500  # nothing is cut off for a program that reads it

    def say(self, line: str, style: str | None = None) -> None:
        """Print a line."""
        self.console.print(line, style=style, soft_wrap=True)

    @contextlib.contextmanager
    def watch(self, strategy: str) -> Iterator[Callable[[load.Progress], None] | None]:
        """Show a run while it lasts, if somebody looks."""
        if not self.console.is_terminal:
            yield None
            return
        columns = (TextColumn("{task.description:<6}"), BarColumn(), TextColumn("{task.fields[told]}"))
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(strategy, total=1.0, told="")

            def draw(seen: load.Progress) -> None:
                told = "warming up" if seen.phase == "warming" else f"{seen.throughput:,.0f} ok/s"
                bar.update(task, completed=seen.fraction, told=told)

            yield draw

    def tell_one(self, report: load.Report) -> None:
        """Print what a run showed, where no bar did."""
        if not self.console.is_terminal:
            self.say(_line(report))

    def tell_all(self, reports: Sequence[load.Report]) -> None:
        """Print the table, and below it what a reader should know of each strategy."""
        if not reports:
            return
        self.say("")
        width = self.console.width
        fitting = (each for each in _LAYOUTS if natural_width(self.console, _table(reports, each)) <= width)
        shown = next(fitting, None)
        if shown is not None:
            self.console.print(_table(reports, shown))
            self.say("Latencies: milliseconds, of withdrawals that were ok.", "dim")
        else:
            for report in reports:
                self.say(_line(report))
        for report in reports:
            for line, style in _remarks(report):
                self.say(f"{report.strategy}: {line}", style)


def _line(report: load.Report) -> str:
    latency, verdict = report.latency, " ".join(_verdict(report).plain.split())
    times = f"p50 {in_words(latency.p50)}, p99 {in_words(latency.p99)}, " if latency.count else ""
    return f"{report.strategy}: {report.throughput:,.0f} ok/s, {times}{verdict}"


def _table(reports: Sequence[load.Report], figures: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("strategy", no_wrap=True)
    for name in figures:
        table.add_column(name, justify="left" if name == "statuses" else "right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for report in reports:
        told = _figures(report)
        table.add_row(report.strategy, *(told[name] for name in figures), _verdict(report))
    return table


def _figures(report: load.Report) -> dict[str, str]:
    latency, tries = report.latency, report.attempts_per_success
    counts = {**report.statuses, **{kind: each["count"] for kind, each in report.errors.items()}}
    times = {
        "p50": latency.p50,
        "p95": latency.p95,
        "p99": latency.p99,
        "p99.9": latency.p999,
        "max": latency.max,
    }
    return {
        "ok/s": f"{report.throughput:,.0f}",
        **{name: _milliseconds(each) if latency.count else "-" for name, each in times.items()},
        "statuses": "\n".join(f"{name} {number:,}" for name, number in counts.items()) or "-",
        _TRIES: f"{tries:.2f}" if tries is not None else "-",
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if seconds >= 1 else f"{seconds * 1e3:.3g}"


def _verdict(report: load.Report) -> Text:
    if report.verdict.held:
        label = "\n(no conflict possible)" if NO_CONFLICT in report.notes else ""
        return Text(report.verdict.word + label, "green" if report.verdict.unknown == 0 else "yellow")
    if report.strategy in UNSAFE:
        return Text(f"{report.verdict.word}\n(expected)", "yellow")
    return Text(report.verdict.word, "bold red")


def _remarks(report: load.Report) -> Iterator[tuple[str, str | None]]:
    if report.interrupted:
        yield "ended early by Ctrl-C", None
    if not report.verdict.held:
        yield report.verdict.detail, None if report.strategy in UNSAFE else "red"
    for kind, seen in report.errors.items():
        yield f"{seen['count']:,} faults of the kind {kind}, the first: {seen['first']}", "yellow"
    for note in report.notes:
        if note != NO_CONFLICT:  # stands beside the verdict
            yield note, None
