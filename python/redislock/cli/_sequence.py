"""A race as a sequence diagram: one SVG without anything from outside, in light and in dark."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from redislock.cli._timeline import broken_off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock._race import Race, Step

_LANE: Final = 230  # between two life lines
_EDGE: Final = 105  # from the border to the first of them
_ROW: Final = 62  # a round trip: there and back
_LINE: Final = 17  # of a note
_TOP: Final = 108
_CHARACTER: Final = 7.2  # how wide one is in a note, at most on average
_STYLE: Final = """
  svg { color-scheme: light dark; }
  .paper { fill: #ffffff; } .ink { fill: #1f2328; } .faint { fill: #59636e; }
  .life { stroke: #d1d9e0; stroke-width: 1.5; } .arrow { stroke: #59636e; stroke-width: 1.5; fill: none; }
  .tip { fill: #59636e; } .head { fill: #ddf4ff; stroke: #54aeff; }
  .server { fill: #f6f8fa; stroke: #818b98; }
  .held { fill: #f6f8fa; stroke: #818b98; } .lost { fill: #ffebe9; stroke: #ff8182; }
  .saved { fill: #dafbe1; stroke: #4ac26b; }
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; }
  .code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: 11.5px; }
  .title { font-size: 17px; font-weight: 600; } .strong { font-weight: 600; } .note { font-size: 12.5px; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } .ink { fill: #f0f6fc; } .faint { fill: #9198a1; }
    .life { stroke: #3d444d; } .arrow { stroke: #9198a1; } .tip { fill: #9198a1; }
    .head { fill: #121d2f; stroke: #1f6feb; } .server { fill: #151b23; stroke: #656c76; }
    .held { fill: #151b23; stroke: #656c76; } .lost { fill: #3c1618; stroke: #f85149; }
    .saved { fill: #12261e; stroke: #2ea043; }
  }
"""


def draw(race: Race) -> str:
    """Return the diagram; the same race gives the same bytes."""
    return _Diagram(race).svg()


class _Diagram:
    def __init__(self, race: Race) -> None:
        self._race = race
        middle = (len(race.buyers) + 1) // 2
        order = [*race.buyers[:middle], "", *race.buyers[middle:]]  # the server stands among them
        self._at = {name: _EDGE + _LANE * place for place, name in enumerate(order)}
        self._width = 2 * _EDGE + _LANE * (len(order) - 1)
        self._y = _TOP

    def svg(self) -> str:
        race, width = self._race, self._width
        title = escape(f"{race.strategy}: {len(race.buyers)} buyers, {race.balance} to sell")
        steps = [line for step in race.steps for line in self._round_trip(step)]
        heads = list(self._heads(title))  # now, since life ends with the last step
        steps += self._verdict()
        size = f'viewBox="0 0 {width} {self._y}" width="{width}" height="{self._y}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{width}" height="{self._y}"/>',
            *heads,
            *steps,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _heads(self, title: str) -> Iterator[str]:
        yield _text(24, 32, title, "ink title")
        for name, x in self._at.items():
            kind = "head" if name else "server"
            yield f'<line class="life" x1="{x}" y1="84" x2="{x}" y2="{self._y - 24}"/>'
            yield f'<rect class="{kind}" x="{x - 50}" y="52" width="100" height="32" rx="6"/>'
            told = f"buyer {name}" if name else f"server: {self._race.balance}"
            yield _text(x, 73, told, "ink strong", "middle")

    def _round_trip(self, step: Step) -> Iterator[str]:
        here, there = self._at[step.buyer], self._at[""]
        side = 1 if there > here else -1
        # Labels stand in the lane beside the buyer, so that no other arrow crosses them.
        label = here + side * _LANE / 2
        y = self._y
        yield _text(here - side * 12, y + 4, str(step.number), "faint", "end" if side > 0 else "start")
        yield _text(label, y - 6, step.asks, "ink code", "middle")
        yield _arrow(here, there, y)
        yield _text(label, y + 20, step.answer, "ink code", "middle")
        yield _arrow(there, here, y + 26, dashed=True)
        held = "-" if step.balance is None else str(step.balance)
        width = max(26, 9 * len(held) + 12)
        yield (
            f'<rect class="held" x="{there - width / 2:g}" y="{y + 1}" width="{width}" height="24" rx="12"/>'
        )
        yield _text(there, y + 18, held, "ink strong", "middle")
        self._y += _ROW
        yield from self._note(step.lost, "lost", "lost: ")
        yield from self._note(step.saved, "saved", "saved: ")
        if step.ended:
            width = 8 * len(step.ended) + 8  # the life line stops behind the word
            place = f'x="{here - width / 2:g}" y="{self._y - 24}" width="{width}" height="20"'
            yield f'<rect class="paper" {place}/>'
            yield _text(here, self._y - 10, step.ended, "faint strong", "middle")
            self._y += 22

    def _note(self, text: str, kind: str, word: str) -> Iterator[str]:
        if not text:
            return
        lines = textwrap.wrap(word + text, int((self._width - 72) / _CHARACTER))
        height = _LINE * len(lines) + 12
        yield (
            f'<rect class="{kind}" x="24" y="{self._y - 24}" width="{self._width - 48}" '
            f'height="{height}" rx="6"/>'
        )
        for line in lines:
            yield _text(36, self._y - 6, line, "ink note")
            self._y += _LINE
        self._y += 24

    def _verdict(self) -> Iterator[str]:
        race, end = self._race, "nothing" if self._race.end is None else self._race.end
        if race.broken_off:
            yield from self._band(broken_off(race), "held")
            self._y += 8
        if race.verdict is not None:
            told = f"sold {race.sold} of {race.balance}, the server holds {end}: {race.verdict.word}"
            yield from self._band(told, "saved" if race.verdict else "lost")

    def _band(self, told: str, kind: str) -> Iterator[str]:
        lines = textwrap.wrap(told, int((self._width - 72) / _CHARACTER))
        height = _LINE * (len(lines) - 1) + 32
        yield (
            f'<rect class="{kind}" x="24" y="{self._y - 20}" width="{self._width - 48}" '
            f'height="{height}" rx="6"/>'
        )
        for number, line in enumerate(lines):
            yield _text(self._width / 2, self._y + 1 + _LINE * number, line, "ink strong", "middle")
        self._y += height


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _arrow(start: float, end: float, y: float, *, dashed: bool = False) -> str:
    back = -8 if end > start else 8
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    tip = f"M {end:g} {y:g} l {back} -4.5 l 0 9 z"
    return (
        f'<line class="arrow" x1="{start:g}" y1="{y:g}" x2="{end + back / 2:g}" y2="{y:g}"{dash}/>'
        f'<path class="tip" d="{tip}"/>'
    )
