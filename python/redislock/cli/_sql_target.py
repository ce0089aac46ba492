"""The database that a demonstration runs on: one that the user named, else a PostgreSQL of its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import typer

from redislock._server import ServerNotFoundError
from redislock.cli._group import FAULT, tell
from redislock.cli._target import Target
from redislock.scenarios.worlds import require_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock.sql import PrivatePostgres

__all__ = ["open_sql_target"]


@contextlib.contextmanager
def open_sql_target(url: str | None, timeout: float, *, keep: bool = False) -> Iterator[Target]:
    """Find or start the database and make its tables; ends the command where the named one does not answer.

    With `keep` a server that was started here is left running.
    """
    require_sql()
    if url is not None:
        yield _look(url, timeout)
        return
    from redislock.sql import PrivatePostgres

    try:
        server = PrivatePostgres(outlives=keep)
    except ServerNotFoundError as error:
        tell(f"{error}; or name a database with --url")
        raise typer.Exit(FAULT) from None
    with server:
        yield _look(server.url, timeout, server)


def _look(url: str, timeout: float, server: PrivatePostgres | None = None) -> Target:
    from redislock import sql

    with sql.Client(url, timeout=timeout) as client:
        client.migrate()
        found = client.health()
        if not found:
            tell(found.error)
            raise typer.Exit(FAULT)
        line = f"{found.server} {found.version} at {client.url} (--url)"
        if server is not None:
            line = f"{server.name}, private, at {server.url}"
        return Target(
            url=url,
            shown_url=client.url,
            line=line,
            private=server is not None,
            health=found,
            round_trip=found.latency,
            postgres=server,
        )
