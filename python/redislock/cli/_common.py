"""What the commands share: the options that name the server, and reading and printing values."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

import redislock
from redislock.cli._group import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

LARGEST: Final = 2**63 - 1
DEFAULT_TIMEOUT: Final = "5"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        show_default=False,
        help="The server: redis://user:password@host:port/db, rediss:// for TLS, unix:///path. "
        "Default: REDIS_CONN, else localhost:6379.",
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="TEXT",
        show_default=False,
        help="What the keys begin with. Default: KEY_PREFIX, else redislock.",
    ),
]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="SECONDS", help="For all of it, retries included.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        show_default=False,
        help="Apply the request once, however often it is sent with this key.",
    ),
]
User = Annotated[str, typer.Argument(metavar="USER", help="Whose account.", show_default=False)]
Amount = Annotated[
    str,
    typer.Argument(
        metavar="AMOUNT",
        help="A whole number from 1, in the smallest unit: cents, items.",
        show_default=False,
    ),
]


def examples(*lines: str) -> str:
    """Return the last paragraph of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def open_client(url: str | None, prefix: str | None, timeout: str | float) -> redislock.Client:
    """Make the client that the options ask for; a wrong one is named."""
    seconds = duration(timeout, "--timeout", positive=True) if isinstance(timeout, str) else timeout
    try:
        return redislock.Client(url, prefix=prefix, timeout=seconds)
    except redislock.ConfigurationError as error:
        if url is not None and _is_of_url(url):
            wrong("--url", str(error))
        if prefix is not None and "prefix" in str(error):
            wrong("--prefix", str(error))
        raise


def _is_of_url(url: str) -> bool:
    """Tell whether the URL is wrong taken alone."""
    try:
        redislock.Client(url, prefix="", max_retries=0).close()
    except redislock.ConfigurationError:
        return True
    return False


def wrong(argument: str, why: str) -> NoReturn:
    """End the command: an argument cannot be used."""
    raise typer.BadParameter(why, param_hint=f"'{argument}'")


def need_sql(argument: str, what: str) -> None:
    """End the command where a database cannot be spoken to: `what`, which `argument` names, needs it."""
    try:
        importlib.import_module("redislock.sql")
    except ImportError as error:
        wrong(argument, f"{what} needs {error.name}: pip install 'redislock[sql]'")


def whole_number(text: str, name: str, smallest: int, largest: int = LARGEST) -> int:
    """Return the number that an argument holds."""
    if re.fullmatch(r"[+-]?[0-9]{1,19}", text) and smallest <= int(text) <= largest:
        return int(text)
    return wrong(name, f"must be a whole number from {smallest} to {largest}, not {text!r}")


def duration(text: str, name: str, *, positive: bool = False) -> float:
    """Return the seconds that an argument holds."""
    if re.fullmatch(r"[0-9]{1,6}|[0-9]{0,6}\.[0-9]{1,9}", text) and float(text) >= positive * 1e-9:
        return float(text)
    least = "above 0" if positive else "from 0"
    return wrong(name, f"must be a number of seconds {least}, like 2.5, not {text!r}")


def check_file(name: str | None, option: str) -> None:
    """Refuse a file that cannot be written."""
    if name is None or name == "-":
        return
    path = Path(name)
    if not name or path.is_dir():
        wrong(option, f"{name or 'nothing'} is a folder; name a file in it")
    if not path.parent.is_dir():
        wrong(option, f"the folder {path.parent} does not exist")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        wrong(option, f"{name} cannot be written")


def write_file(name: str, write: Callable[[], object]) -> bool:
    """Write a file at the end of a command; if that fails, say so: what was seen is to be told as well."""
    try:
        write()
    except OSError as error:
        tell(f"{name}: {error.strerror}")
        return False
    return True


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a value for programs to read."""
    typer.echo(json.dumps(value, indent=2))


def end_unless_ok(result: redislock.Result | redislock.StockResult) -> None:
    """Give a refused status its exit code."""
    if not result:
        raise typer.Exit(1)


def refuse(sentence: str) -> NoReturn:
    """End the command: it was understood and the account did not allow it."""
    tell(sentence)
    raise typer.Exit(1)


def natural_width(console: Console, table: Table) -> int:
    """Return how wide a table is where there is room for all of it."""
    from rich.measure import Measurement

    unbounded = console.options.update_width(1_000_000)
    return Measurement.get(console, unbounded, table).maximum


def in_words(seconds: float) -> str:
    """Return a duration for people, with three digits."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def in_brief(seconds: float) -> str:
    """Return a duration in a few characters, for a column."""
    if seconds < 9.95:  # noqa: PLR2004 - below "10 s"
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:  # noqa: PLR2004 - seconds are easier to compare
        return f"{minutes * 60 + rest} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min {rest:02} s"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes:02} min"
