"""The command `unlock`: takes a lock away from who holds it."""

# ruff: noqa: PLR0917 - one parameter per option is how typer reads a command

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redislock.cli._common import Json, Timeout, Url, examples, in_brief, print_json, refuse, wrong
from redislock.cli._holders import KINDS, readable
from redislock.cli._lock_server import DEFAULT_TIMEOUT, LockServer, lock_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redislock.cli._holders import Holder, SeenLock

_NAMED: Final = 5
"""Holders that are named in a sentence."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=UNLOCK)(unlock)


UNLOCK = examples(
    "redislock unlock orders:17",
    "redislock unlock orders:17 --force",
    "redislock unlock orders:17 --force --yes --json",
    "redislock unlock workers --force --token web-1:4711:",
)


def unlock(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The lock.", show_default=False)],
    force: Annotated[
        bool, typer.Option("--force", help="Do it; without, only tell what would be done.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TEXT",
            help="Only holders whose token begins so; locks --json shows tokens.",
            show_default=False,
        ),
    ] = None,
    url: Url = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Take a lock away from who holds it, and hand it to the next in line.

    The holder is not stopped: it learns of the loss with its next renewal or
    release. What it writes meanwhile is kept out by fences alone.

    Exit code 1 where nothing was taken away.
    """
    if token is not None and not token:
        wrong("--token", "must not be empty")
    key = lock_name(name)
    shown = readable(key)
    with LockServer(url, timeout) as server:
        [lock] = server.look([key])
        holders = _chosen(lock, None if token is None else os.fsencode(token))
        if not force:
            refuse(f"{_plan(lock, holders)}; do it with --force")
        if not yes:
            _ask(f"{_plan(lock, holders)}. Take it away?")
        taken = [each for each in holders if server.take_away(key, each)]
        [after] = server.look([key])
    known = {each.owner.token for each in lock.holders}
    fresh = [each for each in after.holders if each.owner.token not in known]
    if as_json:
        rows = {"taken_from": taken, "held_by": after.holders, "handed_to": fresh}
        print_json({"name": shown, **{what: [one.as_dict() for one in who] for what, who in rows.items()}})
    else:
        for each in holders:
            typer.echo(f"{shown}: " + _outcome(each, taken=each in taken))
        typer.echo(f"{shown}: " + (f"now held by {_words(after.holders)}" if after.holders else "now free"))
    if not taken:
        raise typer.Exit(1)


def _chosen(lock: SeenLock, beginning: bytes | None) -> list[Holder]:
    """Return those who are to lose it; ends the command where there is nobody."""
    if not lock.holders:
        refuse(f"nobody holds {lock.name}; {_heirs(lock)}")
    if beginning is None:
        for each in lock.holders:
            if not each.like_a_lock:
                refuse(
                    f"{lock.name} holds {readable(each.owner.token)!r}, which does not look like a lock; "
                    "if it is one, name that value with --token"
                )
        return list(lock.holders)
    chosen = [each for each in lock.holders if each.owner.token.startswith(beginning)]
    if not chosen:
        refuse(f"no holder of {lock.name} has a token that begins with {readable(beginning)!r}")
    return chosen


def _plan(lock: SeenLock, holders: Sequence[Holder]) -> str:
    others = len(lock.holders) - len(holders)
    some = f", {others:,} others keep it" if others else ""
    return f"{lock.name} would be taken from {_words(holders)}{some}; {_heirs(lock)}"


def _heirs(lock: SeenLock) -> str:
    if lock.waiting > 1:
        return f"{lock.waiting:,} wait for it"
    return "1 waits for it" if lock.waiting else "nobody waits for it"


def _words(holders: Sequence[Holder]) -> str:
    named = [_one(each) for each in holders[:_NAMED]]
    if left := len(holders) - len(named):
        named.append(f"{left:,} more")
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _one(holder: Holder) -> str:
    facts = [KINDS[holder.kind]]
    if holder.age is not None:
        facts.append(f"for {in_brief(holder.age)}")
    facts.append("no lease" if holder.left is None else f"{in_brief(holder.left)} left")
    return f"{holder.owner.words} ({', '.join(facts)})"


def _outcome(holder: Holder, *, taken: bool) -> str:
    fence = f", fence {holder.fence}" if holder.fence is not None else ""
    if taken:
        return f"taken from {holder.owner.words}{fence}"
    return f"{holder.owner.words} held it no more{fence}"


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        wrong("--force", "asks first, and there is no terminal to ask on; give --yes too")
    if not typer.confirm(question, err=True):
        refuse("left as it is")
