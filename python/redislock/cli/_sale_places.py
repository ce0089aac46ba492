"""The servers of a flash sale: where the stock is, and the database in which orders end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from typing import TYPE_CHECKING, Final

import typer

from redislock._private_folder import PrivateFolder
from redislock.cli._database import open_database
from redislock.cli._group import FAULT, tell
from redislock.cli._kept import kept_postgres, kept_redis, tell_kept
from redislock.cli._target import open_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock.cli._target import Target

__all__ = ["POSTGRES", "Places", "open_places"]

POSTGRES: Final = "postgres"
"""What names a private PostgreSQL as the database."""


@dataclasses.dataclass(frozen=True)
class Places:
    """What was found or started."""

    url: str | None
    """What to sell from; None: what ``REDIS_CONN`` says."""
    database: str | None
    """Where orders go; None where that is nowhere, or where they are sold from."""
    lines: tuple[str, ...]
    """What and where they are, for a reader."""


@contextlib.contextmanager
def open_places(
    url: str | None,
    database: str | None,
    timeout: float,
    *,
    on_sql: bool,
    wants_database: bool,
    keep: bool,
    err: bool,
) -> Iterator[Places]:
    """Find or start both; at the end tell how to reach what goes on."""
    kept: list[str] = []
    with contextlib.ExitStack() as stack:
        if keep:
            stack.callback(_tell, kept, err=err)
        if on_sql:
            target = stack.enter_context(open_database(url, str(timeout), keep=keep))
        else:
            target = stack.enter_context(open_target(url, str(timeout), keep=keep))
            if target.shown_url.startswith("memory:"):
                tell("replicas are processes and need a server; install one: pip install 'redislock[server]'")
                raise typer.Exit(FAULT)
        lines = [target.line]
        kept += _ways(target)
        where = None
        if wants_database:
            where, line, ways = stack.enter_context(_open_database(database, timeout, keep=keep))
            lines.append(f"orders go to {line}")
            kept += ways
        yield Places(target.url, where, tuple(lines))


@contextlib.contextmanager
def _open_database(
    database: str | None, timeout: float, *, keep: bool
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield its URL, what it is, and how to reach it afterwards."""
    if database is not None:
        private = database == POSTGRES
        with open_database(None if private else database, str(timeout), keep=keep) as target:
            yield target.url or "", target.line, _ways(target)
        return
    folder = PrivateFolder(longest=4096)
    file = folder.path / "orders.db"
    try:
        yield f"sqlite:///{file}", f"SQLite, {file}", [f"sqlite3 {shlex.quote(str(file))}"] if keep else []
    finally:
        if keep:
            # Without its lock it would be swept away as one whose owner has died.
            with contextlib.suppress(OSError):
                os.remove(folder.path / "owner")  # noqa: PTH107
        else:
            folder.remove()


def _ways(target: Target) -> list[str]:
    if target.server is not None:
        return kept_redis(target.server)
    return [] if target.postgres is None else kept_postgres(target.postgres)


def _tell(kept: list[str], *, err: bool) -> None:
    if kept:
        tell_kept(kept, err=err)
    else:
        tell("--keep: no private server was started, so none is left running")
