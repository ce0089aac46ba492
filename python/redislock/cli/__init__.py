"""The command line: one module per family of commands, put together here.

Each family has a function ``register(app)``. What they share (options, output, how a fault is
told) is in `_common` and `_group`. Nothing here is imported by the package itself.
"""

from __future__ import annotations

import inspect
import io
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redislock.cli import accounts, bank, compare, flash_sale, locks, race, relay, server, stock, unlock
from redislock.cli._group import (
    PIPE_CLOSED,
    FaultTellingGroup,
    drop_output,
    explain,
    flush,
    help_alone,
    is_of_closed_pipe,
    tell,
)

if TYPE_CHECKING:
    from types import FrameType

EXIT_CODES: Final = (
    "Exit codes: 0 ok; 1 a refused status or a failed verdict; "
    "2 usage; 3 a fault of the server or the connection."
)

app = typer.Typer(
    name="redislock",
    cls=FaultTellingGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (compare, race, bank, flash_sale, relay, server, accounts, stock, locks, unlock):
    family.register(app)


def _let_paragraphs_flow(group: typer.Typer) -> None:
    # A line of a docstring ends where the source is wide enough, and of a terminal where that is.
    for command in group.registered_commands:
        told = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(each.split()) for each in told.split("\n\n"))
    for each in group.registered_groups:
        if each.typer_instance is not None:
            _let_paragraphs_flow(each.typer_instance)


_let_paragraphs_flow(app)


def _tell_version(wanted: bool) -> None:
    if not wanted:
        return
    from redislock import build_info

    info = build_info()
    tls = f"on ({info['openssl']})" if info["tls"] else "off (built without OpenSSL)"
    typer.echo(f"redislock {info['version']}")
    typer.echo(f"hiredis {info['hiredis']}, TLS {tls}, compiler {info['compiler']}")
    raise typer.Exit


@app.callback(epilog=EXIT_CODES)
def redislock(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option(
            "--version",
            callback=_tell_version,
            is_eager=True,
            help="Tell version, hiredis, TLS and compiler.",
        ),
    ] = False,
) -> None:
    """Withdraw without races on Redis, and see what each way of doing it costs.

    No server at hand? [bold]redislock serve[/bold] runs one.
    """
    help_alone(context)


def main() -> int:
    """Run the command line and return its exit code."""

    def end(number: int, _: FrameType | None) -> None:
        # An exception rather than an end on the spot, so that private servers are stopped and
        # what was written to a server that the user named is deleted again.
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name in any bytes, any terminal
    try:
        app(prog_name="redislock")
    except SystemExit as done:
        if is_of_closed_pipe(done):
            drop_output()
            return PIPE_CLOSED
        code = done.code if isinstance(done.code, int) else 0
        return code or flush() or 0
    except OSError as error:  # of what is told before there is a command, like --version
        if (explained := explain(error, None)) is None:
            raise
        tell(explained[1])
        drop_output()
        return explained[0]
    return 0
