"""`python -m bench`: run the rows, keep the JSON, print the table.

    pip install . && pip install --group bench   redislock and the other contestants
    python -m bench                              all rows, five rounds: half an hour
    python -m bench --quick                      all rows, briefly: do the parts work?
    python -m bench --only asyncio gevent        these rows
    python -m bench --only gevent --update       these rows, put into today's result
    python -m bench table [FILE]                 the tables of a result, as Markdown
    python -m bench table --into README.md       put the goals between README's two marks

On a machine that others use as well, --patience 60 waits up to a minute for a quiet moment before
each run, and ratios say more than rates. Each run's `others` tells how busy the rest was.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import judge, machine, redis_benchmark, report, store, work
from bench.rounds import Course, Plan
from bench.rows import ROWS

if TYPE_CHECKING:
    from bench.row import Row

RESULTS = Path(__file__).parent / "results"
QUICK = Plan(
    rounds=1,
    warmup=0.2,
    duration=0.5,
    in_flight=2_000,
    flat=128_000,
    orders=6_000,
    rate=2000,
    waiters=100,
    leases=1_000,
    lease=2.0,
)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [row.name for row in ROWS]
    parser.add_argument("--quick", action="store_true", help="short runs; nothing is kept")
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=", ".join(names))
    for field in dataclasses.fields(Plan):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            metavar="N",
            help=f"default {field.default:,}",
        )
    parser.add_argument("--output", type=Path, help="default bench/results/DATE.json")
    parser.add_argument("--update", action="store_true", help="keep the other rows of the output")
    parser.set_defaults(into=None, file=None)
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plan(options: argparse.Namespace) -> Plan:
    given = {
        field.name: value
        for field in dataclasses.fields(Plan)
        if (value := getattr(options, field.name)) is not None
    }
    plan = dataclasses.replace(QUICK if options.quick else Plan(), **given)
    counts = (plan.in_flight, plan.flat, plan.orders, plan.waiters, plan.leases)
    if min(plan.rounds, plan.duration, plan.rate, plan.lease, *counts) <= 0:
        raise ValueError("rounds, duration, rate and counts must be positive")
    return plan


def _prefer_own_redis() -> None:
    """Say what is missing before anything runs without it."""
    if redis_benchmark.find() is None:
        _say(redis_benchmark.MISSING)
    if shutil.which("redis-server") is None:
        _say("redis-server is not on PATH; install it with: apt install redis-server")
    for row in ROWS:
        for each in row.contestants:
            if why := each.missing():
                _say(f"{row.name}: {each.name} is left out: {why}")


def _measure(rows: list[Row], plan: Plan, command: str) -> tuple[dict[str, Any], bool]:
    from redislock._server import PrivateServer

    with PrivateServer(port=None if plan.unix else 0) as server:
        course = Course(server, plan, _say)
        result = {
            "command": command,
            "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
            "server": server.name.partition(" (")[0],
            "machine": machine.describe() | {"pinned": course.client_core is not None},
            "versions": machine.versions(),
            "plan": dataclasses.asdict(plan),
            "script_sha1": work.sha1(),
            "rows": {row.name: judge.judge_row(row, plan, *course.run_row(row)) for row in rows},
        }
        return result, course.failed


def _updated(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Put the new rows into a result of the same machine, software and plan."""
    for name in ("server", "machine", "script_sha1"):
        if old[name] != new[name]:
            raise ValueError(f"--update needs the same {name} as the result that is kept")
    both = {}
    for name in ("versions", "plan"):
        both[name] = {**old[name], **new[name]}
        # What the kept result does not name, its rows have not used.
        if any(both[name][each] != value for each, value in old[name].items() if value is not None):
            raise ValueError(f"--update needs the same {name} as the result that is kept")
    rows = {**old["rows"], **new["rows"]}
    ordered = {row.name: rows[row.name] for row in ROWS if row.name in rows}
    return {**old, **both, "command": f"{old['command']}; {new['command']}", "rows": ordered}


def _run(arguments: list[str]) -> int:
    options = _parse(arguments)
    plan = _plan(options)
    _prefer_own_redis()
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    result, failed = _measure(rows, plan, " ".join(["python -m bench", *arguments]))
    target = store.place_of(result["date"], options.output, RESULTS, quick=options.quick)
    if target is not None:
        if options.update and target.exists():
            result = _updated(store.read(target), result)
        store.write(target, result)
        _say(f"kept in {target}")
    print(report.to_markdown(result))
    return 1 if failed else 0


def _show(arguments: list[str]) -> int:
    return store.show("python -m bench", RESULTS, arguments, report.to_markdown, report.summary)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _show(words[1:]) if words[:1] == ["table"] else _run(words)
    except (ValueError, OSError, work.BooksError) as error:
        _say(f"bench: {error}")
        return 1
