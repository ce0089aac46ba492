"""How a scenario is told while it lasts: a line for each order, or for a bigger run a bar."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redislock.scenarios.flash_sale import Progress
    from redislock.scenarios.shelves import Sold

__all__ = ["in_words", "tell_sold", "watch"]

_EVERY: Final = 1.0  # seconds between two lines, where there is no terminal to draw a bar in

_WORDS: Final = {
    "sold_out": "out of stock",
    "limit": "limit reached",
    "retry_later": "try again later",
    "missing": "no such stock",
    "error": "failed",
}


def in_words(sold: Sold) -> str:
    """Return what an order came to, as a customer is told."""
    if sold.word == "ok":
        return f"order created, stock left {sold.left}"
    told = _WORDS.get(sold.word, sold.word)
    return f"{told} ({sold.reason})" if sold.reason else told


def tell_sold(replica: str, sold: Sold) -> None:
    """Print one order as it happens."""
    typer.echo(f"Replica {replica}: {in_words(sold)}")


@contextlib.contextmanager
def watch(count: int, what: str, *, err: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far a run of so many orders, or whatever it is, has got: a bar in a terminal, else lines."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=err, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(count, what, err=err).tell
        return
    width = min(40, console.width // 5)
    text = TextColumn("{task.fields[told]}")
    with Bars(BarColumn(width), text, console=console, transient=True) as bars:
        task = bars.add_task("", total=count, told="")

        def draw(seen: Progress) -> None:
            bars.update(task, completed=seen.done, told=_told(seen, count, what, console.width - width - 2))

        yield draw


class _Lines:
    """A line each second, and one where the database goes or comes back."""

    def __init__(self, count: int, what: str, *, err: bool) -> None:
        self._count = count
        self._what = what
        self._err = err
        self._next = time.monotonic() + _EVERY
        self._trouble = ""

    def tell(self, seen: Progress) -> None:
        now = time.monotonic()
        if bool(seen.trouble) == bool(self._trouble) and now < self._next:
            return
        self._trouble, self._next = seen.trouble, now + _EVERY
        typer.echo(_told(seen, self._count, self._what), err=self._err)


def _told(seen: Progress, count: int, what: str, room: int = 500) -> str:
    """Say as much of it as there is room for, in characters; trouble in any case."""
    rate = seen.done / seen.elapsed if seen.elapsed > 0 else 0.0
    words = f"{seen.done:,} of {count:,} {what}, {rate:,.0f} a second"
    trouble = f"; {seen.trouble}" if seen.trouble else ""
    level = "" if seen.level is None else f", {seen.level:,} left"
    backlog = "" if seen.backlog is None else f", {seen.backlog:,} wait for the database"
    for more in (level, backlog):
        if len(words) + len(more) + len(trouble) <= room:
            words += more
    return words + trouble
