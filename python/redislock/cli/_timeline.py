"""How a race is told on a console: a column for each buyer, or lines where that is too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redislock._verdict import counted
from redislock.cli._scores import UNSAFE

if TYPE_CHECKING:
    from redislock._race import Race, Step
    from redislock._verdict import Verdict

_COLUMN: Final = 26  # characters that a buyer needs to be readable
_REST: Final = 14  # the number of the step, and what the server holds
_WIDEST: Final = 44


class Timeline:
    """Writes a race to a console, fit for a terminal or for a file."""

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False)
        if not self._console.is_terminal:
            self._console.width = 500  # nothing is cut off for a program that reads it

    def tell(self, race: Race, server: str) -> None:
        """Print all of it."""
        self._say(server)
        self._say(
            f"{race.strategy}: {len(race.buyers)} buyers want {race.amount} each; there are {race.balance}"
        )
        self._say("")
        if self._console.is_terminal and self._console.width >= _REST + _COLUMN * len(race.buyers):
            self._console.print(_table(race, self._console.width))
        else:
            for step in race.steps:
                self._line(step)
        self._say("")
        for name, result in race.results.items():
            left = (
                "" if result.balance is None else f", told that {counted(result.balance, 'is', 'are')} left"
            )
            tries = f" after {result.attempts} attempts" if result.attempts > 1 else ""
            self._say(f"{name}: {result.status}{tries}{left}")
        if race.broken_off:
            self._say(broken_off(race), "yellow")
        if race.verdict is not None:
            self._say(f"sold {race.sold} of {race.balance}; the server holds {_held(race.end)}")
            self._verdict(race, race.verdict)

    def _line(self, step: Step) -> None:
        self._say(
            f"{step.number:>2}  {step.buyer}: {step.does} "
            f"[{' | '.join(step.sent)}]; the server holds {_held(step.balance)}"
        )
        if step.lost:
            self._say(f"    LOST: {step.lost}", "red")
        if step.saved:
            self._say(f"    SAVED: {step.saved}", "green")

    def _verdict(self, race: Race, verdict: Verdict) -> None:
        if verdict:
            self._say(f"verdict: {verdict.word}", "green")
            return
        expected = race.strategy in UNSAFE
        self._say(
            f"verdict: {verdict.word}{' (expected)' * expected}; {verdict.detail}",
            "yellow" if expected else "bold red",
        )

    def _say(self, line: str, style: str | None = None) -> None:
        self._console.print(line, style=style, soft_wrap=not self._console.is_terminal)


def broken_off(race: Race) -> str:
    """Say that a race came to no end, and who had not."""
    trips = f"{len(race.steps)} round trip{'s' * (len(race.steps) != 1)}"
    cause = "Ctrl-C" if race.broken_off == "Ctrl-C" else "a fault"
    rest = ", ".join(name for name in race.buyers if name not in race.results)
    return f"interrupted by {cause} after {trips}{f'; no end of {rest}' * bool(rest)}"


def _held(balance: int | None) -> str:
    return "nothing" if balance is None else str(balance)


def _table(race: Race, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right", no_wrap=True)
    column = min(_WIDEST, (width - _REST) // len(race.buyers) - 2)
    for name in race.buyers:
        table.add_column(name, width=column)
    table.add_column("server", justify="right", no_wrap=True)
    for step in race.steps:
        cells = [_cell(step) if name == step.buyer else Text() for name in race.buyers]
        table.add_row(str(step.number), *cells, _held(step.balance))
    return table


def _cell(step: Step) -> Text:
    cell = Text(step.does)
    if step.ended and step.ended != "ok":
        cell.append(f" ({step.ended})", "yellow")
    if step.lost:
        cell.append(f"\nLOST: {step.lost}", "red")
    if step.saved:
        cell.append(f"\nSAVED: {step.saved}", "green")
    return cell
