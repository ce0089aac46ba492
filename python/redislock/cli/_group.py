"""How a fault is told: one sentence on standard error and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

import redislock
from redislock._private_process import ServerError
from redislock._server import PortInUseError

OK: Final = 0
REFUSED: Final = 1
"""A refused status, a failed verdict or check."""
USAGE: Final = 2
FAULT: Final = 3
"""A fault of the server or of the connection."""
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""Both as a shell tells the end by a signal."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
# Whatever library typer stands on at present: its errors of usage all have this base.
_UsageError: Final[Any] = typer.BadParameter.__mro__[1]
_WRONG_ARGUMENTS: Final = (
    redislock.ConfigurationError,
    redislock.IdempotencyMismatchError,
    PortInUseError,
)


def tell(sentence: str) -> None:
    """Say one sentence on standard error, in which a reader finds who says it."""
    typer.echo(f"redislock: {' '.join(sentence.split())}", err=True)


def help_alone(context: typer.Context) -> None:
    """Show the help where a group of commands was asked for by itself."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def is_of_closed_pipe(leaving: SystemExit) -> bool:
    """Whether a library ended the program because nobody reads its output any more.

    Rich does, for what it prints, and Typer for the rest, with an exit code that means something else here.
    """
    return isinstance(leaving.__context__, BrokenPipeError)


class AmountCommand(TyperCommand):
    """A command with amounts: "-5" is a wrong amount, not an unknown option "-5"."""

    ignore_unknown_options = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what looks like an option and is none; it would be taken for a user."""
        options: list[Any] = [each for each in self.get_params(ctx) if each.param_type_name == "option"]
        flags = {name: option.is_flag for option in options for name in option.opts}
        value_follows = False
        for each in args:
            name, _, value = each.partition("=")
            if value_follows:
                value_follows = False
            elif each == "--":
                break
            elif name in flags:
                value_follows = not (flags[name] or value)
            elif re.match(r"-[^0-9.]", name):
                raise _UsageError(f"No such option: {name}", ctx=ctx)
        return super().parse_args(ctx, args)


class FaultTellingGroup(TyperGroup):
    """The command `redislock`: turns what its commands raise into a sentence and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command's name."""
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            tell(_usage_sentence(error))
            raise typer.Exit(USAGE) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `explain` for what becomes of exceptions."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()  # a reader that went away is noticed here, not at exit
        except BrokenPipeError:
            drop_output()
            raise typer.Exit(PIPE_CLOSED) from None
        except (KeyboardInterrupt, typer.Abort):
            raise typer.Exit(INTERRUPTED) from None
        except typer.Exit as leaving:
            if (unwritten := flush()) is not None and leaving.exit_code == OK:
                raise typer.Exit(unwritten) from None
            raise
        except Exception as error:
            explained = explain(error, ctx.invoked_subcommand)
            if explained is None:
                raise
            code, sentence = explained
            tell(sentence)
            _drop_output_if_full()
            raise typer.Exit(code) from None
        return done


def explain(error: Exception, command: str | None) -> tuple[int, str] | None:
    """Return the exit code and the sentence for what a command raised; None for a bug of ours."""
    if isinstance(error, _UsageError):
        return USAGE, _usage_sentence(error, command)
    if isinstance(error, _WRONG_ARGUMENTS):
        return USAGE, str(error)
    if isinstance(error, (redislock.Error, ServerError)):
        return FAULT, with_way_out(str(error))
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
        return USAGE, _unwritten(error) if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, (ValueError, OverflowError)):
        return USAGE, str(error)  # the clients' own check of an argument
    return None


_DATABASES: Final = ("postgresql://", "sqlite://")


def with_way_out(fault: str) -> str:
    """Return what a client says of a fault of the connection, and what a reader can do about it."""
    if any(each in fault for each in _DATABASES):
        return f"{fault}; is the database there, and its URL right?" if "cannot" in fault else fault
    if "cannot connect" in fault or "cannot be found" in fault:
        return f"{fault}; name a server with --url or REDIS_CONN, or start one: redislock serve"
    if "not connected to" in fault or "does not speak" in fault:
        return f"{fault}; check the address in --url or REDIS_CONN"
    return fault


def _usage_sentence(error: Any, command: str | None = None) -> str:
    said = str(error.format_message()).rstrip(".").replace("Value error, ", "")
    path = error.ctx.command_path if error.ctx is not None else f"redislock {command or ''}".rstrip()
    return f"{said[:1].lower()}{said[1:]}; see {path} --help"


def drop_output() -> None:
    """Point standard output nowhere, so that the interpreter's last flush does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _unwritten(error: OSError) -> str:
    return f"the output cannot be written: {error.strerror}"


def flush() -> int | None:
    """Write what is left of the output; if that cannot be done, say so and answer the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OSError as error:
        drop_output()
        tell(_unwritten(error))
        return USAGE
    return None


def _drop_output_if_full() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        drop_output()
