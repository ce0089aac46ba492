"""Charts as SVG that stands inside of a page: its style sheet gives them their colours.

Lines against the values of a sweep, at equal distances, or bars where nothing was swept. Knows
nothing of what is drawn.
"""

from __future__ import annotations

import dataclasses
import math
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_WIDTH: Final = 360
_HEIGHT: Final = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 40
_BAR: Final = 30
_MARGIN: Final = 1.08  # of the y axis above the greatest value


@dataclasses.dataclass(frozen=True)
class Point:
    """A value, and the least and the greatest that it is the median of."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Line:
    """The values of one strategy; None where there is none."""

    name: str
    style: str
    """A class of the page's style sheet."""
    points: Sequence[Point | None]


def line_chart(
    ticks: Sequence[str],
    below: str,
    lines: Sequence[Line],
    show: Callable[[float], str],
    *,
    log: bool = False,
    label: str = "",
) -> str:
    """Return a chart with one line for each strategy."""
    seen = [
        value
        for line in lines
        for point in line.points
        if point is not None
        for value in (point.value, point.low, point.high)
        if value is not None
    ]
    scale = _LogScale(seen) if log and seen and min(seen) > 0 else _LinearScale(seen)
    across = [_across(index, len(ticks)) for index in range(len(ticks))]
    body = [
        *_y_axis(scale, show),
        *(_text(x, _HEIGHT - _BOTTOM + 16, tick, "middle") for x, tick in zip(across, ticks, strict=True)),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, below, "middle", "axis"),
        *(part for line in lines for part in _line(line, across, scale)),
    ]
    return _svg(_WIDTH, _HEIGHT, label, body)


def bar_chart(rows: Sequence[tuple[str, str, float | None]], show: Callable[[float], str], label: str) -> str:
    """Return a bar for each (name, style, value)."""
    most = max((value for _, _, value in rows if value is not None), default=0.0) or 1.0
    body = []
    for index, (name, style, value) in enumerate(rows):
        y = index * _BAR + 4
        length = (value or 0.0) / most * (_WIDTH - 64 - 84)
        body += [
            _text(58, y + 15, name, "end"),
            f'<rect class="bar {style}" x="64" y="{y}" width="{max(length, 1):.1f}" height="20" rx="2"/>',
            _text(70 + length, y + 15, "-" if value is None else show(value), "start"),
        ]
    return _svg(_WIDTH, len(rows) * _BAR, label, body)


def _svg(width: int, height: int, label: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{"".join(body)}</svg>'
    )


def _text(x: float, y: float, words: str, anchor: str, style: str = "tick") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _across(index: int, count: int) -> float:
    room = _WIDTH - _RIGHT - _LEFT
    return _LEFT + room * (index + 0.5) / count


class _LinearScale:
    def __init__(self, values: Sequence[float]) -> None:
        self._top = max(values, default=0.0) * _MARGIN or 1.0

    def up(self, value: float) -> float:
        """Return how high a value stands, from 0 to 1."""
        return value / self._top

    def ticks(self) -> list[float]:
        """Return round values, 3 to 6 of them."""
        rough = self._top / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
        return [index * step for index in range(int(self._top / step) + 1)]


class _LogScale:
    def __init__(self, values: Sequence[float]) -> None:
        self._low = math.log10(min(values)) - 0.1
        self._high = math.log10(max(values)) + 0.1

    def up(self, value: float) -> float:
        """Return how high a value stands, from 0 to 1."""
        return (math.log10(value) - self._low) / (self._high - self._low)

    def ticks(self) -> list[float]:
        """Return 1, 2, 5, 10 and so on; only the powers where there are many."""
        steps = (1, 2, 5) if self._high - self._low < 1.6 else (1,)  # noqa: PLR2004 - decades
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        every = [step * 10.0**power for power in powers for step in steps]
        return [each for each in every if self._low <= math.log10(each) <= self._high]


def _y_axis(scale: _LinearScale | _LogScale, show: Callable[[float], str]) -> Iterator[str]:
    for value in scale.ticks():
        y = _y(scale.up(value))
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 6, y + 4, show(value), "end")


def _y(up: float) -> float:
    return _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)


def _line(line: Line, across: Sequence[float], scale: _LinearScale | _LogScale) -> Iterator[str]:
    drawn = []
    for x, point in zip(across, line.points, strict=True):
        if point is None or (isinstance(scale, _LogScale) and point.value <= 0):
            continue
        y = _y(scale.up(point.value))
        drawn.append((x, y))
        if point.low is not None and point.high is not None:
            low, high = _y(scale.up(point.low)), _y(scale.up(point.high))
            ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"'
            yield f'<line class="spread {line.style}" {ends}/>'
        yield (
            f'<circle class="dot {line.style}" cx="{x:.1f}" cy="{y:.1f}" r="3.2">'
            f"<title>{escape(line.name)}</title></circle>"
        )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
    yield f'<polyline class="line {line.style}" points="{path}"/>'
