"""The commands about a server: run one, or ask one how it is."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redislock.cli._common import (
    DEFAULT_TIMEOUT,
    Json,
    Prefix,
    Timeout,
    Url,
    examples,
    in_words,
    open_client,
    print_json,
    whole_number,
)
from redislock.cli._group import FAULT, tell, with_way_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redislock


DEFAULT_PORT: Final = 6379  # where the clients look by themselves


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=SERVE)(serve)
    app.command(epilog=HEALTH)(health)


SERVE = examples("redislock serve", "redislock serve --port 0 --json")


def serve(
    port: Annotated[
        str, typer.Option("--port", "-p", metavar="PORT", help="On 127.0.0.1; 0: any free one.")
    ] = str(DEFAULT_PORT),
    as_json: Json = False,
) -> None:
    """Run a real server in the foreground, until Ctrl-C.

    It forgets everything when it stops.
    """
    from redislock._server import PrivateServer

    number = whole_number(port, "--port", 0, 65535)
    with _asked_to_stop(), PrivateServer(port=number) as server:
        if as_json:
            print_json({"url": server.url, "pid": server.pid, "server": server.name})
        else:
            typer.echo(f"{server.name} at {server.url}")
            typer.echo("It keeps nothing when it stops. Ctrl-C stops it.")
            if server.port != DEFAULT_PORT:
                typer.echo(f"For the other commands: export REDIS_CONN={server.url}")
        typer.get_text_stream("stdout").flush()
        while server.running:
            time.sleep(0.2)
        tell(f"the server ended by itself: {server.log.rstrip().rpartition(chr(10))[2]}")
        raise typer.Exit(FAULT)


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[None]:
    """Take Ctrl-C, SIGTERM and SIGHUP inside the block as the regular end."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


HEALTH = examples(
    "redislock health",
    "redislock health --url redis://:password@db.example:6379 --json",
)


def health(
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Ask a server how it is, and what of its settings endangers money.

    Exit code 3 where it cannot be reached.
    """
    with open_client(url, prefix, timeout) as client:
        found = client.health()
        where = client.url
    if as_json:
        print_json({"url": where, **found.as_dict()})
    elif found:
        _print_health(found, where)
    if not found:
        tell(with_way_out(found.error))
        raise typer.Exit(FAULT)


def _print_health(found: redislock.Health, where: str) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False, soft_wrap=True)
    server = f"{found.server} {found.version}".strip() or "a server"
    role = f"{found.role}, " if found.role else ""
    console.print(f"{server} at {where}: {role}PING {in_words(found.latency)}")
    for warning in found.warnings:
        console.print(f"warning: {warning}", style="yellow")
