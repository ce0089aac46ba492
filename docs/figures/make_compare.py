"""Makes README's comparison: runs `redislock compare`, keeps the figures, writes the tables.

    python docs/figures/make_compare.py           measure, on a private server, and write
    python docs/figures/make_compare.py --render  only write README's tables from compare.json

Measure on a machine that does nothing else: client and server share it. Where other programs cannot
be kept away, `chrt -f 1 python ...` lets client and server go before them.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("compare.json")
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"

# What a table is about, and what to ask for.
RUNS = {
    "all want one account": ["--seed", "1"],
    "1000 accounts, each as likely": ["--seed", "1", "--accounts", "1000", "--keys", "uniform"],
}

# Where the server ran and what it was called for the run mean nothing to a reader.
DROPPED = {"url", "line", "prefix", "os", "connected_clients"}


def measure(options: list[str]) -> dict[str, Any]:
    """Run one comparison on a private server; whatever the environment names is not touched."""
    command = [sys.executable, "-m", "redislock", "compare", "--json", "-", *options]
    without = {"REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES"}
    environment = {name: value for name, value in os.environ.items() if name not in without}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    figures: dict[str, Any] = without_places(json.loads(done.stdout))
    figures["scheduling"] = scheduling()
    return figures


def scheduling() -> str:
    """How the run is favoured by the system, if it is: client and server alike."""
    fifo = hasattr(os, "SCHED_FIFO") and os.sched_getscheduler(0) == os.SCHED_FIFO
    return "SCHED_FIFO" if fifo else "usual"


def without_places(value: Any) -> Any:
    """Return the figures without what names a place of this machine."""
    if isinstance(value, dict):
        return {name: without_places(each) for name, each in value.items() if name not in DROPPED}
    return value


def render(runs: dict[str, Any]) -> str:
    """Return README's tables."""
    return "\n".join([*map(table, runs, runs.values()), caption(next(iter(runs.values())))])


def table(title: str, figures: dict[str, Any]) -> str:
    names = ("ok/s", "p50, ms", "p99, ms", "tries per ok", "trips per ok", "commands per ok", "gave up")
    lines = [f"| {' | '.join([title, *names, 'money'])} |", f"|---|{'---:|' * len(names)}---|"]
    for name, run in figures["strategies"].items():
        refused = sum(count for status, count in run["statuses"].items() if status != "ok")
        cells = [
            name,
            f"{run['throughput']:,.0f}",
            f"{run['latency']['p50'] * 1e3:.3g}",
            f"{run['latency']['p99'] * 1e3:.3g}",
            f"{run['attempts_per_success']:.2f}",
            f"{run['round_trips'] / run['statuses']['ok']:.2f}",
            f"{run['statements'] / run['statuses']['ok']:.2f}",
            f"{refused:,}",
            run["verdict"] if run["verdict_detail"]["held"] else f"**{run['verdict']}**",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def caption(figures: dict[str, Any]) -> str:
    asked, cpu = figures["settings"], figures["cpu"]
    return (
        f"{asked['users']} withdrawals of {asked['amount']} in flight, {asked['duration']:g} s for "
        f"each strategy, {figures['versions']['server']} without persistence on a unix socket, "
        f"client and server together on {cpu['usable']} cores ({cpu['model']})"
        f"{favoured(figures)}. *Trips*: round trips. *Gave up*: answers of `conflict` or "
        "`lock_busy`. The figures are in "
        "[docs/figures/compare.json](docs/figures/compare.json), made by "
        "[docs/figures/make_compare.py](docs/figures/make_compare.py).\n"
    )


def favoured(figures: dict[str, Any]) -> str:
    """Say so where other programs had to wait for the run."""
    return ", ahead of other programs" if figures["scheduling"] == "SCHED_FIFO" else ""


def write_readme(runs: dict[str, Any]) -> None:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{render(runs)}{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", action="store_true", help="measure nothing")
    if not parser.parse_args().render:
        runs = {title: measure(options) for title, options in RUNS.items()}
        FIGURES.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    write_readme(json.loads(FIGURES.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
