"""The command `flash-sale`: a few pieces, many orders, several processes, and whether it all adds up."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

import redislock
from redislock.cli._common import Json, Prefix, examples, open_client, print_json, whole_number, wrong
from redislock.cli._common import duration as seconds
from redislock.cli._group import FAULT, INTERRUPTED, REFUSED, tell
from redislock.cli._kept import Keep  # noqa: TC001 - typer reads it at run time
from redislock.cli._sale_lines import tell_sold, watch
from redislock.cli._sale_places import Places, open_places
from redislock.scenarios.worlds import is_sql, named

if TYPE_CHECKING:
    from redislock.scenarios.flash_sale import Sale
    from redislock.scenarios.sale_report import SaleReport
    from redislock.scenarios.shelves import Sold


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(name="flash-sale", epilog=FLASH_SALE)(flash_sale)


FLASH_SALE = examples(
    "redislock flash-sale --strategy lua",
    "redislock flash-sale --strategy naive",
    "redislock flash-sale --strategy for_update --replicas 4",
    "redislock flash-sale --strategy lua --stock 10000 --replicas 8 --orders 200000",
    "redislock flash-sale --strategy lua --replica A --join redis://db.example:6379",
    "redislock flash-sale --strategy lock --orders inside-lock --crash 3",
)

_FEW: Final = 200  # orders that are told one by one
_MOST_REPLICAS: Final = 64
_MOST_ORDERS: Final = 100_000_000
_MOST_STOCK: Final = 10**15 - 1


def flash_sale(
    *,
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", metavar="S", show_default=False, help=f"{named()}.")
    ] = None,
    stock: Annotated[str, typer.Option("--stock", metavar="N", help="What there is to sell.")] = "10",
    replicas: Annotated[
        str, typer.Option("--replicas", metavar="N", help="Processes that sell, each on its own.")
    ] = "3",
    orders: Annotated[
        list[str] | None,
        typer.Option(
            "--orders",
            metavar="N|MODE",
            show_default=False,
            help="How many orders, 40 if not said; or how they reach the database: outbox (the default), "
            "inside-lock or none. May be given twice, for both.",
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            "--per-user-limit",
            metavar="N",
            show_default=False,
            help="How many one user may have. Half as many users as orders then order in turn.",
        ),
    ] = None,
    sku: Annotated[str, typer.Option("--sku", metavar="SKU", help="What is sold.")] = "flash-sale",
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            show_default=False,
            help="The Redis server, whose stock of that SKU is set; or for the strategies of SQL a database. "
            "Default: REDIS_CONN, else a private server.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            show_default=False,
            help="Where orders go: postgresql://..., sqlite:///file, or postgres for a private one. "
            "Default: an SQLite file that is deleted again.",
        ),
    ] = None,
    replica: Annotated[
        str | None,
        typer.Option(
            "--replica",
            metavar="NAME",
            show_default=False,
            help="Be one replica of that name, in this process; see --join.",
        ),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(
            "--join",
            metavar="URL",
            show_default=False,
            help="The server on which other replicas sell. The stock is set only where there is none.",
        ),
    ] = None,
    backlog: Annotated[
        str | None,
        typer.Option(
            "--backlog",
            metavar="N",
            show_default=False,
            help="How many orders may wait for the database; more are told to try again later.",
        ),
    ] = None,
    crash: Annotated[
        str | None,
        typer.Option(
            "--crash",
            metavar="N",
            show_default=False,
            help="The first replica dies right after it took its Nth piece from the stock.",
        ),
    ] = None,
    concurrency: Annotated[
        str, typer.Option("--concurrency", metavar="N", help="Orders under way at once in each replica.")
    ] = "64",
    prefix: Prefix = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="SECONDS", help="For each order, repetitions included.")
    ] = "30",
    keep: Keep = False,
    json: Json = False,
) -> None:
    """Sell a few pieces to many customers from several processes at once, and see whether it adds up.

    A line tells each order of a small sale as it happens, a bar shows a bigger one. Orders reach the
    database by an outbox and a relay, each once. naive is there to sell what it does not have.

    Exit codes: 0 if nothing was oversold or lost, else 1; 3 if a server cannot be used; 130 after Ctrl-C.
    """
    count, mode = _parse_orders(orders or [])
    pieces = whole_number(stock, "--stock", 0, _MOST_STOCK)
    parts = whole_number(replicas, "--replicas", 1, _MOST_REPLICAS)
    asked = {
        "strategy": strategy if strategy is not None else wrong("--strategy", f"is missing; name {named()}"),
        "stock": pieces,
        "replicas": parts,
        "orders": count,
        "sku": sku,
        "limit": None if limit is None else whole_number(limit, "--per-user-limit", 1, _MOST_STOCK),
        "mode": mode,
        "backlog": None if backlog is None else whole_number(backlog, "--backlog", 1, _MOST_STOCK),
        "at_once": whole_number(concurrency, "--concurrency", 1, 1000),
        "crash_at": 0 if crash is None else _crash_at(crash, pieces, parts, count),
        "timeout": seconds(timeout, "--timeout", positive=True),
        "tells": count <= _FEW,
    }
    if (replica is None) != (join is None):
        wrong("--replica", "and --join go together: a name, and the server to sell on")
    open_client("memory://", prefix, timeout).close()  # mistakes of the environment, before anything starts
    if join is not None and replica is not None:
        _join(asked, replica, join, prefix, database, url=url, json=json)
    else:
        _run(asked, url, prefix, database, keep=keep, json=json)


def _parse_orders(given: list[str]) -> tuple[int, str]:
    from redislock.scenarios.flash_sale import MODES

    count, mode = 40, MODES[0]
    for each in given:
        if each in MODES:
            mode = each
        elif each.isdecimal():
            count = whole_number(each, "--orders", 1, _MOST_ORDERS)
        else:
            wrong("--orders", f"must be a whole number, or one of {', '.join(MODES)}, not {each!r}")
    return count, mode


def _make_sale(asked: dict[str, Any], url: str | None, database: str | None) -> Sale:
    from redislock.scenarios.flash_sale import Sale

    sale = Sale(**asked, database=database)
    try:
        sale.check(url)
    except redislock.ConfigurationError as error:
        _refuse(str(error), sale, url)
    return sale


def _refuse(why: str, sale: Sale, url: str | None) -> NoReturn:
    option = "--strategy"
    if url is not None and "memory://" in why:
        option = "--url"
    if sale.limit is not None and "limit" in why:
        option = "--per-user-limit"
    wrong("--database" if "orders in the database" in why else option, why)


def _run(
    asked: dict[str, Any],
    url: str | None,
    prefix: str | None,
    database: str | None,
    *,
    keep: bool,
    json: bool,
) -> None:
    from redislock.scenarios import flash_sale as scenario

    # With a stand-in for the database, so that what cannot work is refused before anything starts.
    on_sql = is_sql(asked["strategy"], url)
    wants_database = asked["mode"] != "none" and not on_sql
    _make_sale(asked, url, database or ("sqlite:///x" if wants_database else None))
    with open_places(
        url, database, asked["timeout"], on_sql=on_sql, wants_database=wants_database, keep=keep, err=json
    ) as places:
        sale = _make_sale(asked, places.url, places.database)
        if not json:
            _introduce(sale, places)
        with contextlib.ExitStack() as stack:
            on_progress = None if sale.tells else stack.enter_context(watch(sale.orders, "orders", err=json))
            report = scenario.run(
                sale,
                places.url,
                prefix=prefix,
                on_sold=None if json else tell_sold,
                on_progress=on_progress,
            )
        _show(report, places, json=json)
    _end(report)


def _crash_at(crash: str, pieces: int, parts: int, orders: int) -> int:
    """At which of its pieces the first replica dies: one that it gets."""
    mine = -(-orders // parts)
    return whole_number(crash, "--crash", 1, max(1, min(mine, pieces)))


def _introduce(sale: Sale, places: Places) -> None:
    for line in places.lines:
        typer.echo(line)
    users = "" if sale.limit is None else f", {sale.limit} for each of {max(1, sale.orders // 2)} users"
    typer.echo(
        f"flash sale by {sale.strategy}: {sale.stock} in stock{users}; {sale.orders} orders at once, "
        f"{sale.replicas} replica{'s' * (sale.replicas != 1)}"
    )


def _show(report: SaleReport, places: Places, *, json: bool) -> None:
    if json:
        print_json({"servers": list(places.lines), **report.as_dict()})
        return
    typer.echo()
    for line in report.lines():
        typer.echo(line)


def _end(report: SaleReport) -> None:
    if report.left is None:
        tell(report.trouble)
        raise typer.Exit(FAULT)
    if not report.held:
        raise typer.Exit(REFUSED)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not report:
        raise typer.Exit(REFUSED)


# ---- one replica in this process


def _join(
    asked: dict[str, Any],
    name: str,
    join: str,
    prefix: str | None,
    database: str | None,
    *,
    url: str | None,
    json: bool,
) -> None:
    from redislock.scenarios.joined import sell
    from redislock.scenarios.sale_report import table

    if url is not None and url != join:
        wrong("--url", "is said by --join, where one replica sells")
    if database is not None and asked["mode"] != "inside-lock":
        wrong("--database", f"orders of a joined replica are moved by: redislock relay {asked['sku']}")
    sale = _make_sale(asked, join, database)
    if not json:
        typer.echo(f"replica {name} by {sale.strategy}: {sale.orders} orders at once")
    with contextlib.ExitStack() as stack:
        on_progress = None if sale.tells else stack.enter_context(watch(sale.orders, "orders", err=json))

        def told(sold: Sold) -> None:
            if not json:
                tell_sold(name, sold)

        seen, interrupted = sell(sale, name, join, prefix=prefix, on_sold=told, on_progress=on_progress)
    if json:
        print_json(dataclasses.asdict(seen))
    else:
        typer.echo()
        for line in table([seen]):
            typer.echo(line)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if seen.words.get("error"):
        tell(seen.error)
        raise typer.Exit(FAULT)
