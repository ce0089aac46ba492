"""The database that a demonstration runs on: one that the user named, else a private PostgreSQL."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from typing import TYPE_CHECKING, Final

import typer

import redislock
from redislock._server import ServerError
from redislock.cli._common import duration
from redislock.cli._group import FAULT, tell
from redislock.cli._target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

_PINGS: Final = 15


@contextlib.contextmanager
def open_database(url: str | None, timeout: str) -> Iterator[Target]:
    """Find or start the database, with its tables; ends the command where it cannot be used."""
    from redislock import sql

    with contextlib.ExitStack() as stack:
        if url is not None:
            yield _look(url, timeout)
            return
        try:
            server = stack.enter_context(sql.PrivatePostgres())
        except ServerError as error:
            tell(str(error))
            raise typer.Exit(FAULT) from None
        found = _look(server.url, timeout)
        line = f"{server.name}, private, at {server.url}; no commit waits for the disk"
        yield dataclasses.replace(found, private=True, line=line)


def _look(url: str, timeout: str) -> Target:
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
        return Target(
            url=url,
            shown_url=client.url,
            line=f"{found.server} {found.version} at {client.url}",
            private=False,
            health=found,
            round_trip=statistics.median(pings),
        )
