"""How a comparison is shown: a bar or plain lines while it runs, then one table and what to note."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from redislock._sweep import tick, varying
from redislock.cli._common import in_words, natural_width
from redislock.load import NO_CONFLICT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redislock import load
    from redislock._sweep import Cell, Run
    from redislock.cli._checks import Ruling

UNSAFE: Final = frozenset({"naive"})
"""Strategies that are expected to lose money under contention."""


_SERVICE: Final = "p99 from\nbegin"
_TRIES: Final = "tries\nper ok"
_TRIPS: Final = "trips\nper ok"
_COMMANDS: Final = "commands\nper ok"
_TRANSACTIONS: Final = "transactions\nper ok"
_COSTS: Final = (_TRIES, _TRIPS, _COMMANDS, _TRANSACTIONS)
_LAYOUTS: Final = (
    (
        "ok/s",
        "p50",
        "p95",
        "p99",
        _SERVICE,
        "p99.9",
        "max",
        "statuses",
        _TRIES,
        _TRIPS,
        _COMMANDS,
        _TRANSACTIONS,
    ),
    ("ok/s", "p50", "p99", _SERVICE, "max", "statuses", _TRIES, _TRIPS, _COMMANDS, _TRANSACTIONS),
    ("ok/s", "p50", "p99", _SERVICE, "max", "statuses", _TRIES),
    ("ok/s", "p50", "p99", _SERVICE, "statuses"),
    ("ok/s", "p50", "p99"),
)
"""The columns between strategy and verdict; the first that a terminal is wide enough for is taken."""

_LATENCIES: Final = {"p50": "p50", "p95": "p95", "p99": "p99", "p99.9": "p999", "max": "max"}
_PER_OK: Final = {
    _TRIES: "attempts",
    _TRIPS: "round_trips",
    _COMMANDS: "statements",
    _TRANSACTIONS: "transactions",
}
_HEADS: Final = {"users": "users", "accounts": "accounts", "rtt": "added"}


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
    def watch(self, run: Run, number: int, of: int) -> Iterator[Callable[[load.Progress], None] | None]:
        """Show a run while it lasts, if somebody looks."""
        if not self.console.is_terminal:
            yield None
            return
        columns = (TextColumn("{task.description:<6}"), BarColumn(), TextColumn("{task.fields[told]}"))
        with Progress(*columns, console=self.console, transient=True) as bar:
            place = f" {number}/{of}" if of > 1 else ""
            task = bar.add_task(run.strategy + place, total=1.0, told="")

            def draw(seen: load.Progress) -> None:
                told = "warming up" if seen.phase == "warming" else f"{seen.throughput:,.0f} ok/s"
                bar.update(task, completed=seen.fraction, told=told)

            yield draw

    def tell_one(self, run: Run, report: load.Report, runs: Sequence[Run]) -> None:
        """Print what a run showed, where no bar did."""
        if self.console.is_terminal:
            return
        where = run.setting.words(varying([each.setting for each in runs]))
        rounds = max(each.round for each in runs)
        place = f"round {run.round} of {rounds}" if rounds > 1 else ""
        self.say(_line(", ".join(filter(None, (run.strategy, where, place))), report))

    def tell_all(self, cells: Sequence[Cell]) -> None:
        """Print the table, and below it what a reader should know of each strategy."""
        if not cells:
            return
        self.say("")
        moving = varying([each.setting for each in cells])
        open_loop = any(each.report.rate for each in cells)
        for layout in _LAYOUTS:
            left_out = {_SERVICE} if not open_loop else set()
            if all(each.report.transactions is None for each in cells):
                left_out.add(_TRANSACTIONS)
            chosen = [name for name in layout if name not in left_out]
            table = _table(cells, moving, chosen)
            if natural_width(self.console, table) <= self.console.width:
                self.console.print(table)
                since = "; from when each was due" if open_loop else ""
                self.say(f"Latencies: milliseconds, of withdrawals that were ok{since}.", "dim")
                break
        else:
            for each in cells:
                self.say(_line(_name(each, moving), each.report))
        for each in cells:
            for line, style in _remarks(each):
                self.say(f"{_name(each, moving)}: {line}", style)

    def tell_rulings(self, rulings: Sequence[Ruling]) -> None:
        """Print what became of the checks."""
        for each in rulings:
            word, style = ("holds", "green") if each.held else ("fails", "bold red")
            self.say(f"{each.demand} {word}: {each.detail}", style)


def _name(cell: Cell, moving: Sequence[str]) -> str:
    return ", ".join(filter(None, (cell.strategy, cell.setting.words(moving))))


def _line(name: str, report: load.Report) -> str:
    latency, verdict = report.latency, " ".join(_verdict(report).plain.split())
    times = f"p50 {in_words(latency.p50)}, p99 {in_words(latency.p99)}, " if latency.count else ""
    return f"{name}: {report.throughput:,.0f} ok/s, {times}{verdict}"


def _table(cells: Sequence[Cell], moving: Sequence[str], figures: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("strategy", no_wrap=True)
    for name in moving:
        table.add_column(_HEADS[name], justify="right", no_wrap=True)
    for name in figures:
        table.add_column(name, justify="left" if name == "statuses" else "right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for each in cells:
        told = _figures(each)
        mark = " !" if each.short_of_money() else ""
        table.add_row(
            each.strategy + mark,
            *(tick(each.setting, name) for name in moving),
            *(told[name] for name in figures),
            _verdict(each.report),
        )
    return table


def _figures(cell: Cell) -> dict[str, str]:
    report = cell.report
    latency, service = report.latency, report.service
    counts = {**report.statuses, **{kind: each["count"] for kind, each in report.errors.items()}}
    return {
        "ok/s": f"{report.throughput:,.0f}" + _spread(cell, "throughput"),
        **{
            name: _milliseconds(getattr(latency, field)) + (_spread(cell, "p99") if name == "p99" else "")
            if latency.count
            else "-"
            for name, field in _LATENCIES.items()
        },
        _SERVICE: _milliseconds(service.p99) if service.count else "-",
        "statuses": "\n".join(f"{name} {number:,}" for name, number in counts.items()) or "-",
        **{
            column: f"{value:.2f}" if (value := cell.value(metric)) is not None else "-"
            for column, metric in _PER_OK.items()
        },
    }


def _spread(cell: Cell, metric: str) -> str:
    """Return the least and the greatest of several rounds, for a line of its own."""
    found = cell.spread(metric)
    if found is None:
        return ""
    show = _milliseconds if metric == "p99" else "{:,.0f}".format
    return f"\n{show(found[0])}-{show(found[1])}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if seconds >= 1 else f"{seconds * 1e3:.3g}"


def _verdict(report: load.Report) -> Text:
    if report.verdict.held:
        label = "\n(no conflict possible)" if NO_CONFLICT in report.notes else ""
        return Text(report.verdict.word + label, "green" if report.verdict.unknown == 0 else "yellow")
    if report.strategy in UNSAFE:
        return Text(f"{report.verdict.word}\n(expected)", "yellow")
    return Text(report.verdict.word, "bold red")


def _remarks(cell: Cell) -> Iterator[tuple[str, str | None]]:
    report = cell.report
    if report.interrupted:
        yield "ended early by Ctrl-C", None
    if not report.verdict.held:
        yield report.verdict.detail, None if report.strategy in UNSAFE else "red"
    for kind, seen in report.errors.items():
        yield f"{seen['count']:,} faults of the kind {kind}, the first: {seen['first']}", "yellow"
    if short := cell.short_of_money():
        told = " and ".join(f"{name} {report.statuses[name]:,}" for name in short)
        yield f"! part of its load moved no money: {told}", "yellow"
    for note in report.notes:
        if note != NO_CONFLICT:  # stands beside the verdict
            yield note, None
