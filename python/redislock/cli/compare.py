"""The command `compare`: every strategy under the same load, and whether the money held."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import os
import platform
import random
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import redislock
from redislock import load
from redislock.cli._common import DEFAULT_TIMEOUT, LARGEST, examples, open_client, whole_number, wrong
from redislock.cli._common import duration as seconds
from redislock.cli._group import FAULT, INTERRUPTED, REFUSED, tell
from redislock.cli._scores import UNSAFE, Scores
from redislock.cli._target import Target, open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_USERS: Final = 100_000
_MOST_RETRIES: Final = 1_000_000


class Keys(str, Enum):
    """How withdrawals are spread over the accounts."""

    HOT = "hot"
    UNIFORM = "uniform"
    ZIPF = "zipf"


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(epilog=COMPARE)(compare)


COMPARE = examples(
    "redislock compare",
    "redislock compare --strategies lua,watch --accounts 100 --keys zipf",
    "redislock compare --url redis://db.example:6379 --json result.json",
)

_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        show_default=False,
        help="The server; keys of its own are made there and deleted again. "
        "Default: REDIS_CONN, else a private server that is started and stopped.",
    ),
]


def compare(
    *,
    url: _Url = None,
    strategies: Annotated[
        str, typer.Option("--strategies", metavar="NAMES", help="Which, in this order.")
    ] = ",".join(load.STRATEGIES),
    users: Annotated[str, typer.Option("--users", metavar="N", help="Withdrawals in flight.")] = "64",
    accounts: Annotated[str, typer.Option("--accounts", metavar="N", help="How many.")] = "1",
    keys: Annotated[
        Keys, typer.Option("--keys", help="hot: all on one account. zipf: s = 0.99, as YCSB does.")
    ] = Keys.HOT,
    amount: Annotated[str, typer.Option("--amount", metavar="N", help="Of each withdrawal.")] = "3",
    jitter: Annotated[str, typer.Option("--jitter", metavar="N", help="Amounts vary by up to ±N.")] = "0",
    balance: Annotated[
        str | None,
        typer.Option(
            "--balance",
            metavar="N",
            show_default=False,
            help="Each account's start. Default: more than can be taken.",
        ),
    ] = None,
    duration: Annotated[
        str, typer.Option("--duration", metavar="SECONDS", help="Measured, per strategy.")
    ] = "5",
    warmup: Annotated[
        str, typer.Option("--warmup", metavar="SECONDS", help="Before that, not measured.")
    ] = "1",
    count: Annotated[
        str | None,
        typer.Option(
            "--count",
            metavar="N",
            show_default=False,
            help="Measure so many withdrawals instead of a duration.",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed",
            metavar="N",
            show_default=False,
            help="The same seed draws the same accounts and amounts. Default: a new one.",
        ),
    ] = None,
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
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="SECONDS", help="Of each withdrawal, retries included.")
    ] = DEFAULT_TIMEOUT,
    json_file: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="FILE",
            show_default=False,
            help="Write all figures there; - is standard output.",
        ),
    ] = None,
) -> None:
    """Put every strategy under the same load, and check that no money was lost.

    naive is there to lose money under contention.

    Exit codes: 1 if another strategy does; 3 if the server cannot be used.
    """
    names = _parse_strategies(strategies)
    asked: dict[str, Any] = {
        "users": whole_number(users, "--users", 1, _MOST_USERS),
        "accounts": whole_number(accounts, "--accounts", 1, load.MOST_ACCOUNTS),
        "keys": keys.value,
        "amount": whole_number(amount, "--amount", 1),
        "jitter": whole_number(jitter, "--jitter", 0),
        "balance": None if balance is None else whole_number(balance, "--balance", 0),
        "duration": seconds(duration, "--duration", positive=True),
        "warmup": seconds(warmup, "--warmup"),
        "count": None if count is None else whole_number(count, "--count", 1),
        "seed": random.getrandbits(32) if seed is None else whole_number(seed, "--seed", 0),
        "max_retries": None
        if max_retries is None
        else whole_number(max_retries, "--max-retries", 0, _MOST_RETRIES),
        "lock_wait": seconds(lock_wait, "--lock-wait"),
        "timeout": seconds(timeout, "--timeout", positive=True),
    }
    if asked["amount"] + asked["jitter"] > LARGEST:
        wrong("--jitter", f"--amount plus --jitter must not exceed {LARGEST}")
    if asked["balance"] is None:
        asked["balance"] = _enough(asked)
    _check_file(json_file)
    open_client("memory://", None, timeout).close()  # mistakes of the environment, before anything starts
    scores = Scores(to_stderr=json_file == "-")
    with open_target(url, timeout) as target:
        scores.say(target.line)
        _introduce(scores, target, asked)
        outcome = _Comparison(scores, target, asked).through(names)
        scores.tell_all(outcome.reports)
        if json_file is not None:
            _write(json_file, _as_dict(target, asked, outcome, url))
    if outcome.failure is not None:
        raise outcome.failure
    if code := _exit_code(outcome):
        raise typer.Exit(code)


@dataclasses.dataclass
class _Outcome:
    reports: list[load.Report] = dataclasses.field(default_factory=list)
    interrupted: bool = False
    failure: redislock.Error | None = None


class _Warnings(logging.Handler):
    """Tells what a run has to warn of where it ends without a report: keys that are left."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it as the other sentences are said."""
        tell(record.getMessage())


_WARNINGS: Final = _Warnings(logging.WARNING)


class _Comparison:
    """The runs, one after the other."""

    def __init__(self, scores: Scores, target: Target, asked: dict[str, Any]) -> None:
        self._scores = scores
        self._target = target
        self._asked = asked

    def through(self, names: Sequence[str]) -> _Outcome:
        """Runs them all, or as far as Ctrl-C or the server lets it."""
        outcome = _Outcome()
        load.logger.addHandler(_WARNINGS)
        try:
            for name in names:
                outcome.reports.append(self._one(name))
                self._scores.tell_one(outcome.reports[-1])
        except load.Interrupted as stop:
            outcome.reports.append(stop.report)
            outcome.interrupted = True
        except KeyboardInterrupt:
            outcome.interrupted = True
        except redislock.Error as error:
            outcome.failure = error
        finally:
            load.logger.removeHandler(_WARNINGS)
        return outcome

    def _one(self, name: str) -> load.Report:
        with self._scores.watch(name) as draw:
            return load.run(self._target.url, strategy=name, on_progress=draw, **self._asked)


def _parse_strategies(text: str) -> list[str]:
    names = [each.strip() for each in text.split(",") if each.strip()]
    for each in names:
        if each not in load.STRATEGIES:
            wrong("--strategies", f"{each!r} is none of {', '.join(load.STRATEGIES)}")
    if not names:
        wrong("--strategies", f"name at least one of {', '.join(load.STRATEGIES)}")
    return list(dict.fromkeys(names))


def _enough(asked: dict[str, Any]) -> int:
    lasts = asked["warmup"] + asked["duration"]
    return load.default_balance(asked["amount"], asked["jitter"], seconds=lasts, count=asked["count"])


def _check_file(name: str | None) -> None:
    if name is None or name == "-":
        return
    path = Path(name)
    if path.is_dir():
        wrong("--json", f"{name} is a folder; name a file in it")
    if not path.parent.is_dir():
        wrong("--json", f"the folder {path.parent} does not exist")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        wrong("--json", f"{name} cannot be written")


def _introduce(scores: Scores, target: Target, asked: dict[str, Any]) -> None:
    if not target.private:
        for warning in target.health.warnings:
            scores.say(f"warning: {warning}", "yellow")
    users, accounts = asked["users"], asked["accounts"]
    measured = f"{asked['count']:,} withdrawals" if asked["count"] else f"{asked['duration']:g} s"
    varied = f" ± {asked['jitter']}" if asked["jitter"] else ""
    scores.say(
        f"{users} user{'s' * (users != 1)}, {accounts} account{'s' * (accounts != 1)} ({asked['keys']}), "
        f"amount {asked['amount']}{varied}; for each strategy {asked['warmup']:g} s to warm up, "
        f"then {measured}; seed {asked['seed']}"
    )
    if asked["keys"] == "hot" and accounts > 1:
        scores.say("--keys hot uses the first account only; try --keys uniform or zipf")


def _exit_code(outcome: _Outcome) -> int:
    if any(not each.verdict.held and each.strategy not in UNSAFE for each in outcome.reports):
        return REFUSED
    if outcome.interrupted:
        return INTERRUPTED
    # Nothing but faults: there was no comparison.
    if any(each.errors and not each.statuses for each in outcome.reports):
        return FAULT
    return 0


# ---- JSON


def _as_dict(target: Target, asked: dict[str, Any], outcome: _Outcome, url: str | None) -> dict[str, Any]:
    details = target.health.details
    return {
        "command": _command(url, target.shown_url),
        "started": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "interrupted": outcome.interrupted,
        "error": None if outcome.failure is None else str(outcome.failure),
        "seed": asked["seed"],
        "settings": asked,
        "label": load.NO_CONFLICT if asked["users"] == 1 else None,
        "versions": {
            "redislock": redislock.__version__,
            "hiredis": redislock.build_info()["hiredis"],
            "python": platform.python_version(),
            "server": f"{target.health.server} {target.health.version}",
        },
        "server": {
            "line": target.line,
            "url": target.shown_url,
            "private": target.private,
            "name": target.health.server,
            "version": target.health.version,
            "role": target.health.role,
            "persistence": {"aof": details.get("aof_enabled") == "1", "save": details.get("save")},
            "maxmemory": details.get("maxmemory"),
            "maxmemory_policy": details.get("maxmemory_policy"),
            "details": details,
            "warnings": target.health.warnings,
        },
        "cpu": _cpu(),
        "round_trip": target.round_trip,
        "strategies": {each.strategy: each.as_dict() for each in outcome.reports},
    }


def _command(url: str | None, shown_url: str) -> list[str]:
    """The command line, without the password that the URL may hold."""
    secret = url is not None and "***" in shown_url
    return ["redislock", *(each.replace(str(url), shown_url) if secret else each for each in sys.argv[1:])]


def _cpu() -> dict[str, Any]:
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"model": model, "machine": platform.machine(), "count": os.cpu_count(), "usable": usable}


def _write(name: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2) + "\n"
    if name == "-":
        sys.stdout.write(text)
    else:
        Path(name).write_text(text, encoding="utf-8")
