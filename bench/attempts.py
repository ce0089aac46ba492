"""`python -m bench.attempts`: how many attempts a withdrawal by `watch` takes, by each front end.

    python -m bench.attempts                     five alternating rounds; keeps the JSON
    python -m bench.attempts --quick             briefly; nothing is kept
    python -m bench.attempts table [FILE]        the table of a result, as Markdown
    python -m bench.attempts table --into PAGE   put it between the page's two marks

All callers withdraw from one account. A front end that lets its callers wait for each other before
they race would show fewer attempts than as many separate processes do, and so would make `watch`
look better than it is. None may be below half of their figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import machine, store, work
from bench.rounds import Course, Plan
from bench.row import Contestant, Row

if TYPE_CHECKING:
    from bench.job import Sample

RESULTS: Final = Path(__file__).parent / "results" / "attempts"
MEASURE: Final = "processes"
CONTROL: Final = "one at a time"
FRONT_ENDS: Final = ("threads", "asyncio", "gevent", "native")
LEAST: Final = 0.5
RETRIES: Final = (0, 10)
# All of them wherever they like: on one core alone, processes would race less.
USUAL: Final = Plan(rounds=5, warmup=0.2, duration=1.0, pin=0)
QUICK: Final = dataclasses.replace(USUAL, rounds=2, duration=0.3)


def _row(users: int, retries: int) -> Row:
    def contestant(way: str) -> Contestant:
        needs = (way,) if way == "gevent" else ()
        return Contestant(way, "contested", "contested", {"way": way, "retries": retries}, needs)

    again = f"up to {retries} more attempts" if retries else "one attempt a call"
    ways = (MEASURE, *FRONT_ENDS, CONTROL)
    return Row(f"{users}-{retries}", f"{users} callers, {again}", users, tuple(map(contestant, ways)))


def per_success(sample: Sample) -> float | None:
    """Attempts for each withdrawal that was ok; None where none was."""
    attempts: int = sample.extra["attempts"]
    return attempts / sample.ok if sample.ok else None


def _judge(row: Row, samples: dict[str, list[Sample]], missing: dict[str, str]) -> dict[str, Any]:
    """All that is kept of a row. Ratios are taken within a round."""
    figures = {way: [per_success(each) for each in runs] for way, runs in samples.items()}
    contestants = {}
    for way, runs in samples.items():
        pairs = zip(figures[way], figures.get(MEASURE, []), strict=False)
        ratios = [own / theirs for own, theirs in pairs if own and theirs]
        contestants[way] = {
            "per_success": statistics.median(each for each in figures[way] if each),
            "of_processes": statistics.median(ratios) if ratios else None,
            "rounds": [
                {"attempts": each.extra["attempts"], "ok": each.ok, "others": each.others} for each in runs
            ],
        }
    return {"title": row.title, "users": row.users, "contestants": contestants, "missing": missing}


def below_half(result: dict[str, Any]) -> list[str]:
    """The front ends that seem to serialize their callers."""
    return [
        f"{row['title']}: {way} {kept['per_success']:.2f}, {kept['of_processes']:.2f} of what {MEASURE} need"
        for row in result["rows"].values()
        for way, kept in row["contestants"].items()
        if way in FRONT_ENDS and (kept["of_processes"] or 0) < LEAST
    ]


def table(result: dict[str, Any]) -> str:
    """Attempts per success, and in brackets their ratio to those of the processes."""
    ways = (MEASURE, *FRONT_ENDS, CONTROL)
    lines = [f"| | {' | '.join(ways)} |", f"|---|{'---|' * len(ways)}"]
    for row in result["rows"].values():
        cells = [row["title"]]
        for way in ways:
            kept = row["contestants"].get(way)
            ratio = (
                f" ({kept['of_processes']:.2f})" if kept and way != MEASURE and kept["of_processes"] else ""
            )
            cells.append(f"{kept['per_success']:.2f}{ratio}" if kept else "not measured")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _setting(result)])


def _setting(result: dict[str, Any]) -> str:
    made, plan = result["machine"], result["plan"]
    runs = [
        each
        for row in result["rows"].values()
        for kept in row["contestants"].values()
        for each in kept["rounds"]
    ]
    busy = statistics.median(each["others"] or 0.0 for each in runs)
    return (
        f"`{result['command']}` on {result['date']}: {result['server']} over loopback TCP; "
        f"{made['processor']}, {made['cores']} cores; Python {made['python']}. Medians of "
        f"{plan['rounds']} alternating rounds of {plan['duration']:g} s. "
        f"Other programs kept {busy:.1f} cores busy meanwhile."
    )


def _measure(users: list[int], plan: Plan, command: str) -> tuple[dict[str, Any], bool]:
    from redislock._server import PrivateServer

    rows = [_row(count, retries) for retries in RETRIES for count in users]
    with PrivateServer(port=0) as server:
        course = Course(server, plan, _say)
        result = {
            "command": command,
            "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
            "server": server.name.partition(" (")[0],
            "machine": machine.describe(),
            "versions": machine.versions(),
            "plan": dataclasses.asdict(plan),
            "rows": {row.name: _judge(row, *course.run_row(row)) for row in rows},
        }
        return result, course.failed


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.attempts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="short runs; nothing is kept")
    parser.add_argument("--users", nargs="+", type=int, default=[16, 64], metavar="N", help="default 16 64")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {USUAL.rounds}")
    parser.add_argument("--duration", type=float, metavar="S", help=f"default {USUAL.duration}")
    parser.add_argument("--output", type=Path, help="default bench/results/attempts/DATE.json")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else USUAL
    given = {name: getattr(options, name) for name in ("rounds", "duration")}
    plan = dataclasses.replace(plan, **{name: value for name, value in given.items() if value is not None})
    if min(plan.rounds, plan.duration, *options.users) <= 0:
        raise ValueError("rounds, duration and users must be positive")
    result, failed = _measure(options.users, plan, " ".join(["python -m bench.attempts", *arguments]))
    target = store.place_of(result["date"], options.output, RESULTS, quick=options.quick)
    if target is not None:
        store.write(target, result)
        _say(f"kept in {target}")
    print(table(result))
    for each in (bad := below_half(result)):
        _say(f"below half: {each}")
    return 1 if failed or bad else 0


def _show(arguments: list[str]) -> int:
    return store.show("python -m bench.attempts", RESULTS, arguments, table, table)


def main(words: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        return _show(words[1:]) if words[:1] == ["table"] else _run(words)
    except (ValueError, OSError, work.BooksError) as error:
        _say(f"bench: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
