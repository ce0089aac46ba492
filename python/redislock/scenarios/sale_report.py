"""What a flash sale came to: who sold how many, and whether stock and orders add up. Knows no servers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

from redislock._verdict import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ReplicaReport", "SaleReport", "table"]


@dataclasses.dataclass(frozen=True)
class ReplicaReport:
    """The orders of one replica."""

    name: str
    words: Mapping[str, int]
    """How many came to what: ``ok``, ``sold_out``, ``limit``, ``retry_later``, ``missing``, ``error``."""
    died: bool = False
    """Whether its process ended before it had told all."""
    error: str = ""
    """The first fault, in words."""

    @property
    def ok(self) -> int:
        """Orders that were made."""
        return self.words.get("ok", 0)

    @property
    def failed(self) -> int:
        """Orders that were answered and not made."""
        return sum(self.words.values()) - self.ok


@dataclasses.dataclass(frozen=True)
class SaleReport:
    """A flash sale. Prints as a table and a verdict; is true where stock and orders add up."""

    strategy: str
    stock: int
    """What there was at first."""
    orders: int
    """How many were to be sent."""
    replicas: tuple[ReplicaReport, ...]
    left: int | None
    """What the stock says at the end."""
    elapsed: float
    """Seconds in which orders were sent."""
    logged: int | None
    """Orders of this sale in the database; None where none was asked for or it could not be asked."""
    database: str = ""
    """Where that is."""
    backlog: int = 0
    """Orders that are still in the outbox."""
    mode: str = "outbox"
    trouble: str = ""
    """What keeps the database from being asked, or orders from reaching it."""
    interrupted: bool = False
    """Whether Ctrl-C ended it early."""

    @property
    def ok(self) -> int:
        """Orders that were made, by what the replicas told."""
        return sum(each.ok for each in self.replicas)

    @property
    def failed(self) -> int:
        """Orders that were answered and not made."""
        return sum(each.failed for each in self.replicas)

    @property
    def unanswered(self) -> int:
        """Orders of which nobody told anything: their replica died, or Ctrl-C came first."""
        return self.orders - self.ok - self.failed

    @property
    def rate(self) -> float:
        """Orders answered a second."""
        return (self.ok + self.failed) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def taken(self) -> int | None:
        """What has left the stock."""
        return None if self.left is None else self.stock - self.left

    @property
    def oversold(self) -> int:
        """Orders beyond what there was, or beyond what has left the stock."""
        more = 0 if self.taken is None else self.ok - self.taken
        return max(self.ok - self.stock, more, 0)

    @property
    def lost(self) -> int:
        """Pieces that have left the stock and are in no order."""
        if self.taken is None:
            return 0
        known = self.ok if self.logged is None else self.logged + self.backlog
        return max(self.taken - known, 0)

    @property
    def doubled(self) -> int:
        """Orders in the database beyond what has left the stock."""
        if self.taken is None or self.logged is None:
            return 0
        return max(self.logged + self.backlog - self.taken, 0)

    @property
    def held(self) -> bool:
        """Whether stock and orders add up, and nothing was sold that was not there."""
        died = any(each.died for each in self.replicas)
        if self.left is None or self.oversold or self.doubled:
            return False
        # Who died may have been told of an order, and cannot tell us. Its database can.
        return not self.lost or (self.logged is None and (died or bool(self.unanswered)))

    def __bool__(self) -> bool:
        return self.held and not self.trouble

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield the table, the figures and the verdict."""
        yield from table(self.replicas)
        answered = f"{self.ok + self.failed} of {self.orders} orders answered in {self.elapsed:.3f} s"
        yield f"{answered}, {self.rate:,.0f} a second"
        yield self.books()
        yield f"{'SUCCESS' if self else 'FAIL'}: {self.verdict()}"

    def books(self) -> str:
        """Return where the stock went, in one line."""
        left = "?" if self.left is None else self.left
        text = f"stock {self.stock} at first, {left} left, {self.ok} sold"
        if self.logged is not None:
            text += f", {self.logged} in the database"
        if self.backlog:
            text += f", {self.backlog} in the outbox"
        return text

    def verdict(self) -> str:
        """Return the verdict in words."""
        if self.interrupted:
            early = f"ended early by Ctrl-C after {self.ok + self.failed} of {self.orders} orders"
            return early if self.held else f"{early}; {self._complaint()}"
        if self.held and not self.trouble:
            where = "" if self.logged is None else " in the database"
            return f"no piece was sold twice, none was lost: stock and orders{where} add up"
        return self._complaint() or self.trouble

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as a new dict that JSON can hold."""
        out = dataclasses.asdict(self)
        names = ("ok", "failed", "unanswered", "oversold", "lost", "doubled", "held", "rate")
        return {**out, **{name: getattr(self, name) for name in names}, "verdict": self.verdict()}

    def _complaint(self) -> str:
        if self.left is None:
            return "the stock cannot be read"
        if self.oversold:
            left = counted(self.left, "is", "are")
            return f"OVERSOLD: {self.ok} orders of {self.stock} in stock, which says {left} left"
        if self.doubled:
            return f"{self.doubled} orders more are in the database than have left the stock"
        if not self.held:
            return f"LOST: {self.lost} left the stock and {'is' if self.lost == 1 else 'are'} in no order"
        return self.trouble


def table(replicas: Sequence[ReplicaReport]) -> Iterator[str]:
    """Yield a line for each replica, and one for all."""
    words: Counter[str] = Counter()
    for each in replicas:
        words.update(each.words)
    rows = [("replica", "ordered", "failed", "")]
    rows += [(each.name, str(each.ok), str(each.failed), _why(each)) for each in replicas]
    total = ReplicaReport("total", words)
    rows.append((total.name, str(total.ok), str(total.failed), _why(total)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, ok, failed, why in rows:
        yield f"{name:<{widths[0]}}  {ok:>{widths[1]}}  {failed:>{widths[2]}}  {why}".rstrip()


def _words(words: Mapping[str, int]) -> str:
    """Return what failed, where it is more than a sold-out stock."""
    strange = {word: count for word, count in words.items() if word not in ("ok", "sold_out")}
    return ", ".join(f"{count} {word}" for word, count in sorted(strange.items()))


def _why(replica: ReplicaReport) -> str:
    words = _words(replica.words)
    if replica.error and replica.words.get("error"):
        words += f" ({replica.error})"
    return f"died{', ' if words else ''}{words}" if replica.died else words
