"""`python -m bench.generator`: what the load generator costs, against what the server does for it.

    python -m bench.generator                     alternating rounds; keeps the JSON
    python -m bench.generator --quick             briefly; nothing is kept
    python -m bench.generator table [FILE]        the tables of a result, as Markdown
    python -m bench.generator table --into PAGE   put them between the page's two marks

A generator that needs as much of the machine as the server measures itself. Processor time of both
is taken over the measured window alone: no connecting, no opening of accounts.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import os
import resource
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import machine, store
from redislock import load
from redislock._server import PrivateServer

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS: Final = Path(__file__).parent / "results" / "generator"
GOAL: Final = 1 / 3
STRATEGIES: Final = ("lua", "lock", "watch", "naive")
USERS: Final = (1, 8, 64, 256)
MANY: Final = 1000
WARMUP: Final = 0.2
SHOWN: Final = 64
"""Of which number of users the second table tells where the time goes."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How often and how long."""

    rounds: int = 5
    duration: float = 0.8
    unix: int = 0
    """1: over a unix socket. 0: over loopback TCP."""


QUICK: Final = Plan(rounds=1, duration=0.3)


@dataclasses.dataclass(frozen=True)
class Spent:
    """Processor seconds at one moment."""

    user: float
    system: float
    server: float

    @classmethod
    def now(cls, server: int) -> Spent:
        """Of this process, and of the server with that id."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        return cls(own.ru_utime, own.ru_stime, machine.server_seconds(server))


class Watch:
    """Sees a run from its first moment of measuring to its last."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._seen: list[Spent] = []

    def look(self, progress: load.Progress) -> None:
        """Be called by the run."""
        if progress.phase == "measuring":
            self._seen = [*self._seen[:1], Spent.now(self._server)]

    def spent(self) -> Spent:
        """What the window took."""
        if len(self._seen) < 2:  # noqa: PLR2004 - a window has two ends
            raise ValueError("the run was too short to be seen: take a longer --duration")
        first, last = (dataclasses.astuple(each) for each in self._seen)
        return Spent(*(after - before for before, after in zip(first, last, strict=True)))


def _run(server: PrivateServer, strategy: str, users: int, accounts: int, seconds: float) -> dict[str, Any]:
    watch = Watch(server.pid)
    seen = load.run(
        server.url,
        strategy=strategy,
        users=users,
        accounts=accounts,
        keys="hot" if accounts == 1 else "uniform",
        warmup=WARMUP,
        duration=seconds,
        seed=1,
        on_progress=watch.look,
    )
    if not seen.verdict and strategy != "naive":
        raise ValueError(f"{strategy} lost money: {seen.verdict.detail}")
    spent = watch.spent()
    if not spent.server:
        raise ValueError("the server's processor time is not to be had here")
    return {
        "user": round(spent.user, 4),
        "system": round(spent.system, 4),
        "server": round(spent.server, 4),
        "ratio": round((spent.user + spent.system) / spent.server, 4),
        "rate": round(seen.throughput, 1),
        "round_trips": round(seen.round_trips / seen.elapsed, 1),
    }


def _measure(users: Sequence[int], plan: Plan, command: str) -> dict[str, Any]:
    cells = [(accounts, count, name) for accounts in (1, MANY) for count in users for name in STRATEGIES]
    rounds: dict[tuple[int, int, str], list[dict[str, Any]]] = {cell: [] for cell in cells}
    server_core, client_core = machine.two_cores()
    with PrivateServer(**({} if plan.unix else {"port": 0})) as server:
        machine.pin_server(server.pid, server_core)
        if client_core is not None:
            os.sched_setaffinity(0, {client_core})
        for number in range(plan.rounds):
            for accounts, count, name in cells:
                kept = _run(server, name, count, accounts, plan.duration)
                rounds[accounts, count, name].append(kept)
                place = f"{number + 1}/{plan.rounds} {name}, {count} users, {accounts} accounts"
                print(f"{place}: {kept['ratio']:.2f}", file=sys.stderr, flush=True)
        return {
            "command": command,
            "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
            "server": server.name.partition(" (")[0],
            "machine": machine.describe(),
            "redislock": machine.versions()["redislock"],
            "pinned": client_core is not None,
            "plan": dataclasses.asdict(plan),
            "cells": [
                {"accounts": accounts, "users": count, "strategy": name, "rounds": kept, **_medians(kept)}
                for (accounts, count, name), kept in rounds.items()
            ],
        }


def _medians(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ratios are taken within a round; times are for each round trip, in microseconds."""

    def middle(name: str) -> float:
        each = [kept[name] / kept["server"] if name != "ratio" else kept[name] for kept in rounds]
        return statistics.median(each)

    ratio = middle("ratio")
    return {"ratio": ratio, "user_share": middle("user"), "system_share": middle("system")}


def table(result: dict[str, Any]) -> str:
    """The client's processor time over the server's; below, where it goes."""
    cells = {(each["accounts"], each["users"], each["strategy"]): each for each in result["cells"]}
    users = list(dict.fromkeys(each["users"] for each in result["cells"]))
    lines = [
        f"| client CPU ÷ server CPU | {' | '.join(map(_users, users))} |",
        f"|---|{'---:|' * len(users)}",
    ]
    for accounts in (1, MANY):
        for name in STRATEGIES:
            told = [_told(cells[accounts, count, name]["ratio"]) for count in users]
            lines.append(f"| {name}, {_accounts(accounts)} | {' | '.join(told)} |")
    if SHOWN in users:
        lines += [
            "",
            f"| {SHOWN} users | the generator itself ÷ server CPU | its system calls ÷ server CPU |",
            "|---|---:|---:|",
        ]
        for accounts in (1, MANY):
            for name in STRATEGIES:
                kept = cells[accounts, SHOWN, name]
                shares = f"{kept['user_share']:.2f} | {kept['system_share']:.2f}"
                lines.append(f"| {name}, {_accounts(accounts)} | {shares} |")
    return "\n".join([*lines, "", _setting(result)])


def _users(count: int) -> str:
    return f"{count} user{'s' * (count != 1)}"


def _accounts(count: int) -> str:
    return "one account" if count == 1 else f"{count} accounts"


def _told(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio <= GOAL else f"**{ratio:.2f}**"


def _setting(result: dict[str, Any]) -> str:
    made, plan = result["machine"], result["plan"]
    where = "a unix socket" if plan["unix"] else "loopback TCP"
    cores = ", server and client on one core each" if result["pinned"] else ""
    return (
        f"`{result['command']}` on {result['date']}: {result['server']} over {where}; "
        f"{made['processor']}, {made['cores']} cores{cores}; scheduling {made['scheduling']}. Medians of "
        f"{plan['rounds']} alternating rounds of {plan['duration']:g} s. "
        f"In bold: more than a third."
    )


def _start(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.generator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="short runs; nothing is kept")
    parser.add_argument("--users", nargs="+", type=int, default=list(USERS), metavar="N")
    for each in dataclasses.fields(Plan):
        metavar = "S" if each.name == "duration" else "N"
        kind = type(each.default)
        parser.add_argument(f"--{each.name}", type=kind, metavar=metavar, help=f"default {each.default}")
    parser.add_argument("--output", type=Path, help="default bench/results/generator/DATE.json")
    options = parser.parse_args(arguments)
    given = {each.name: getattr(options, each.name) for each in dataclasses.fields(Plan)}
    plan = dataclasses.replace(
        QUICK if options.quick else Plan(),
        **{name: value for name, value in given.items() if value is not None},
    )
    if min(plan.rounds, plan.duration, *options.users) <= 0:
        raise ValueError("rounds, duration and users must be positive")
    result = _measure(options.users, plan, " ".join(["python -m bench.generator", *arguments]))
    target = store.place_of(result["date"], options.output, RESULTS, quick=options.quick)
    if target is not None:
        store.write(target, result)
    print(table(result))
    return 0


def _show(arguments: list[str]) -> int:
    return store.show("python -m bench.generator", RESULTS, arguments, table, table)


def main(words: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        return _show(words[1:]) if words[:1] == ["table"] else _start(words)
    except (ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
