"""The command `race`: one interleaving, the same every time, and the moment that decides it."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import redislock
from redislock import _race
from redislock.cli._common import (
    DEFAULT_TIMEOUT,
    Json,
    Prefix,
    check_file,
    examples,
    need_sql,
    open_client,
    print_json,
    whole_number,
    write_file,
    wrong,
)
from redislock.cli._common import duration as seconds
from redislock.cli._database import open_database
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
    FOR_UPDATE = "for_update"
    VERSION = "version"
    ATOMIC = "atomic"
    SERIALIZABLE = "serializable"


_OF_DATABASES: Final = ("for_update", "version", "atomic", "serializable")


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(epilog=RACE)(race)


RACE = examples(
    "redislock race naive",
    "redislock race watch --buyers 3 --svg race.svg",
    "redislock race lock --url redis://db.example:6379 --json",
    "redislock race for_update",
)


def race(
    strategy: Annotated[
        Strategy,
        typer.Argument(
            metavar="STRATEGY",
            help="naive, lua, lock or watch; on PostgreSQL for_update, version, atomic or serializable.",
            show_default=False,
        ),
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

    They take turns: all read before anybody writes. for_update, version, atomic and serializable run on
    PostgreSQL, one of its own unless --url names another; so does naive where --url is postgresql://.
    naive is there to sell what it does not have; the others show the moment at which they were saved.

    Ctrl-C prints what was seen so far.

    Exit codes: 1 if a strategy other than naive lost money; 3 if the server cannot be used.
    """
    asked: dict[str, Any] = {
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
        on_sql = _is_on_sql(strategy.value, url)
        with open_database(url, timeout) if on_sql else open_target(url, timeout) as target:
            common = {
                "strategy": strategy.value,
                "timeout": patience,
                "on_broken_off": broken.append,
                **asked,
            }
            try:
                if on_sql:
                    from redislock import _sql_race

                    seen = _sql_race.run(str(target.url), **common)
                else:
                    seen = _race.run(target.url, prefix=prefix, **common)
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


def _is_on_sql(strategy: str, url: str | None) -> bool:
    """Tell whether the race is one of PostgreSQL; refuse what exists nowhere."""
    if url is not None and url.startswith("sqlite:"):
        wrong("--url", "a race is led on Redis or PostgreSQL; SQLite locks no rows")
    on_sql = url is not None and url.startswith(("postgresql:", "postgres:"))
    if strategy in _OF_DATABASES:
        if url is not None and not on_sql:
            wrong("--url", f"{strategy} runs on PostgreSQL: name it as postgresql://, or leave --url out")
    elif on_sql and strategy != "naive":
        wrong("STRATEGY", f"{strategy} runs on Redis; on PostgreSQL: naive, {', '.join(_OF_DATABASES)}")
    if on_sql or strategy in _OF_DATABASES:
        need_sql("STRATEGY", strategy)
        from redislock import sql

        try:
            sql.connect(url or "postgresql://").close()
        except redislock.ConfigurationError as error:
            wrong("--url", str(error))
    return on_sql or strategy in _OF_DATABASES


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
