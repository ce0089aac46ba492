"""A comparison as one page that needs nothing else: verdicts, charts, table, settings.

Readable on a phone and on paper, in light and dark. No script, and nothing is fetched.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from redislock._sweep import panels, show_duration, tick, varying
from redislock.cli._charts import Line, Point, bar_chart, line_chart
from redislock.cli._scores import UNSAFE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from redislock._sweep import Cell, Setting
    from redislock.cli._checks import Ruling

_STYLE: Final = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c1f23; --soft: #5b626b; --rule: #d9dde2;
  --good: #18713f; --bad: #b3261e; --warn: #8a5a00; --naive: #6f767e; --lua: #1b66b0; --lock: #b8500a;
  --watch: #1f8a50; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --page: #15181c; --ink: #e8eaed; --soft: #a3abb5;
  --rule: #3a4149; --good: #6fd08f; --bad: #ff8a80; --warn: #f2c063; --naive: #a9b0b8; --lua: #6db3f2;
  --lock: #f39a55; --watch: #63cf92; --band: #1e2329; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; font-weight: 600; }
p { margin: .25rem 0; } .soft { color: var(--soft); } code { overflow-wrap: anywhere; }
.held { color: var(--good); } .lost { color: var(--bad); font-weight: 600; } .warn { color: var(--warn); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; } figcaption { font-size: .9rem; color: var(--soft); }
svg { display: block; width: 100%; max-width: 30rem; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; } .spread { stroke-width: 1.5; }
.legend span { display: inline-block; margin-right: 1rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin-right: .3rem;
  vertical-align: -1px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 600; font-size: .85rem; vertical-align: bottom; }
th:first-child, td:first-child, td.words { text-align: left; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--page); }
td small { display: block; color: var(--soft); }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .2rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""
_STRATEGIES: Final = ("naive", "lua", "lock", "watch")


def page(cells: Sequence[Cell], facts: Mapping[str, Any], rulings: Sequence[Ruling]) -> str:
    """Return the page; `facts` is what `--json` writes."""
    strategies = list(dict.fromkeys(each.strategy for each in cells))
    colours = "".join(
        f".{each}.line, .{each}.spread {{ stroke: var(--{each}); }} "
        f".{each}.dot, .{each}.bar {{ fill: var(--{each}); }} "
        f".legend .{each} {{ background: var(--{each}); }}\n"
        for each in _STRATEGIES
    )
    started = facts["started"].replace("T", " ").replace("+00:00", " UTC")
    parts = [
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>redislock compare: {escape(', '.join(strategies))}</title>\n"
            f"<style>{_STYLE}{colours}</style>\n</head>\n<body>\n<h1>redislock compare</h1>\n"
        ),
        f'<p class="soft">{escape(started)}, {escape(facts["server"]["line"])}</p>\n',
        *_verdicts(cells, facts, rulings),
        *_charts(cells, strategies),
        *_table(cells),
        *_notes(cells),
        *_settings(facts),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _verdicts(cells: Sequence[Cell], facts: Mapping[str, Any], rulings: Sequence[Ruling]) -> Iterator[str]:
    yield "<h2>Verdicts</h2>\n"
    if facts["interrupted"]:
        yield '<p class="warn">Ended early: this is what was seen so far.</p>\n'
    if facts["error"]:
        yield f'<p class="lost">{escape(facts["error"])}</p>\n'
    for strategy in dict.fromkeys(each.strategy for each in cells):
        mine = [each.report.verdict for each in cells if each.strategy == strategy]
        lost = sum(each.lost for each in mine)
        unknown = sum(each.unknown for each in mine)
        if lost:
            expected = " (expected: it is the race on purpose)" if strategy in UNSAFE else ""
            style = "warn" if strategy in UNSAFE else "lost"
            words = f"lost {lost:,}{expected}"
        else:
            style, words = "held", "held" + (f", {unknown:,} unknown" if unknown else "")
        yield f'<p><b>{escape(strategy)}</b>: <span class="{style}">{words}</span></p>\n'
    for each in rulings:
        style, word = ("held", "holds") if each.held else ("lost", "fails")
        yield (
            f'<p><code>{escape(each.demand)}</code> <span class="{style}">{word}</span>: '
            f"{escape(each.detail)}</p>\n"
        )


# ---- charts


def _charts(cells: Sequence[Cell], strategies: Sequence[str]) -> Iterator[str]:
    if not cells:
        return
    settings = list(dict.fromkeys(each.setting for each in cells))
    dimension, drawn = panels(settings)
    yield "<h2>Charts</h2>\n"
    if dimension is not None:
        names = "".join(f'<span><i class="{escape(each)}"></i>{escape(each)}</span>' for each in strategies)
        yield f'<p class="legend">{names}</p>\n'
    for title, chosen in drawn.items():
        yield f"<h3>{escape(title)}</h3>\n" if title else ""
        yield '<div class="charts">\n'
        for metric, words, show in _DRAWN:
            yield f"<figure><figcaption>{words}</figcaption>"
            mine = [each for each in cells if each.setting in chosen]
            if dimension is None:
                yield bar_chart(
                    [(each.strategy, each.strategy, each.value(metric)) for each in mine], show, words
                )
            else:
                yield _lines(mine, chosen, dimension, (metric, words, show))
            yield "</figure>\n"
        yield "</div>\n"


def _lines(
    cells: Sequence[Cell],
    settings: Sequence[Setting],
    dimension: str,
    drawn: tuple[str, str, Callable[[float], str]],
) -> str:
    metric, words, show = drawn
    found = {(each.strategy, each.setting): each for each in cells}
    lines = [
        Line(strategy, strategy, [_point(found.get((strategy, each)), metric) for each in settings])
        for strategy in dict.fromkeys(each.strategy for each in cells)
    ]
    below = {"users": "users", "accounts": "accounts", "rtt": "added to each round trip"}[dimension]
    ticks = [tick(each, dimension) for each in settings]
    return line_chart(ticks, below, lines, show, log=metric == "p99", label=f"{words} against {below}")


def _point(cell: Cell | None, metric: str) -> Point | None:
    value = None if cell is None else cell.value(metric)
    if cell is None or value is None:
        return None
    return Point(value, *(cell.spread(metric) or ()))


def _thousands(value: float) -> str:
    return f"{value / 1000:,.3g}k" if value >= 10_000 else f"{value:,.0f}"  # noqa: PLR2004


def _ratio(value: float) -> str:
    return f"{value:.3g}"


_DRAWN: Final = (
    ("throughput", "Throughput, ok/s", _thousands),
    ("p99", "p99", show_duration),
    ("conflicts", "Conflicts per ok", _ratio),
)

# ---- table

_COLUMNS: Final[tuple[tuple[str, str, Callable[[float], str]], ...]] = (
    ("throughput", "ok/s", lambda value: f"{value:,.0f}"),
    ("p50", "p50", show_duration),
    ("p95", "p95", show_duration),
    ("p99", "p99", show_duration),
    ("p99.9", "p99.9", show_duration),
    ("max", "max", show_duration),
    ("conflicts", "conflicts<br>per ok", _ratio),
    ("attempts", "tries<br>per ok", _ratio),
    ("round_trips", "trips<br>per ok", _ratio),
    ("statements", "commands<br>per ok", _ratio),
)
_OF_DATABASES: Final = (("transactions", "trans-<br>actions<br>per ok", _ratio),)


def _table(cells: Sequence[Cell]) -> Iterator[str]:
    open_loop = any(each.report.rate for each in cells)
    moving = varying([each.setting for each in cells])
    columns = _COLUMNS + (
        _OF_DATABASES if any(each.report.transactions is not None for each in cells) else ()
    )
    heads = "".join(f"<th>{each}</th>" for each in ({"rtt": "added"}.get(name, name) for name in moving))
    heads += "".join(f"<th>{words}</th>" for _, words, _ in columns)
    heads += "<th>service<br>p99</th>" if open_loop else ""
    yield f'<h2>Figures</h2>\n<div class="scroll"><table>\n<thead><tr><th>strategy</th>{heads}'
    yield "<th>statuses</th><th>money</th></tr></thead>\n<tbody>\n"
    for cell in cells:
        report = cell.report
        mark = " <span class='warn'>!</span>" if cell.short_of_money() else ""
        row = [f"<td>{escape(cell.strategy)}{mark}</td>"]
        row += [f"<td>{escape(tick(cell.setting, name))}</td>" for name in moving]
        row += [f"<td>{_figure(cell, metric, show)}</td>" for metric, _, show in columns]
        if open_loop:
            row.append(f"<td>{show_duration(report.service.p99) if report.service.count else '-'}</td>")
        counts = {**report.statuses, **{kind: each["count"] for kind, each in report.errors.items()}}
        told = "<br>".join(f"{escape(name)} {number:,}" for name, number in counts.items())
        held = report.verdict.held
        style = "held" if held else "warn" if cell.strategy in UNSAFE else "lost"
        row.append(f'<td class="words">{told}</td><td class="{style}">{escape(report.verdict.word)}</td>')
        yield f"<tr>{''.join(row)}</tr>\n"
    yield "</tbody></table></div>\n"


def _figure(cell: Cell, metric: str, show: Callable[[float], str]) -> str:
    value, spread = cell.value(metric), cell.spread(metric)
    if value is None:
        return "-"
    around = f"<small>{escape(show(spread[0]))} - {escape(show(spread[1]))}</small>" if spread else ""
    return escape(show(value)) + around


def _notes(cells: Sequence[Cell]) -> Iterator[str]:
    told: list[str] = []
    for cell in cells:
        where = escape(f"{cell.strategy}, {cell.setting.words()}")
        report = cell.report
        if short := cell.short_of_money():
            told.append(f"! {where}: part of its load ran into {' and '.join(short)}")
        told += [f"{where}: {escape(each)}" for each in (report.verdict.detail, *report.notes) if each]
        told += [
            f"{where}: {each['count']:,} faults of the kind {escape(kind)}, "
            f"the first: {escape(each['first'])}"
            for kind, each in report.errors.items()
        ]
    if told:
        yield "<h2>Notes</h2>\n" + "".join(f"<p>{each}</p>\n" for each in dict.fromkeys(told))


# ---- settings


def _settings(facts: Mapping[str, Any]) -> Iterator[str]:
    cpu, versions, server = facts["cpu"], facts["versions"], facts["server"]
    persistence = server["persistence"]
    shown = {
        "command": " ".join(facts["command"]),
        "server": f"{versions['server']}, {server['role'] or 'no role'}; append-only file "
        f"{'on' if persistence['aof'] else 'off'}, save {persistence['save'] or 'off'}",
        "round trip": f"{show_duration(facts['round_trip'])} for a PING",
        "machine": f"{cpu['model'] or cpu['machine']}, {cpu['usable']} cores",
        "versions": ", ".join(f"{name} {versions[name]}" for name in ("redislock", "hiredis", "python")),
        **{name: _words(value) for name, value in facts["settings"].items() if value is not None},
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>\n" for name, words in shown.items())
    yield f"<h2>Settings</h2>\n<dl>\n{rows}</dl>\n"


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_words(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
