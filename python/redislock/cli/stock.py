"""The commands that look at a stock, set it, or take from it."""

# ruff: noqa: PLR0917 - one parameter per option is how typer reads a command

from __future__ import annotations

import shlex
import uuid
from typing import TYPE_CHECKING, Annotated, Final

import typer

from redislock.cli._common import (
    DEFAULT_TIMEOUT,
    Json,
    Prefix,
    Timeout,
    Url,
    duration,
    end_unless_ok,
    examples,
    in_words,
    open_client,
    print_json,
    refuse,
    whole_number,
    wrong,
)
from redislock.cli._group import AmountCommand, help_alone
from redislock.scenarios.worlds import is_sql_url, require_sql

if TYPE_CHECKING:
    import redislock
    import redislock.sql

LARGEST: Final = 10**15 - 1
LONGEST: Final = 1024  # bytes of a name
STRATEGIES: Final = ("lua", "lock", "watch", "naive")

Sku = Annotated[str, typer.Argument(metavar="SKU", help="What is sold.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(
        invoke_without_command=True,
        callback=help_alone,
        help="Set and look at how many are to be had of something.",
    )
    group.command("set", epilog=SET, cls=AmountCommand)(set_level)
    group.command("level", epilog=LEVEL)(level)
    app.add_typer(group, name="stock")
    app.command(epilog=ORDER)(order)


SET = examples("redislock stock set tee 10", "redislock stock set tee 10 --if-missing --json")


def set_level(
    sku: Sku,
    count: Annotated[str, typer.Argument(metavar="N", help="A whole number from 0.", show_default=False)],
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Leave a stock that exists as it is.")
    ] = False,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Set how many are to be had; reservations, and what users have, are forgotten.

    In a database (`--url postgresql://...`, sqlite:///...) a stock is the account of that name.
    """
    _check_name(sku, "SKU")
    number = whole_number(count, "N", 0, LARGEST)
    if is_sql_url(url):
        with _open_accounts(url, timeout) as database:
            database.init(sku, number, if_missing=if_missing)
            _print_level(sku, database.balance(sku), as_json=as_json)
        return
    with open_client(url, prefix, timeout) as client:
        result = client.stock(sku).set(number, if_missing=if_missing)
    if as_json:
        print_json(result.as_dict())
    else:
        typer.echo(f"{result.status}: {result.level} of {sku} are to be had")
    end_unless_ok(result)


LEVEL = examples("redislock stock level tee", "redislock stock level tee --json")


def level(
    sku: Sku,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Print how many are to be had.

    Exit code 1 where there is no such stock.
    """
    _check_name(sku, "SKU")
    if is_sql_url(url):
        with _open_accounts(url, timeout) as database:
            _print_level(sku, database.balance(sku), as_json=as_json)
        return
    with open_client(url, prefix, timeout) as client:
        found = client.stock(sku).level()
    _print_level(sku, found, as_json=as_json)


def _print_level(sku: str, found: int | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"sku": sku, "level": found})
    elif found is not None:
        typer.echo(str(found))
    if found is None:
        refuse(_no_stock(sku))


def _open_accounts(url: str | None, timeout: str) -> redislock.sql.Client:
    """The accounts of a database, with its tables."""
    require_sql()
    from redislock import sql

    client = sql.connect(url or "", timeout=duration(timeout, "--timeout", positive=True))
    client.migrate()
    return client


ORDER = examples(
    "redislock order tee",
    "redislock order tee --qty 2 --user bob --limit 3",
    "redislock order tee --order-id web-1042 --strategy watch --json",
)


def order(
    sku: Sku,
    qty: Annotated[str, typer.Option("--qty", "-q", metavar="N", help="How many.")] = "1",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", show_default=False, help="Who orders.")
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="N", show_default=False, help="How many that user may have."),
    ] = None,
    order_id: Annotated[
        str | None,
        typer.Option(
            "--order-id",
            metavar="ID",
            show_default=False,
            help="Sold once, however often it is sent with this id. Default: a random one.",
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="lua: one script. lock: under the stock's lock. watch: WATCH and EXEC. "
            "naive: oversells under contention.",
        ),
    ] = "lua",
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Take from a stock, and append the order to its outbox.

    Exit code 1 where that was refused, also as a duplicate: what the id sold before is told then.
    """
    if strategy not in STRATEGIES:
        wrong("--strategy", f"must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
    _check_name(sku, "SKU")
    number = whole_number(qty, "--qty", 1, LARGEST)
    most = None if limit is None else whole_number(limit, "--limit", 1, LARGEST)
    if user is not None:
        _check_name(user, "--user")
    elif most is not None:
        wrong("--limit", "needs --user, whose orders it counts")
    if order_id is None:
        order_id = uuid.uuid4().hex
    _check_name(order_id, "--order-id")
    with open_client(url, prefix, timeout) as client:
        result = client.stock(sku).order(number, order_id, strategy=strategy, user=user, limit=most)
    if as_json:
        print_json({"order_id": order_id, **result.as_dict()})
    else:
        typer.echo(f"{result.status}: {_reason(result, sku, number, order_id)}")
    end_unless_ok(result)


def _check_name(text: str, name: str) -> None:
    if not 0 < len(text.encode(errors="surrogateescape")) <= LONGEST:
        wrong(name, f"must be 1 to {LONGEST} bytes long")


def _reason(result: redislock.StockResult, sku: str, qty: int, order_id: str) -> str:
    reasons = {
        "ok": f"order {order_id} of {qty}, {result.level} of {sku} left",
        "sold_out": f"only {result.level} of {sku} left",
        "limit": "the user would have more than --limit allows",
        "duplicate": f"order {order_id} is {result.state} with {result.qty}, and {result.level} were left",
        "retry_later": f"nothing was taken ({result.reason}); try again",
        "missing": _no_stock(sku),
    }
    tries = f"{result.attempts} attempt{'s' * (result.attempts != 1)}, {in_words(result.elapsed)}"
    return f"{reasons[str(result.status)]} ({tries})"


def _no_stock(sku: str) -> str:
    return f"there is no stock of {sku}; make one with: redislock stock set {shlex.quote(sku)} N"
