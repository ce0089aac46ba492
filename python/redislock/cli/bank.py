"""The command `bank`: a plan with one right end, all of it at once, and who holds what then."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import redislock
from redislock.cli._common import Json, Prefix, examples, open_client, print_json, wrong
from redislock.cli._common import duration as seconds
from redislock.cli._database import open_database
from redislock.cli._group import INTERRUPTED, REFUSED, tell
from redislock.cli._kept import Keep, kept_postgres, kept_redis, tell_kept
from redislock.cli._target import Url, open_target
from redislock.scenarios.worlds import check_strategy, is_sql, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redislock.cli._target import Target
    from redislock.scenarios.bank_report import BankReport
    from redislock.scenarios.plan import Plan

_FEW: Final = 5000  # operations that are over before a bar is seen


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=BANK)(bank)


BANK = examples(
    "redislock bank --strategy lua",
    "redislock bank --strategy naive",
    "redislock bank --strategy for_update",
    "redislock bank --strategy naive --url postgresql://shop@localhost/shop",
    "redislock bank --strategy watch --url redis://db.example:6379 --plan plan.toml",
    "redislock bank --reset --url redis://db.example:6379",
)


def bank(
    *,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", "-s", metavar="S", show_default=False, help=f"{named()}."),
    ] = None,
    plan_file: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            show_default=False,
            help=r"Another plan, in TOML: [\[user]] tables with name, start, deposits, withdrawals.",
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Only set the accounts to what they start with.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            show_default=False,
            help="The server, or a database: postgresql://... or sqlite:///file. The plan's accounts there "
            "are set to what it says, whatever they held. Default: REDIS_CONN, else a private server that "
            "is started and stopped; for the strategies of SQL a private PostgreSQL.",
        ),
    ] = None,
    prefix: Prefix = None,
    timeout: Annotated[str, typer.Option("--timeout", metavar="SECONDS", help="For the whole plan.")] = "30",
    keep: Keep = False,
    json: Json = False,
) -> None:
    """Deposit and withdraw by a plan, all at once, and see whether the balances come out right.

    Users 1, 2 and 3 start with 1000 and end with 1500, 1250 and 1000, whatever the order is.
    naive is there to fail, on Redis or on the database that --url names. A run in which nothing raced is
    repeated: it would prove nothing.

    Exit codes: 0 for SUCCESS; 1 for FAIL; 3 if the server cannot be used; 130 after Ctrl-C.
    """
    from redislock.scenarios import bank as scenario

    name = _check(strategy, url, reset=reset)
    plan = _read(plan_file)
    patience = seconds(timeout, "--timeout", positive=True)
    open_client("memory://", prefix, timeout).close()  # mistakes of the environment, before anything starts
    on_sql = is_sql(name, url)
    options: dict[str, Any] = {"timeout": patience} if on_sql else {"timeout": patience, "prefix": prefix}
    with _opened(url, timeout, on_sql=on_sql, keep=keep, json=json) as target:
        if reset:
            scenario.reset(target.url, plan=plan, **options)
            _tell_reset(plan, target, keep=keep, json=json)
            return
        if not json:
            typer.echo(target.line)
            typer.echo(f"bank by {name}: {plan} at once")
        try:
            with _watched(plan, json=json) as on_progress:
                report = scenario.run(
                    target.url,
                    strategy=name,
                    plan=plan,
                    on_repeat=_tell_repeat,
                    on_progress=on_progress,
                    **options,
                )
        except redislock.Error as fault:
            seen: BankReport | None = getattr(fault, "report", None)
            if seen is not None:
                _show(seen, target, json=json)
            raise
        _show(report, target, json=json)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not report:
        raise typer.Exit(REFUSED)


@contextlib.contextmanager
def _watched(plan: Plan, *, json: bool) -> Iterator[Callable[[int, float], None] | None]:
    """Show how far a long run has got."""
    if plan.count <= _FEW:
        yield None
        return
    from redislock.cli._sale_lines import watch
    from redislock.scenarios.flash_sale import Progress

    with watch(plan.count, "operations", err=json) as draw:
        yield lambda done, elapsed: draw(Progress(done, done, elapsed, None, None, ""))


@contextlib.contextmanager
def _opened(url: Url, timeout: str, *, on_sql: bool, keep: bool, json: bool) -> Iterator[Target]:
    """Find or start the server; at the end tell how to reach one that goes on."""
    found = open_database(url, timeout, keep=keep) if on_sql else open_target(url, timeout, keep=keep)
    with found as target:
        try:
            yield target
        finally:
            if keep and target.server is not None:
                tell_kept(kept_redis(target.server), err=json)
            elif keep and target.postgres is not None:
                tell_kept(kept_postgres(target.postgres), err=json)
            elif keep:
                tell("--keep: no private server was started, so none is left running")


def _check(strategy: str | None, url: str | None, *, reset: bool) -> str:
    if strategy is None:
        return "" if reset else wrong("--strategy", f"is missing; name {named()}")
    try:
        check_strategy(strategy, url)
    except redislock.ConfigurationError as error:
        wrong("--strategy", str(error))
    return strategy


def _read(path: str | None) -> Plan:
    from redislock.scenarios.plan import BUILT_IN, read_plan

    if path is None:
        return BUILT_IN
    try:
        return read_plan(path)
    except ValueError as error:
        return wrong("--plan", f"{path}: {error}")
    except OSError as error:
        return wrong("--plan", f"{path}: {error.strerror}")


def _tell_repeat(report: BankReport) -> None:
    tell(f"run {report.runs}: {report.why()}; the plan is played again")


def _tell_reset(plan: Plan, target: Target, *, keep: bool, json: bool) -> None:
    if json:
        print_json({"server": _server(target), "reset": {each.name: each.start for each in plan.users}})
    else:
        typer.echo(target.line)
        for each in plan.users:
            typer.echo(f"user {each.name}: {each.start}")
    if target.private and not (keep and (target.server or target.postgres)):
        tell("the private server ends now, and they with it; name yours with --url, or use --keep")


def _show(report: BankReport, target: Target, *, json: bool) -> None:
    if json:
        print_json({"server": _server(target), **report.as_dict()})
        return
    for line in report.lines():
        typer.echo(line)


def _server(target: Target) -> dict[str, Any]:
    return {
        "line": target.line,
        "url": target.shown_url,
        "private": target.private,
        "name": target.health.server,
        "version": target.health.version,
    }
