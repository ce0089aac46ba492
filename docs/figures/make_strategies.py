"""Writes the tables of docs/article.md and docs/strategies/*.md from figures that are committed.

    python docs/figures/make_strategies.py

It measures nothing: the figures are those of make_compare.py, make_sweeps.py and make_databases.py.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import make_compare
import make_databases
import make_sweeps

HERE = Path(__file__).parent
ARTICLE = HERE.parent / "article.md"
PAGES = HERE.parent / "strategies"
COLUMNS = (
    "64 callers want",
    "ok/s",
    "p50, ms",
    "p99, ms",
    "tries per ok",
    "trips per ok",
    "commands per ok",
    "gave up",
    "money",
)

Figures = dict[str, Any]


def load() -> tuple[Figures, Figures]:
    """Return the comparison and the sweeps."""
    compared, swept = (
        json.loads(each.read_text(encoding="utf-8")) for each in (make_compare.FIGURES, make_sweeps.FIGURES)
    )
    return compared, swept


def link(path: Path, page: Path) -> str:
    """Return where a file of this folder is, as seen from a page."""
    up = "" if page == ARTICLE else "../"
    return f"[{path.name}]({up}figures/{path.name})"


def rows_of(strategy: str, compared: Figures, swept: Figures) -> Iterator[list[str]]:
    """Yield what each setting cost one strategy."""
    for title, figures in compared.items():
        run = figures["strategies"].get(strategy)
        if run:
            yield [title.removeprefix("all want ").replace(", each as likely", ""), *cells(run)]
    for cell in make_sweeps.cells_of(swept["apart"]):
        run = cell["strategies"].get(strategy)
        if run and cell["settings"]["rtt"]:
            away = f"1000 accounts, {cell['settings']['rtt'] * 1e3:g} ms farther away"
            yield [away, *cells(run)]


def cells(run: Figures) -> list[str]:
    refused = sum(count for status, count in run["statuses"].items() if status != "ok")
    succeeded = run["statuses"]["ok"]
    lost = run["verdict"].startswith("lost")
    return [
        f"{run['throughput']:,.0f}",
        f"{run['latency']['p50'] * 1e3:.3g}",
        f"{run['latency']['p99'] * 1e3:.3g}",
        f"{run['attempts'] / succeeded:.2f}",
        f"{run['round_trips'] / succeeded:.2f}",
        f"{run['statements'] / succeeded:.2f}",
        f"{refused:,}",
        f"**{run['verdict']}**" if lost else run["verdict"],
    ]


def cost_table(strategy: str, compared: Figures, swept: Figures, page: Path) -> str:
    """What a strategy cost, in every setting that was measured."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|{'---:|' * (len(COLUMNS) - 2)}---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows_of(strategy, compared, swept)]
    first = next(iter(compared.values()))
    sources = f"{link(make_compare.FIGURES, page)} and {link(make_sweeps.FIGURES, page)}"
    return "\n".join([*lines, "", f"{setting_of(first)}; from {sources}."])


def compare_tables(compared: Figures, page: Path) -> str:
    """The comparison of all strategies, as in README."""
    tables = [make_compare.table(title, figures) for title, figures in compared.items()]
    first = next(iter(compared.values()))
    words = "*Trips*: round trips. *Gave up*: answers of `conflict` or `lock_busy`."
    return "\n".join([*tables, f"{setting_of(first)}; from {link(make_compare.FIGURES, page)}. {words}"])


def setting_of(figures: Figures) -> str:
    cpu = figures["cpu"]
    return (
        f"{figures['versions']['server']} without persistence on a unix socket, client and server together "
        f"on {cpu['usable']} cores ({cpu['model']}){make_compare.favoured(figures)}"
    )


def distance_table(swept: Figures, page: Path) -> str:
    return f"{make_sweeps.distance_table(swept['apart'])}\n\nFrom {link(make_sweeps.FIGURES, page)}."


def databases() -> Figures:
    """Return what one withdrawal costs on Redis and on PostgreSQL, by the same callers."""
    figures: Figures = json.loads(make_databases.FIGURES.read_text(encoding="utf-8"))
    return figures


def databases_cells(run: Figures) -> list[str]:
    refused = sum(count for status, count in run["statuses"].items() if status != "ok")
    return [
        f"{run['throughput']:,.0f}",
        f"{run['p50'] * 1e3:.3g}",
        f"{run['p99'] * 1e3:.3g}",
        f"{run['attempts_per_success']:.2f}",
        f"{refused:,}",
    ]


def lines_of(heads: list[str], rows: list[list[str]]) -> str:
    names = [*heads, "ok/s", "p50, ms", "p99, ms", "tries per ok", "gave up"]
    lines = [names, ["---"] * len(heads) + ["---:"] * (len(names) - len(heads)), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def strategy_table(strategy: str, page: Path) -> str:
    """What one strategy cost on PostgreSQL."""
    figures = databases()
    rows = [[run["setting"], *databases_cells(run)] for run in figures["runs"] if run["strategy"] == strategy]
    table = lines_of([f"{figures['callers']} callers want"], rows)
    return f"{table}\n\n{databases_setting(figures, page)}"


def worlds_tables(page: Path) -> str:
    """What all strategies cost, in all worlds."""
    figures = databases()
    tables = []
    for setting in make_databases.SETTINGS:
        runs = [each for each in figures["runs"] if each["setting"] == setting]
        rows = [[run["world"], run["strategy"], *databases_cells(run)] for run in runs]
        tables.append(lines_of([f"{figures['callers']} callers want {setting}", "by"], rows))
    return "\n\n".join([*tables, databases_setting(figures, page)])


def databases_setting(figures: Figures, page: Path) -> str:
    redis, postgres = figures["servers"]
    return (
        f"{figures['callers']} tasks of asyncio in one process, {redis}, {postgres} waiting for the disk, "
        f"together on 2 cores{make_compare.favoured(figures)}; medians of {figures['rounds']} runs of "
        f"{figures['seconds']:g} s; from {link(make_databases.FIGURES, page)}."
    )


def render(page: Path) -> str:
    """Return the page with its tables written anew."""
    compared, swept = load()
    on_database = page.stem in make_databases.WORLDS["PostgreSQL"]
    tables: dict[str, Callable[[], str]] = {
        "cost": lambda: (
            strategy_table(page.stem, page) if on_database else cost_table(page.stem, compared, swept, page)
        ),
        "databases": lambda: worlds_tables(page),
        "compare": lambda: compare_tables(compared, page),
        "distance": lambda: distance_table(swept, page),
    }

    def written(found: re.Match[str]) -> str:
        return f"<!-- {found[1]}: begin -->\n{tables[found[1]]()}\n<!-- {found[1]}: end -->"

    text = page.read_text(encoding="utf-8")
    return re.sub(r"<!-- (\w+): begin -->\n(?:.*?\n)??<!-- \1: end -->", written, text, flags=re.DOTALL)


def pages() -> list[Path]:
    return [ARTICLE, *sorted(PAGES.glob("[a-z]*.md"))]


def main() -> None:
    for page in pages():
        page.write_text(render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
