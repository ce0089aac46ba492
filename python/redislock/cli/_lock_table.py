"""How a listing of locks is shown: one table that fits the terminal, waits and deadlocks below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from redislock.cli._common import in_brief, natural_width
from redislock.cli._holders import KINDS, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from redislock.cli._holders import Edge, Holder, Listing, Owner, SeenLock

_NO_LEASE: Final = "no lease"
_LONGEST_NAME: Final = 48
_MOST_HOLDERS: Final = 5
"""Of one lock, in a table of many."""
_MOST_EDGES: Final = 20
_LAYOUTS: Final = (
    ("lock", "kind", "held by", "fence", "age", "left", "waiting", "first in line"),
    ("lock", "kind", "held by", "age", "left", "waiting", "first in line"),
    ("lock", "kind", "held by", "age", "left", "waiting"),
    ("lock", "held by", "left", "waiting"),
)
"""The columns; the first set that a terminal is wide enough for is taken."""
_RIGHT: Final = frozenset({"fence", "age", "left", "waiting"})


def in_order(locks: Iterable[SeenLock]) -> list[SeenLock]:
    """Return first what most wait for, since a table may have no room for all."""
    return sorted(locks, key=lambda each: (-each.waiting, each.key))


def show(listing: Listing, console: Console, most: int) -> RenderableType:
    """Return what a console of this width shows of a listing, in `most` rows or a few more."""
    if not listing.locks:
        return Text(f"nothing is held or awaited at {listing.where}")
    ordered = in_order(listing.locks)
    rows, shown = _rows(ordered, most)
    parts: list[RenderableType] = [_fitting(rows, console)]
    if left := len(ordered) - shown:
        parts.append(Text(f"and {left:,} more lock{'s' * (left != 1)}"))
    parts.extend(_edge_lines(listing.edges, min(_MOST_EDGES, most)))
    return Group(*parts)


# ---- the table


def _rows(locks: Sequence[SeenLock], most: int) -> tuple[list[dict[str, str]], int]:
    rows: list[dict[str, str]] = []
    for number, lock in enumerate(locks):
        if len(rows) >= most:
            return rows, number
        rows.extend(_rows_of(lock, _MOST_HOLDERS if len(locks) > 1 else most))
    return rows, len(locks)


def _rows_of(lock: SeenLock, most: int) -> Iterator[dict[str, str]]:
    first = {"lock": shortened(lock.name, _LONGEST_NAME), **_queue(lock)}
    if not lock.holders:
        kind = lock.waiters[0].kind if lock.waiters else ""
        yield {"kind": KINDS.get(kind, ""), "held by": "nobody", **first}
    for holder in lock.holders[:most]:
        yield {**_cells(holder), **first}
        first = {}
    if (left := len(lock.holders) - most) > 0:
        yield {"held by": f"and {left:,} more", **first}


def _cells(holder: Holder) -> dict[str, str]:
    return {
        "kind": KINDS[holder.kind],
        "held by": holder.owner.words,
        "fence": str(holder.fence) if holder.fence is not None else "",
        "age": in_brief(holder.age) if holder.age is not None else "",
        "left": in_brief(holder.left) if holder.left is not None else _NO_LEASE,
    }


def _queue(lock: SeenLock) -> dict[str, str]:
    if not lock.waiting:
        return {}
    if not lock.waiters:  # they have gone since they were counted
        return {"waiting": f"{lock.waiting:,}"}
    first = lock.waiters[0]
    how = {"r": " to read", "w": " to write"}.get(first.kind, "")
    who = f"{first.owner.words}{how}, for {in_brief(first.waited)}"
    return {"waiting": f"{lock.waiting:,}", "first in line": who}


def _fitting(rows: Sequence[dict[str, str]], console: Console) -> RenderableType:
    for layout in _LAYOUTS:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in layout:
            table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(row.get(name, "")) for name in layout))
        if natural_width(console, table) <= console.width:
            return table
    return Group(*(Text(line) for line in _lines(rows)))


def _lines(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Return the rows for a terminal that has no room for columns."""
    for row in rows:
        kind, left, waiting = row.get("kind"), row.get("left"), row.get("waiting")
        facts = [
            f"{kind} held by {row['held by']}" if kind else row["held by"],
            f"for {row['age']}" if row.get("age") else "",
            f"{left} left" if left and left != _NO_LEASE else left,
            f"{waiting} waiting" if waiting else "",
        ]
        head = f"{row['lock']}: " if "lock" in row else "  "
        yield head + ", ".join(filter(None, facts))


# ---- who waits for whom


def _edge_lines(edges: Sequence[Edge], most: int) -> Iterator[Text]:
    if not edges:
        return
    cycle = sum(each.deadlock for each in edges)
    yield Text("")
    if cycle:
        yield Text(f"DEADLOCK: {cycle} owners wait for each other and would for ever", "bold red")
    for each in edges[:most]:
        line = f"{each.owner.words} waits for {shortened(each.lock.name, _LONGEST_NAME)}"
        mark, style = ("! ", "red") if each.deadlock else ("  ", "")
        yield Text(f"{mark}{line}, held by {_names(each.held_by)}, for {in_brief(each.waited)}", style)
    if (left := len(edges) - most) > 0:
        yield Text(f"  and {left:,} more who hold a lock and wait for another")


def _names(owners: Sequence[Owner]) -> str:
    if not owners:
        return "nobody"
    rest = f" and {len(owners) - 1:,} more" if len(owners) > 1 else ""
    return owners[0].words + rest
