"""The database that a demonstration runs on: one that the user named, else a private PostgreSQL."""

from __future__ import annotations

import contextlib
import statistics
from typing import TYPE_CHECKING, Final

import typer

import redislock
from redislock._private_process import ServerError
from redislock.cli._common import duration
from redislock.cli._group import FAULT, tell
from redislock.cli._target import Target
from redislock.scenarios.worlds import require_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock.sql import PrivatePostgres

_PINGS: Final = 15


@contextlib.contextmanager
def open_database(url: str | None, timeout: str, *, keep: bool = False) -> Iterator[Target]:
    """Find or start the database, with its tables; ends the command where it cannot be used.

    With `keep` a server that was started here is left running.
    """
    require_sql()
    from redislock.sql import PrivatePostgres

    with contextlib.ExitStack() as stack:
        server = None
        if url is None:
            try:
                server = stack.enter_context(PrivatePostgres(outlives=keep))
            except ServerError as error:
                tell(f"{error}; or name a database with its URL")
                raise typer.Exit(FAULT) from None
        yield _look(url or server.url, timeout, server)  # type: ignore[union-attr]  # one of them is there


def _look(url: str, timeout: str, server: PrivatePostgres | None) -> Target:
    from redislock import sql

    with sql.connect(url, timeout=duration(timeout, "--timeout", positive=True)) as client:
        try:
            client.migrate()
            found = client.health()
        except redislock.Error as error:
            tell(str(error))
            raise typer.Exit(FAULT) from None
        if not found:
            tell(found.error)
            raise typer.Exit(FAULT)
        pings = [client.health().latency for _ in range(_PINGS)]
        line = f"{found.server} {found.version} at {client.url}"
        if server is not None:
            line = f"{server.name}, private, at {server.url}; no commit waits for the disk"
        return Target(
            url=url,
            shown_url=client.url,
            line=line,
            private=server is not None,
            health=found,
            round_trip=statistics.median(pings),
            postgres=server,
        )
