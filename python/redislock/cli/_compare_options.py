"""The options of `compare`, and the sentences that refuse what cannot be used."""

from __future__ import annotations

import random
import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import redislock
from redislock import load, plots
from redislock._sweep import Setting
from redislock.cli._common import LARGEST, check_file, need_sql, whole_number, wrong
from redislock.cli._common import duration as seconds

_KNOWN: Final = (*load.STRATEGIES, *load.SQL_STRATEGIES)
_MOST_USERS: Final = 100_000
_MOST_RETRIES: Final = 1_000_000
_MOST_CELLS: Final = 1000
_LONGEST_RTT: Final = 10.0  # seconds; as the core's own bound
_UNITS: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}


class Keys(str, Enum):
    """How withdrawals are spread over the accounts."""

    HOT = "hot"
    UNIFORM = "uniform"
    ZIPF = "zipf"


def _option(name: str, metavar: str, words: str) -> Any:
    return typer.Option(name, metavar=metavar, show_default=False, help=words)


Strategies = Annotated[str, typer.Option("--strategies", metavar="NAMES", help="Which, in this order.")]
SqlUrl = Annotated[
    str | None,
    _option(
        "--sql-url",
        "URL",
        "The database of for_update, version, atomic and serializable: postgresql:// or sqlite:///. "
        "Default: a private PostgreSQL that is started and stopped.",
    ),
]
Users = Annotated[
    str, typer.Option("--users", metavar="N,...", help="Withdrawals in flight; several numbers: a sweep.")
]
Accounts = Annotated[str, typer.Option("--accounts", metavar="N,...", help="How many; likewise.")]
Rtt = Annotated[
    str,
    typer.Option("--rtt", metavar="TIME,...", help="Added to each round trip, like 0,0.5ms,2ms; likewise."),
]
KeysOption = Annotated[
    Keys | None,
    _option(
        "--keys",
        "HOW",
        "hot: all on one account; uniform; zipf: s = 0.99, as YCSB does. "
        "Default: hot, and uniform where --accounts is a list.",
    ),
]
Amount = Annotated[str, typer.Option("--amount", metavar="N", help="Of each withdrawal.")]
Jitter = Annotated[str, typer.Option("--jitter", metavar="N", help="Amounts vary by up to ±N.")]
Balance = Annotated[
    str | None, _option("--balance", "N", "Each account's start. Default: more than can be taken.")
]
Duration = Annotated[str, typer.Option("--duration", metavar="SECONDS", help="Measured, per run.")]
Warmup = Annotated[str, typer.Option("--warmup", metavar="SECONDS", help="Before that, not measured.")]
Count = Annotated[str | None, _option("--count", "N", "Measure so many withdrawals instead of a duration.")]
Rate = Annotated[
    str | None,
    _option(
        "--rate",
        "N",
        "Begin so many a second in all, whether or not the last have ended: an open loop.",
    ),
]
Repeat = Annotated[
    str,
    typer.Option("--repeat", metavar="N", help="Rounds of each; medians and their spread are shown."),
]
Processes = Annotated[str, typer.Option("--processes", metavar="N", help="Make the load with N processes.")]
Seed = Annotated[
    str | None,
    _option("--seed", "N", "The same seed draws the same accounts and amounts. Default: a new one."),
]
MaxRetries = Annotated[
    str | None,
    _option("--max-retries", "N", "watch: attempts after the first. Default: MAX_RETRIES, else 10."),
]
LockWait = Annotated[str, typer.Option("--lock-wait", metavar="SECONDS", help="lock: wait for a held lock.")]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="SECONDS", help="Of each withdrawal, retries included.")
]
JsonFile = Annotated[str | None, _option("--json", "FILE", "Write all figures there; - is standard output.")]
CsvFile = Annotated[str | None, _option("--csv", "FILE", "Write a line for each cell; - is standard output.")]
HtmlFile = Annotated[
    str | None, _option("--html", "FILE", "Write a page with verdicts, charts, table and settings.")
]
PlotFile = Annotated[
    str | None,
    _option("--plot", "FILE", "Draw throughput, p99 and conflicts to a .png or .svg; needs matplotlib."),
]
Check = Annotated[
    list[str] | None,
    _option(
        "--check",
        "DEMAND",
        "Exit with 1 unless it holds in every cell, like lua.p99<5ms or throughput>20000. Metrics: "
        "p50, p95, p99, p99.9, max, throughput, conflicts, attempts (per ok). May be repeated.",
    ),
]
BaselineFile = Annotated[
    str | None, _option("--baseline", "FILE", "Compare with what an earlier --json wrote.")
]
Fail = Annotated[
    list[str] | None,
    _option("--fail", "DEMAND", "Exit with 1 if so much worse than the baseline, like p99:10%."),
]


def parse_settings(users: str, accounts: str, rtt: str, timeout: float) -> list[Setting]:
    """Return the grid that three lists span, users in the inner loop."""
    grid = [
        Setting(users=many, accounts=spread, rtt=added)
        for added in (_added(each, timeout) for each in _listed(rtt, "--rtt"))
        for spread in _numbers(accounts, "--accounts", load.MOST_ACCOUNTS)
        for many in _numbers(users, "--users", _MOST_USERS)
    ]
    if len(grid) > _MOST_CELLS:
        wrong("--users", f"{len(grid)} settings are too many; at most {_MOST_CELLS} in a sweep")
    return list(dict.fromkeys(grid))


def _listed(text: str, name: str) -> list[str]:
    each = [part.strip() for part in text.split(",") if part.strip()]
    return each or wrong(name, f"name at least one value, not {text!r}")


def _numbers(text: str, name: str, largest: int) -> list[int]:
    return [whole_number(each, name, 1, largest) for each in _listed(text, name)]


def _added(text: str, timeout: float) -> float:
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)\s*(us|µs|ms|s|)", text)
    if found is None or (not found[2] and float(found[1])):
        wrong("--rtt", f"must be 0 or a time with its unit, us, ms or s, like 0.5ms, not {text!r}")
    added = float(found[1]) * _UNITS.get(found[2], 0.0)
    if added > _LONGEST_RTT:
        wrong("--rtt", f"must be at most {_LONGEST_RTT:g} s, not {text!r}")
    if added >= timeout:
        wrong("--rtt", f"{text} must be less than --timeout, which is {timeout:g} s")
    return round(added, 12)


def parse_strategies(text: str) -> list[str]:
    """Return the names of strategies that a list holds."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    for each in names:
        if each not in _KNOWN:
            wrong("--strategies", f"{each!r} is none of {', '.join(_KNOWN)}")
    if not names:
        wrong("--strategies", f"name at least one of {', '.join(_KNOWN)}")
    return list(dict.fromkeys(names))


def check_sql(names: list[str], sql_url: str | None, processes: int, given_as: str) -> list[str]:
    """Return the strategies that run on a database; refuse what cannot be done there.

    `given_as` is the option that named the database.
    """
    ours = [each for each in names if each in load.SQL_STRATEGIES]
    if not ours:
        if sql_url is not None:
            needing = ", ".join(load.SQL_STRATEGIES)
            wrong(given_as, f"names a database, which is for {needing}; name one in --strategies")
        return ours
    need_sql("--strategies", ours[0])
    from redislock import sql

    if processes > 1:
        wrong("--processes", f"must be 1 with {ours[0]}, which is driven by the threads of one process")
    if sql_url is not None:
        try:
            with sql.connect(sql_url) as client:
                for each in ours:
                    if each not in client.strategies:
                        wrong("--strategies", f"there is no {each} on SQLite, which locks no rows")
        except redislock.ConfigurationError as error:
            wrong(given_as, str(error))
    return ours


def parse_rate(text: str | None, processes: int) -> float | None:
    """Return how many are to begin a second."""
    if text is None:
        return None
    least = load.SLOWEST * processes
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) and least <= float(text) <= load.FASTEST:
        return float(text)
    told = f"must be a number a second from {least:g} to {load.FASTEST}, not {text!r}"
    return wrong("--rate", told if processes == 1 else f"{told}, with {processes} processes")


def parse_load(given: dict[str, Any]) -> dict[str, Any]:
    """Return what all runs have in common, from the words of the options."""

    def number(name: str, least: int, most: int = LARGEST) -> int | None:
        option = f"--{name.replace('_', '-')}"
        return None if given[name] is None else whole_number(given[name], option, least, most)

    processes = whole_number(given["processes"], "--processes", 1, load.MOST_PROCESSES)
    return {
        "amount": number("amount", 1),
        "jitter": number("jitter", 0),
        "balance": number("balance", 0),
        "duration": seconds(given["duration"], "--duration", positive=True),
        "warmup": seconds(given["warmup"], "--warmup"),
        "count": number("count", 1),
        "seed": random.getrandbits(32) if given["seed"] is None else number("seed", 0),
        "max_retries": number("max_retries", 0, _MOST_RETRIES),
        "lock_wait": seconds(given["lock_wait"], "--lock-wait"),
        "timeout": seconds(given["timeout"], "--timeout", positive=True),
        "rate": parse_rate(given["rate"], processes),
        "repeat": number("repeat", 1, _MOST_CELLS),
        "processes": processes,
    }


def check_load(asked: dict[str, Any], settings: list[Setting]) -> None:
    """Refuse what fits together in no way."""
    if asked["amount"] + asked["jitter"] > LARGEST:
        wrong("--jitter", f"--amount plus --jitter must not exceed {LARGEST}")
    fewest = min(each.users for each in settings)
    if asked["processes"] > fewest:
        wrong("--processes", f"must not exceed --users, of which the least is {fewest}")
    if asked["count"] is not None and asked["processes"] > asked["count"]:
        wrong("--processes", f"must not exceed --count, which is {asked['count']}")


def check_files(given: dict[str, Any]) -> None:
    """Refuse files that cannot be written, or not all of them."""
    for name in ("json", "csv", "html"):
        check_file(given[f"{name}_file"], f"--{name}")
    check_plot(given["plot_file"])
    if given["html_file"] == "-":
        wrong("--html", "name a file; - stands for none")
    if given["json_file"] == given["csv_file"] == "-":
        wrong("--csv", "only one of --json and --csv can be standard output")
    seen: dict[Path, str] = {}
    for option in ("json", "csv", "html", "plot"):
        name = given[f"{option}_file"]
        if name is None or name == "-" or (Path(name).exists() and not Path(name).is_file()):
            continue  # a device takes any number
        if (other := seen.setdefault(Path(name).resolve(), option)) != option:
            wrong(f"--{option}", f"{name} is the same file as --{other}")


def check_plot(name: str | None) -> None:
    """Refuse a picture that cannot be drawn."""
    if name is None:
        return
    if Path(name).suffix not in plots.SUFFIXES:
        wrong("--plot", f"{name} must end in .png or .svg")
    check_file(name, "--plot")
    if not plots.is_available():
        wrong("--plot", "matplotlib is not installed: pip install 'redislock[plots]'")
