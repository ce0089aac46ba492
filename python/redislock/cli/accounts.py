"""The commands that look at or change one account."""

# ruff: noqa: PLR0917 - one parameter per option is how typer reads a command

from __future__ import annotations

import datetime as dt
import shlex
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redislock.cli._common import (
    DEFAULT_TIMEOUT,
    Amount,
    IdempotencyKey,
    Json,
    Prefix,
    Timeout,
    Url,
    User,
    duration,
    end_unless_ok,
    examples,
    in_words,
    natural_width,
    open_client,
    print_json,
    refuse,
    whole_number,
    wrong,
)
from redislock.cli._group import AmountCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redislock


MANY: Final = 1_000_000
STRATEGIES: Final = ("lua", "lock", "watch", "naive")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=INIT, cls=AmountCommand)(init)
    app.command(epilog=BALANCE)(balance)
    app.command(epilog=DEPOSIT, cls=AmountCommand)(deposit)
    app.command(epilog=WITHDRAW, cls=AmountCommand)(withdraw)
    app.command(epilog=HISTORY)(history)
    app.command(epilog=DELETE)(delete)


INIT = examples(
    "redislock init alice 100",
    "redislock init alice 100 --if-missing",
    "redislock init 123 5000 --url redis://localhost:6380 --json",
)


def init(
    user: User,
    amount: Annotated[
        str,
        typer.Argument(metavar="BALANCE", help="A whole number from 0.", show_default=False),
    ],
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Leave a balance that exists as it is.")
    ] = False,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Set a balance and clear the account's history."""
    start = whole_number(amount, "BALANCE", 0)
    with open_client(url, prefix, timeout) as client:
        result = client.init(user, start, if_missing=if_missing)
    if as_json:
        print_json(result.as_dict())
    else:
        typer.echo(f"{result.status}: {user} has {result.balance}")
    end_unless_ok(result)


BALANCE = examples("redislock balance alice", "redislock balance alice --json")


def balance(
    user: User,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Print a balance.

    Exit code 1 where there is no such account.
    """
    with open_client(url, prefix, timeout) as client:
        found = client.balance(user)
    if as_json:
        print_json({"user": user, "balance": found})
    elif found is not None:
        typer.echo(str(found))
    if found is None:
        refuse(_no_account(user))


DEPOSIT = examples(
    "redislock deposit alice 50",
    "redislock deposit alice 50 --idempotency-key invoice-17",
)


def deposit(
    user: User,
    amount: Amount,
    idempotency_key: IdempotencyKey = None,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Add to a balance."""
    number = whole_number(amount, "AMOUNT", 1)
    with open_client(url, prefix, timeout) as client:
        result = client.deposit(user, number, idempotency_key=idempotency_key)
    _report(result, user, f"{number} added to", as_json=as_json)


WITHDRAW = examples(
    "redislock withdraw lua alice 3",
    "redislock withdraw lock alice 3 --lock-wait 0.2",
    "redislock withdraw watch alice 3 --max-retries 100",
    "redislock withdraw lua alice 3 --idempotency-key order-1042 --json",
)


def withdraw(
    strategy: Annotated[
        str,
        typer.Argument(
            metavar="STRATEGY",
            help="lua: one script. lock: under the account's lock. watch: WATCH and EXEC. "
            "naive: loses money under contention.",
            show_default=False,
        ),
    ],
    user: User,
    amount: Amount,
    idempotency_key: IdempotencyKey = None,
    max_retries: Annotated[
        str | None,
        typer.Option(
            "--max-retries",
            metavar="N",
            show_default=False,
            help="watch: attempts after the first. Default: MAX_RETRIES, else 10.",
        ),
    ] = None,
    lock_wait: Annotated[
        str, typer.Option("--lock-wait", metavar="SECONDS", help="lock: wait for a held lock.")
    ] = "1",
    lock_lease: Annotated[
        str, typer.Option("--lock-lease", metavar="SECONDS", help="lock: hold it at most.")
    ] = "5",
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Take from a balance, by a strategy of your choice.

    Exit code 1 where that was refused.
    """
    if strategy not in STRATEGIES:
        wrong("STRATEGY", f"must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
    number = whole_number(amount, "AMOUNT", 1)
    retries = None if max_retries is None else whole_number(max_retries, "--max-retries", 0, MANY)
    wait = duration(lock_wait, "--lock-wait")
    lease = duration(lock_lease, "--lock-lease", positive=True)
    with open_client(url, prefix, timeout) as client:
        result = client.withdraw(
            strategy,
            user,
            number,
            idempotency_key=idempotency_key,
            max_retries=retries,
            lock_wait=wait,
            lock_lease=lease,
        )
    _report(result, user, f"{number} taken by {strategy} from", as_json=as_json)


HISTORY = examples("redislock history alice", "redislock history alice --limit 5 --json")


def history(
    user: User,
    limit: Annotated[str, typer.Option("--limit", "-n", metavar="N", help="At most so many entries.")] = "20",
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """List what changed a balance, newest first."""
    most = whole_number(limit, "--limit", 1, MANY)
    with open_client(url, prefix, timeout) as client:
        entries = client.history(user, most)
        missing = not entries and client.balance(user) is None
    if as_json:
        print_json([entry.as_dict() for entry in entries])
    elif entries:
        _print_history(entries)
    elif not missing:
        typer.echo(f"nothing was deposited to or withdrawn from {user} yet")
    if missing:
        refuse(_no_account(user))


DELETE = examples("redislock delete alice")


def delete(
    user: User,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Remove an account and its history.

    Exit code 1 where there is none.
    """
    with open_client(url, prefix, timeout) as client:
        result = client.delete(user)
    if as_json:
        print_json(result.as_dict())
    else:
        typer.echo(f"{result.status}: {user} {'removed' if result else 'has no account'}")
    end_unless_ok(result)


def _report(result: redislock.Result, user: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(result.as_dict())
    else:
        typer.echo(f"{result.status}: {_reason(result, user, what)}")
    end_unless_ok(result)


def _reason(result: redislock.Result, user: str, what: str) -> str:
    tries = f"{result.attempts} attempt{'s' * (result.attempts != 1)}, {in_words(result.elapsed)}"
    if result.replayed:
        tries = "the recorded outcome of an earlier request"
    reasons = {
        "ok": f"{what} {user}, now {result.balance}",
        "insufficient": f"{user} has only {result.balance}",
        "missing": _no_account(user),
        "overflow": f"{user} would have more than 64 bits can hold",
        "lock_busy": f"the lock of {user} is held by others; wait longer with --lock-wait",
        "lock_lost": "the lease ended before the commit; hold it longer with --lock-lease",
        "conflict": "every attempt met another writer; allow more with --max-retries",
    }
    return f"{reasons.get(str(result.status), what)} ({tries})"


def _no_account(user: str) -> str:
    return f"{user} has no account; open one with: redislock init {shlex.quote(user)} BALANCE"


def _print_history(entries: Sequence[redislock.HistoryEntry]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("change", "balance"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("when", "by", "idempotency key"):
        table.add_column(name, no_wrap=True)
    for entry in entries:
        when = dt.datetime.fromtimestamp(entry.time_ms / 1000).astimezone()
        table.add_row(
            f"{-entry.amount:+d}",
            str(entry.balance),
            when.isoformat(sep=" ", timespec="milliseconds"),
            entry.strategy,
            entry.idempotency_key or "",
        )
    console = Console(markup=False, highlight=False)
    # No figure is cut off: a terminal that is too narrow breaks the lines itself.
    console.width = max(console.width, natural_width(console, table))
    console.print(table)
