"""The command `race`: one interleaving, the same every time, and the moment that decides it."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

import redislock
from redislock import _race
from redislock.cli._common import (
    DEFAULT_TIMEOUT,
    Json,
    Prefix,
    check_file,
    examples,
    open_client,
    print_json,
    whole_number,
    write_file,
    wrong,
)
from redislock.cli._common import duration as seconds
from redislock.cli._group import REFUSED, USAGE, tell
from redislock.cli._scores import UNSAFE
from redislock.cli._sequence import draw
from redislock.cli._target import Url, open_target
from redislock.cli._timeline import Timeline

if TYPE_CHECKING:
    from redislock.cli._target import Target


class Strategy(str, Enum):
    """How the buyers withdraw."""

    NAIVE = "naive"
    LUA = "lua"
    LOCK = "lock"
    WATCH = "watch"


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(epilog=RACE)(race)


RACE = examples(
    "redislock race naive",
    "redislock race watch --buyers 3 --svg race.svg",
    "redislock race lock --url redis://db.example:6379 --json",
)


def race(
    strategy: Annotated[
        Strategy, typer.Argument(metavar="STRATEGY", help="naive, lua, lock or watch.", show_default=False)
    ],
    *,
    balance: Annotated[str, typer.Option("--balance", metavar="N", help="What there is to sell.")] = "5",
    amount: Annotated[str, typer.Option("--amount", metavar="N", help="What each buyer takes.")] = "1",
    buyers: Annotated[str, typer.Option("--buyers", metavar="N", help="How many, from 2 to 26.")] = "2",
    url: Url = None,
    prefix: Prefix = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="SECONDS", help="For each answer of the server.")
    ] = DEFAULT_TIMEOUT,
    svg_file: Annotated[
        str | None,
        typer.Option(
            "--svg", metavar="FILE", show_default=False, help="Draw the sequence diagram there as well."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Lead buyers through a race, one round trip at a time, the same every time.

    They take turns: all read before anybody writes.
    naive is there to sell what it does not have; the others show the moment at which they were saved.

    Ctrl-C prints what was seen so far.

    Exit codes: 1 if a strategy other than naive lost money; 3 if the server cannot be used.
    """
    asked = {
        "balance": whole_number(balance, "--balance", 0),
        "amount": whole_number(amount, "--amount", 1),
        "buyers": whole_number(buyers, "--buyers", 2, _race.MOST_BUYERS),
    }
    patience = seconds(timeout, "--timeout", positive=True)
    check_file(svg_file, "--svg")
    if svg_file == "-":
        wrong("--svg", "name a file; - stands for none")
    open_client("memory://", prefix, timeout).close()  # mistakes of the environment, before anything starts
    _race.logger.addHandler(_WARNINGS)
    broken: list[_race.Race] = []
    try:
        with open_target(url, timeout) as target:
            try:
                seen = _race.run(
                    target.url,
                    strategy=strategy.value,
                    prefix=prefix,
                    timeout=patience,
                    on_broken_off=broken.append,
                    **asked,
                )
            except (KeyboardInterrupt, redislock.Error):
                for each in broken:
                    _show(each, target, svg_file, json=json)
                    _refuse_loss(each)
                raise
            written = _show(seen, target, svg_file, json=json)
    finally:
        _race.logger.removeHandler(_WARNINGS)
    _refuse_loss(seen)
    if not written:
        raise typer.Exit(USAGE)


def _refuse_loss(seen: _race.Race) -> None:
    if seen.verdict is not None and not seen.verdict.held and seen.strategy not in UNSAFE:
        raise typer.Exit(REFUSED)


class _Warnings(logging.Handler):
    """Tells of keys that are left."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it as the other sentences are said."""
        tell(record.getMessage())


_WARNINGS: Final = _Warnings(logging.WARNING)


def _show(seen: _race.Race, target: Target, svg_file: str | None, *, json: bool) -> bool:
    """Tell all of it; False where the diagram could not be written."""
    if json:
        server = {
            "line": target.line,
            "url": target.shown_url,
            "private": target.private,
            "name": target.health.server,
            "version": target.health.version,
        }
        print_json({"server": server, **seen.as_dict()})
    else:
        Timeline().tell(seen, target.line)
    if svg_file is None:
        return True
    return write_file(svg_file, lambda: Path(svg_file).write_text(draw(seen), encoding="utf-8"))
