"""Makes the sweeps that docs/compare.md explains: runs `redislock compare`, keeps the figures, draws.

    python docs/figures/make_sweeps.py           measure, on a private server, and draw
    python docs/figures/make_sweeps.py open      measure only that one anew
    python docs/figures/make_sweeps.py --render  only draw, and write the tables, from sweeps.json

Measure on a machine that does nothing else, or with `chrt -f 1`: client and server share it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from make_compare import favoured, measure

from redislock import plots
from redislock._sweep import Cell, Setting
from redislock._verdict import Verdict
from redislock.load import Latency, Report

HERE = Path(__file__).parent
FIGURES = HERE / "sweeps.json"
PAGE = HERE.parent / "compare.md"
COMMON = ["--seed", "1", "--strategies", "lua,lock,watch", "--warmup", "0.3", "--duration", "1.5"]
USERS = ["--users", "1,8,64,256"]
RTT = ["--rtt", "0,0.5ms,2ms"]

# What each sweep is about, and what to ask for.
SWEEPS = {
    "contention": [*USERS, "--repeat", "3"],
    "distance": [*USERS, *RTT],
    "apart": [*RTT, "--users", "64", "--accounts", "1000", "--keys", "uniform"],
    "open": ["--users", "256", "--rate", "20000"],
}
DRAWN = {"contention": "sweep-users.png", "distance": "sweep-rtt.png"}

# A report keeps of itself what is said once beside it.
DROPPED = {"settings", "notes", "verdict_detail", "latency_all"}


def kept(figures: dict[str, Any]) -> dict[str, Any]:
    """Return a sweep without what is said twice."""
    for cell in cells_of(figures):
        for report in cell["strategies"].values():
            for each in [report, *report.get("rounds", [])]:
                for name in DROPPED:
                    each.pop(name, None)
    return figures


def cells_of(figures: dict[str, Any]) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = figures.get("cells", [figures])
    return cells


def read(figures: dict[str, Any]) -> list[Cell]:
    """Return the cells that the figures tell of."""
    return [
        Cell(
            Setting(**{name: cell["settings"][name] for name in ("users", "accounts", "rtt")}),
            strategy,
            [report_of(each) for each in told.get("rounds", [told])],
        )
        for cell in cells_of(figures)
        for strategy, told in cell["strategies"].items()
    ]


def report_of(told: dict[str, Any]) -> Report:
    words = {name: value for name, value in told.items() if name not in {"spread", "rounds"}}
    words["latency"], words["service"] = (Latency(**told[name]) for name in ("latency", "service"))
    held = not told["verdict"].startswith("lost")
    words["verdict"] = Verdict(held=held, unknown=0, lost=0, detail="")
    return Report(**words, latency_all=words["latency"], notes=(), settings={})


def draw(name: str, figures: dict[str, Any]) -> None:
    versions = figures["versions"]
    caption = f"{versions['server']}, {figures['cpu']['usable']} cores, redislock {versions['redislock']}"
    plots.draw(read(figures), HERE / DRAWN[name], caption)


def distance_table(figures: dict[str, Any]) -> str:
    """What a farther server costs each strategy where callers hardly meet."""
    lines = [
        "| 64 users, 1000 accounts | round trips per ok | ok/s, p50 near | 0.5 ms farther | 2 ms farther |",
        "|---|---:|---:|---:|---:|",
    ]
    cells = read(figures)
    for strategy in dict.fromkeys(each.strategy for each in cells):
        mine = [each for each in cells if each.strategy == strategy]
        told = [f"{each.value('throughput'):,.0f}, {ms(each.report.latency.p50)} ms" for each in mine]
        lines.append(f"| {strategy} | {mine[0].value('round_trips'):.2f} | {' | '.join(told)} |")
    return "\n".join(lines)


def open_table(figures: dict[str, Any]) -> str:
    """The two latencies of an open loop."""
    lines = [
        "| 20,000 a second, one account | ok/s | p50, p99 since it was due | p50, p99 since it began |",
        "|---|---:|---:|---:|",
    ]
    for each in read(figures):
        due, began = each.report.latency, each.report.service
        told = [f"{ms(seen.p50)} ms, {ms(seen.p99)} ms" for seen in (due, began)]
        lines.append(f"| {each.strategy} | {each.report.throughput:,.0f} | {' | '.join(told)} |")
    return "\n".join(lines)


def ms(seconds: float) -> str:
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - four digits are enough


def setting_of(figures: dict[str, Any]) -> str:
    asked, cpu = figures["settings"], figures["cpu"]
    return (
        f"{figures['versions']['server']} on a unix socket, client and server together on "
        f"{cpu['usable']} cores ({cpu['model']}){favoured(figures)}; {asked['duration']:g} s each"
    )


def render(sweeps: dict[str, Any], page: str) -> str:
    """Return the page with its tables written anew."""
    parts = {
        "distance": distance_table(sweeps["apart"]),
        "open": open_table(sweeps["open"]),
        "setting": f"All figures of this page but the last table's: {setting_of(sweeps['contention'])}.",
    }
    for name, text in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("names", nargs="*", help="default: all sweeps")
    asked = parser.parse_args()
    if not asked.render:
        sweeps = json.loads(FIGURES.read_text(encoding="utf-8")) if asked.names else {}
        for name in asked.names or SWEEPS:
            sweeps[name] = kept(measure([*COMMON, *SWEEPS[name]]))
        FIGURES.write_text(json.dumps(sweeps, indent=1) + "\n", encoding="utf-8")
    sweeps = json.loads(FIGURES.read_text(encoding="utf-8"))
    for name in DRAWN:
        draw(name, sweeps[name])
    if PAGE.exists():
        PAGE.write_text(render(sweeps, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
