"""Draws docs/figures/lock-fence.svg: a holder that slept past its lease, and the fence that stops it.

    python docs/figures/make_locks.py

Drawn in the manner of the diagrams of `redislock race`, for light and dark pages.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from redislock.cli._sequence import _STYLE as STYLE
from redislock.cli._sequence import _arrow as arrow
from redislock.cli._sequence import _text as text

PICTURE = Path(__file__).with_name("lock-fence.svg")
TITLE = "A holder that slept past its lease is stopped by the fence"

# The life lines, in the order of their columns.
A, LOCK, B, STORE = range(4)
HEADS = (
    ("worker A", "head"),
    ("lock on Redis", "server"),
    ("worker B", "head"),
    ("what it guards", "server"),
)
EDGE, LANE, TOP, ROW, LINE = 96, 200, 112, 58, 24


class Call(NamedTuple):
    """A question and its answer, which change what the one who is asked remembers."""

    who: int
    whom: int
    asks: str
    answer: str
    after: str


class Note(NamedTuple):
    """A line across the picture."""

    kind: str
    words: str


class Sleep(NamedTuple):
    """One who does nothing for a while."""

    who: int
    words: str


STEPS = (
    Call(A, LOCK, "acquire", "held, fence 41", "A"),
    Sleep(A, "stopped"),
    Note("held", "A is stopped for longer than its lease: a pause, swap, SIGSTOP, a dead network"),
    Call(B, LOCK, "acquire", "held, fence 42", "B"),
    Call(B, STORE, "write, fence 42", "done", "42"),
    Sleep(A, "awake"),
    Call(A, STORE, "write, fence 41", "refused", "42"),
    Note("saved", "with the fence in the write: 42 was seen, so 41 is from the past, and changes nothing"),
    Note("lost", "without it: A's late write would go over B's, whatever the lock does"),
)


def column(number: int) -> int:
    """Return where a life line is."""
    return EDGE + LANE * number


WIDTH = column(len(HEADS) - 1) + EDGE


def call(step: Call, y: int) -> Iterator[str]:
    """Draw there and back. Words stand in the lane of the one who asks."""
    here, there = column(step.who), column(step.whom)
    label = here + (LANE / 2 if there > here else -LANE / 2)
    yield text(label, y - 6, step.asks, "ink code", "middle")
    yield arrow(here, there, y)
    yield text(label, y + 20, step.answer, "ink code", "middle")
    yield arrow(there, here, y + 26, dashed=True)
    width = 10 * len(step.after) + 16
    yield f'<rect class="held" x="{there - width / 2:g}" y="{y + 1}" width="{width}" height="24" rx="12"/>'
    yield text(there, y + 18, step.after, "ink strong", "middle")


def note(step: Note, y: int) -> Iterator[str]:
    """Draw a line with a background."""
    yield f'<rect class="{step.kind}" x="24" y="{y - 20}" width="{WIDTH - 48}" height="29" rx="6"/>'
    yield text(36, y, step.words, "ink note")


def sleep(step: Sleep, y: int) -> Iterator[str]:
    """Write a word over a life line."""
    x = column(step.who)
    yield f'<rect class="paper" x="{x - 34}" y="{y - 15}" width="68" height="20"/>'
    yield text(x, y, step.words, "faint strong", "middle")


def body() -> tuple[list[str], int]:
    """Return what happens, and where it ends."""
    lines: list[str] = []
    y = TOP
    for step in STEPS:
        if isinstance(step, Call):
            lines += call(step, y)
            y += ROW
        elif isinstance(step, Sleep):
            lines += sleep(step, y)
            y += LINE + 8
        else:
            lines += note(step, y)
            y += LINE + 14
    return lines, y - 14


def draw() -> str:
    """Return the picture."""
    lines, height = body()
    heads: list[str] = []
    for number, (name, kind) in enumerate(HEADS):
        x = column(number)
        heads.append(f'<line class="life" x1="{x}" y1="84" x2="{x}" y2="{height - 84}"/>')
        heads.append(f'<rect class="{kind}" x="{x - 62}" y="52" width="124" height="32" rx="6"/>')
        heads.append(text(x, 73, name, "ink strong", "middle"))
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{TITLE}">',
        f"<title>{TITLE}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        text(24, 32, TITLE, "ink title"),
        *heads,
        *lines,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
