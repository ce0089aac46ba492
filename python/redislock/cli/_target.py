"""The server that a demonstration runs on: one that the user named, else one of its own.

`--url` or ``REDIS_CONN`` where given; else a private server that is started and stopped here;
else, where no server program is installed, ``memory://``. The reader is told which.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redislock._private_process import ServerNotFoundError
from redislock._server import PrivateServer
from redislock.cli._common import open_client
from redislock.cli._group import FAULT, tell, with_way_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redislock
    from redislock.sql import PrivatePostgres

_PINGS: Final = 15

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        show_default=False,
        help="The server; keys of its own are made there and deleted again. "
        "Default: REDIS_CONN, else a private server that is started and stopped.",
    ),
]


@dataclasses.dataclass(frozen=True)
class Target:
    """A server that answers."""

    url: str | None
    """What to connect to; None: what ``REDIS_CONN`` says."""
    shown_url: str
    """The same without a password."""
    line: str
    """What and where it is, for a reader."""
    private: bool
    """Whether nobody else uses it."""
    health: redislock.Health
    round_trip: float
    """Seconds that a PING takes, the median of a few."""
    server: PrivateServer | None = None
    """The server, where it was started here."""
    postgres: PrivatePostgres | None = None
    """The same, where it is a database."""


@contextlib.contextmanager
def open_target(url: str | None, timeout: str, *, keep: bool = False) -> Iterator[Target]:
    """Find or start the server; ends the command where the named one does not answer.

    With `keep` a server that was started here is left running.
    """
    if url is not None:
        yield _look(url, "--url", timeout)
    elif os.environ.get("REDIS_CONN"):
        yield _look(None, "REDIS_CONN", timeout)
    else:
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(PrivateServer(outlives=keep))
            except ServerNotFoundError as error:
                found = _look("memory://", "", timeout)
                yield dataclasses.replace(
                    found, private=True, line=f"memory://, inside this process: {error}"
                )
            else:
                found = _look(server.url, "", timeout)
                yield dataclasses.replace(
                    found, private=True, line=f"{server.name}, private, at {server.url}", server=server
                )


def _look(url: str | None, named_by: str, timeout: str) -> Target:
    with open_client(url, None, timeout) as client:
        found = client.health()
        if not found:
            tell(with_way_out(found.error))
            raise typer.Exit(FAULT)
        if found.role in ("slave", "replica"):
            tell(f"{client.url} is a replica and refuses writes; name its master")
            raise typer.Exit(FAULT)
        pings = [client.health().latency for _ in range(_PINGS)]
        return Target(
            url=url,
            shown_url=client.url,
            line=f"{found.server} {found.version} at {client.url} ({named_by})",
            private=False,
            health=found,
            round_trip=statistics.median(pings),
        )
