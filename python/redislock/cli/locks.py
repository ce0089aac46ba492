"""The command `locks`: what is held and awaited on a server, once or again and again."""

# ruff: noqa: PLR0917 - one parameter per option is how typer reads a command

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer
from typer.core import TyperCommand

import redislock
from redislock.cli._common import Json, Timeout, Url, duration, examples, print_json, whole_number
from redislock.cli._group import tell, with_way_out
from redislock.cli._holders import Listing, find_edges
from redislock.cli._lock_server import DEFAULT_TIMEOUT, LockServer, lock_name
from redislock.cli._row_lock_server import RowLockServer
from redislock.scenarios.worlds import is_sql_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

Server: TypeAlias = LockServer | RowLockServer

_EVERY: Final = "2"
_WIDE: Final = 1000
_MANY: Final = 1_000_000
_ROOM_BELOW: Final = 12
"""Lines of a watched terminal that are not rows of the table: heads, waits, the fault."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=LOCKS, cls=_WatchCommand)(locks)


class _WatchCommand(TyperCommand):
    """A command whose option `--watch` stands alone or before a number of seconds."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the number where it was left out."""
        options = args.index("--") if "--" in args else len(args)
        for at in range(options - 1, -1, -1):
            follows = args[at + 1] if at + 1 < options else ""
            if args[at] in {"--watch", "-w"} and not re.match(r"[0-9.]", follows):
                args[at + 1 : at + 1] = [_EVERY]
        return super().parse_args(ctx, args)


LOCKS = examples(
    "redislock locks",
    "redislock locks orders:17 orders:18",
    "redislock locks --watch",
    "redislock locks --watch 0.5 --url redis://db.example:6379",
    "redislock locks --json",
    "redislock locks --url postgresql://shop@db.example/shop",
)


def locks(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="These locks alone, also such as only redis-py ever took. Default: all of redislock's.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(
            "--watch",
            "-w",
            metavar="[SECONDS]",
            help=f"Look again every so many seconds, until Ctrl-C; every {_EVERY} where none is given.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        str, typer.Option("--limit", "-n", metavar="N", help="Show about so many rows.")
    ] = "100",
    url: Url = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """List the locks that are held or awaited: owners, leases, queues, deadlocks.

    Of a postgresql:// database those of rows: who waits for whom on redislock's tables. PostgreSQL
    does not tell which rows are held where nobody waits.

    With --json and --watch each look is one line.
    """
    most = whole_number(limit, "--limit", 1, _MANY)
    pause = None if watch is None else duration(watch, "--watch", positive=True)
    wanted = [lock_name(each) for each in names] if names else None
    from redislock.cli._lock_table import show

    with _open(url, timeout) as server:
        if pause is None:
            listing = _look(server, wanted)
            if as_json:
                print_json(_as_dict(listing))
            else:
                console = _console()
                console.print(show(listing, console, most))
        elif as_json:
            _watch_as_json(server, wanted, pause)
        else:
            _watch(server, wanted, pause, most)


def _open(url: str | None, timeout: str) -> Server:
    if url is not None and is_sql_url(url):
        return RowLockServer(url, timeout)
    return LockServer(url, timeout)


def _look(server: Server, wanted: Sequence[bytes] | None) -> Listing:
    found = server.look(wanted)
    return Listing(found, find_edges(found), server.url)


def _as_dict(listing: Listing) -> dict[str, Any]:
    return {
        "url": listing.where,
        "time": dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds"),
        "locks": [each.as_dict() for each in sorted(listing.locks, key=lambda each: each.key)],
        "edges": [each.as_dict() for each in listing.edges],
    }


def _watch_as_json(server: Server, wanted: Sequence[bytes] | None, pause: float) -> None:
    for listing, fault in _looks(server, wanted, pause):
        if fault:
            tell(fault)
        else:
            typer.echo(json.dumps(_as_dict(listing)))


def _watch(server: Server, wanted: Sequence[bytes] | None, pause: float, most: int) -> None:
    from rich.live import Live

    console = _console()
    looks = (_frame(listing, fault, pause, console, most) for listing, fault in _looks(server, wanted, pause))
    first = next(looks)  # before the terminal is touched: it may be a fault
    if not console.is_terminal:
        for each in itertools.chain([first], looks):
            console.print(each)
            console.file.flush()
    with Live(first, console=console, auto_refresh=False) as live:
        for each in looks:
            live.update(each, refresh=True)


def _frame(listing: Listing, fault: str, pause: float, console: Console, most: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from redislock.cli._lock_table import show

    at = dt.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    head = Text(f"{listing.where}, {at}, every {pause:g} s; Ctrl-C ends", "dim")
    rows = max(min(most, console.height - _ROOM_BELOW), 1) if console.is_terminal else most
    return Group(head, show(listing, console, rows), *([Text(fault, "yellow")] if fault else []))


def _looks(server: Server, wanted: Sequence[bytes] | None, pause: float) -> Iterator[tuple[Listing, str]]:
    """Look again and again. After the first time a fault is told, beside what was seen last."""
    listing = _look(server, wanted)
    yield listing, ""
    while True:
        time.sleep(pause)
        fault = ""
        try:
            listing = _look(server, wanted)
        except redislock.Error as error:
            fault = with_way_out(str(error))
        yield listing, fault


def _console() -> Console:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # nothing is cut off for a program that reads it
    return console
