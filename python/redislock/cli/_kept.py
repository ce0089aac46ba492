"""What `--keep` leaves behind: how to reach each private server, and how to end it."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from redislock._server import PrivateServer
    from redislock.sql import PrivatePostgres

Keep = Annotated[
    bool,
    typer.Option("--keep", help="Leave the private servers running, and tell how to reach and stop them."),
]


def kept_redis(server: PrivateServer) -> list[str]:
    """Return the lines for a Redis server that goes on."""
    program = next((each for each in ("redis-cli", "valkey-cli") if shutil.which(each)), "redis-cli")
    where = f"-p {server.port}" if server.port else f"-s {shlex.quote(str(server.socket))}"
    return [f"{program} {where}", f"export REDIS_CONN={shlex.quote(server.url)}", f"kill {server.pid}"]


def kept_postgres(server: PrivatePostgres) -> list[str]:
    """Return the lines for a PostgreSQL that goes on."""
    beside = server.program.path("psql")
    program = "psql" if shutil.which("psql") or not os.access(beside, os.X_OK) else beside
    return [f"{program} {shlex.quote(server.url)}", f"kill -INT {server.pid}"]


def tell_kept(lines: list[str], *, err: bool = False) -> None:
    """Print them as commands to be copied."""
    typer.echo("kept running; reach and stop it with:", err=err)
    for each in lines:
        typer.echo(f"  {each}", err=err)
