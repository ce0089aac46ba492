"""Whether the money adds up after a run: pure functions over what was asked and what was found.

The rule, for each account::

    start + deposits - ok - unknown <= end <= start + deposits - ok

where `ok` and `unknown` are the sums of the withdrawals that answered ok and of those without an
answer. Besides, no balance is negative, and the retained history agrees with the balance.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Books", "Entry", "Finding", "Verdict", "conclude", "counted", "judge"]

_TOLD = 3  # accounts whose findings the detail spells out


class Entry(Protocol):
    """One change in a history; `HistoryEntry` is one."""

    @property
    def amount(self) -> int:
        """Positive for a withdrawal, negative for a deposit."""

    @property
    def balance(self) -> int:
        """The balance after it."""


@dataclasses.dataclass(frozen=True)
class Books:
    """What is known of one account after a run, in its smallest unit."""

    user: str
    start: int
    end: int | None
    """The balance that was read; None where there is none any more, or none to be read."""
    unreadable: str = ""
    """Why there is none to be read."""
    ok: int = 0
    """The sum of the withdrawals that answered ok."""
    unknown: int = 0
    """The sum of the withdrawals that may or may not have been applied."""
    unknown_count: int = 0
    deposits: int = 0
    entries: Sequence[Entry] = ()
    """The retained history, newest first."""
    history_limit: int = 0
    """How many entries are retained; 0: no history is kept, and none is judged."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is wrong with one account, if anything."""

    user: str
    unknown: int
    """Withdrawals whose outcome is unknown."""
    lost: int
    """Units lost or made; 0 where the books hold."""
    detail: str
    """What is wrong, in words; empty where nothing is."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether money was lost or made over a whole run."""

    held: bool
    unknown: int
    """Withdrawals whose outcome is unknown."""
    lost: int
    """Units lost or made over all accounts."""
    detail: str
    """What is wrong, in words; empty where nothing is."""

    @property
    def word(self) -> str:
        """``held``, ``held, k unknown`` or ``lost n``."""
        if not self.held:
            return f"lost {self.lost}"
        return f"held, {self.unknown} unknown" if self.unknown else "held"

    def as_dict(self) -> dict[str, object]:
        """Return the fields and the word as a new dict."""
        return {"word": self.word, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        return self.word

    def __bool__(self) -> bool:
        return self.held


def judge(books: Books) -> Finding:
    """Compare what one account holds with what was taken from it."""
    # The same units may show up in several ways: what is told is the plainest of them.
    lost, detail = _balance(books) or _sign(books) or _history(books) or (0, "")
    return Finding(books.user, books.unknown_count, lost, detail)


def conclude(findings: Iterable[Finding]) -> Verdict:
    """Put the findings of all accounts together."""
    seen = list(findings)
    bad = [each for each in seen if each.lost]
    told = [f"account {each.user}: {each.detail}" for each in bad[:_TOLD]]
    if len(bad) > _TOLD:
        told.append(f"and {len(bad) - _TOLD} accounts more")
    return Verdict(
        held=not bad,
        unknown=sum(each.unknown for each in seen),
        lost=sum(each.lost for each in bad),
        detail="; ".join(told),
    )


def counted(number: int, one: str, many: str) -> str:
    """Say "1 is" and "2 are"."""
    return f"{number} {one if number == 1 else many}"


_Complaint = tuple[int, str]


def _balance(books: Books) -> _Complaint | None:
    most = books.start + books.deposits - books.ok
    least = most - books.unknown
    if books.end is None:
        gone = books.unreadable or "its balance is gone"
        return max(abs(most), 1), f"{gone}; {most} should be left"
    if books.end > most:
        return books.end - most, (
            f"{counted(books.end - most, 'was', 'were')} paid out and never deducted: "
            f"{most} should be left, {counted(books.end, 'is', 'are')}"
        )
    if books.end < least:
        return least - books.end, (
            f"{counted(least - books.end, 'is', 'are')} missing: "
            f"{least} should be left, {counted(books.end, 'is', 'are')}"
        )
    return None


def _sign(books: Books) -> _Complaint | None:
    if books.end is not None and books.end < 0:
        return -books.end, f"its balance is negative: {books.end}"
    return None


def _history(books: Books) -> _Complaint | None:
    if books.history_limit == 0 or books.end is None:
        return None
    if books.entries and books.entries[0].balance != books.end:
        newest = books.entries[0].balance
        return abs(newest - books.end), (f"its newest history entry says {newest}, its balance {books.end}")
    for newer, older in pairwise(books.entries):
        expected = older.balance - newer.amount
        if newer.balance != expected:
            return abs(newer.balance - expected), (
                f"its history breaks: {newer.amount} from {older.balance} "
                f"left {newer.balance} instead of {expected}"
            )
    if len(books.entries) < books.history_limit:  # nothing was cut off
        changed = books.start - books.end
        told = sum(each.amount for each in books.entries)
        if told != changed:
            return abs(told - changed), f"its history tells of {told}, its balance of {changed}"
    return None
