"""The chart of a comparison as a picture: throughput and p99 against users, conflicts below.

Needs matplotlib: ``pip install 'redislock[plots]'``. It draws to files only; no window is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redislock._sweep import panels, tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redislock._sweep import Cell, Setting

__all__ = ["COLOURS", "SUFFIXES", "draw", "is_available"]

SUFFIXES: Final = (".png", ".svg")

COLOURS: Final = {"naive": "#888888", "lua": "#1f77b4", "lock": "#d95f02", "watch": "#2a9d5c"}
"""Of each strategy; readable on white, and to those who do not tell red from green."""

_MARKS: Final = {"naive": "x", "lua": "o", "lock": "s", "watch": "^"}
_WIDE: Final = 30.0  # times
_ROWS: Final = (
    ("throughput", "ok/s", 1.0),
    ("p99", "p99, ms", 1e3),
    ("conflicts", "conflicts per ok", 1.0),
)


def is_available() -> bool:
    """Tell whether matplotlib is there, without importing it."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def draw(cells: Sequence[Cell], file: str | Path, caption: str = "") -> None:
    """Write the chart of these cells; the file's name says in which format."""
    from matplotlib.figure import Figure

    settings = list(dict.fromkeys(each.setting for each in cells))
    dimension, columns = panels(settings)
    figure = Figure(figsize=(2.2 + 3.6 * len(columns), 8.2), layout="constrained")
    axes = figure.subplots(
        len(_ROWS), len(columns), squeeze=False, sharex="col", sharey="row", height_ratios=(3, 3, 2)
    )
    for column, (title, chosen) in enumerate(columns.items()):
        axes[0][column].set_title(title, fontsize="medium")
        for row, (metric, _, factor) in enumerate(_ROWS):
            mine = [each for each in cells if each.setting in chosen]
            _fill(axes[row][column], mine, chosen, dimension, metric=metric, factor=factor)
    for row, (metric, words, _) in enumerate(_ROWS):
        axes[row][0].set_ylabel(words)
        if dimension is not None:
            _scale(axes[row][0], metric, [each.value(metric) for each in cells])
        # Shared by the whole row, so only once all of it is drawn: it ends the automatic choice.
        if axes[row][0].get_yscale() == "linear":
            axes[row][0].set_ylim(bottom=0)
    figure.align_ylabels(axes[:, 0])
    handles, labels = axes[0][0].get_legend_handles_labels()
    if dimension is not None:
        below = {"users": "users", "accounts": "accounts", "rtt": "added to each round trip"}[dimension]
        for each in axes[-1]:
            each.set_xlabel(below)
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    if caption:
        figure.supxlabel(caption, fontsize="small", color="#555555")
    # Without a date, the same figures make the same file.
    svg = Path(file).suffix == ".svg"
    figure.savefig(file, dpi=150, metadata={"Date": None} if svg else None)


def _fill(
    axes: Any,
    cells: Sequence[Cell],
    settings: Sequence[Setting],
    dimension: str | None,
    *,
    metric: str,
    factor: float,
) -> None:
    if dimension is None:
        names = [each.strategy for each in cells]
        heights = [(each.value(metric) or 0.0) * factor for each in cells]
        bars = axes.bar(names, heights, color=[_colour(each) for each in names])
        axes.bar_label(
            bars, [f"{each:,.0f}" if metric == "throughput" else f"{each:.3g}" for each in heights]
        )
        axes.margins(y=0.15)
    else:
        for strategy in dict.fromkeys(each.strategy for each in cells):
            _line(axes, [each for each in cells if each.strategy == strategy], settings, metric, factor)
        axes.set_xticks(range(len(settings)), [tick(each, dimension) for each in settings])
    axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _scale(axes: Any, metric: str, values: Sequence[float | None]) -> None:
    """Choose a row's scale: by powers of ten where the slowest would lie flat on the ground."""
    seen = [each for each in values if each]
    wide = bool(seen) and max(seen) > _WIDE * min(seen)
    if seen and (metric == "p99" or (metric == "throughput" and wide)):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:,.0f}" if metric == "throughput" else "{x:,g}")


def _line(axes: Any, cells: Sequence[Cell], settings: Sequence[Setting], metric: str, factor: float) -> None:
    across, up, down, high = [], [], [], []
    for cell in cells:
        value = cell.value(metric)
        if value is None:
            continue
        low_high = cell.spread(metric) or (value, value)
        across.append(settings.index(cell.setting))
        up.append(value * factor)
        down.append((value - low_high[0]) * factor)
        high.append((low_high[1] - value) * factor)
    strategy = cells[0].strategy
    spread = [down, high] if any(down) or any(high) else None
    axes.errorbar(
        across,
        up,
        yerr=spread,
        label=strategy,
        color=_colour(strategy),
        marker=_MARKS.get(strategy, "o"),
        markersize=5,
        linewidth=1.6,
        capsize=3,
        clip_on=False,  # a mark at 0 is whole
        zorder=3,
    )


def _colour(strategy: str) -> str:
    return COLOURS.get(strategy, "#333333")
