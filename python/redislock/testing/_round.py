"""One account and the users who empty it: who was told what, and when each of them may stop.

A user goes on until the account should be empty by what all were told, so that a strategy is also
seen at the moment where there is too little left for everybody. Each user writes into a seat of
its own; nothing here waits, for a thread or for an event loop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from redislock import _verdict
from redislock._core import Result
from redislock._errors import MAY_HAVE_MOVED, CorruptBalanceError, Error, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CALLS = 16  # of each user on one account, while nobody is refused


class Seat:
    """What one user was told."""

    def __init__(self) -> None:
        self.seconds: list[float] = []  # of each call that answered true
        self.refused = 0
        self.raised: list[Exception] = []
        self.unknown = 0  # of those that raised: may have taken the money


class Round:
    """An account that holds `start`, and its users."""

    def __init__(self, account: str, *, users: int, amount: int, until: float) -> None:
        self.account = account
        self.amount = amount
        # One unit less than a withdrawal too much: the last one must be refused.
        self.start = amount * MOST_CALLS * users + amount - 1
        self.seats = [Seat() for _ in range(users)]
        self.overlap = 0
        self.fatal: BaseException | None = None
        self._until = until
        self._over = False
        self._inside: set[int] = set()

    def stop(self, fatal: BaseException | None = None) -> None:
        """Let users stop after their call; what is given is raised where the round was begun."""
        self._over = True
        if self.fatal is None:
            self.fatal = fatal

    def enter(self, index: int) -> float:
        """Note that a user begins a call; answer when."""
        self._inside.add(index)
        self.overlap = max(self.overlap, len(self._inside))
        return time.perf_counter()

    def leave(self, index: int) -> None:
        """Note that the call has ended."""
        self._inside.discard(index)

    def note(self, index: int, answer: Any, began: float) -> bool:
        """Take down an answer; answer whether that user goes on."""
        seat = self.seats[index]
        if to_bool(answer):
            seat.seconds.append(time.perf_counter() - began)
            # More than there was: it never refuses, and would go on for ever.
            return self._goes_on() and len(seat.seconds) * self.amount <= self.start
        seat.refused += 1
        return self._goes_on() and not self._emptied()

    def note_raised(self, index: int, error: BaseException) -> bool:
        """Take down what a call raised; answer whether that user goes on."""
        # A complaint of the test itself, or a call that can never work: no outcome of a withdrawal.
        if isinstance(error, (AssertionError, TypeError)) or not isinstance(error, Exception):
            self.stop(error)
            return False
        seat = self.seats[index]
        seat.raised.append(error)
        if isinstance(error, MAY_HAVE_MOVED) or not isinstance(error, Error):
            seat.unknown += 1
        return self._goes_on() and not self._emptied()

    def _goes_on(self) -> bool:
        """Whether users begin another call. Asked after the first one, so that each has made one."""
        return not self._over and time.monotonic() < self._until

    def _emptied(self) -> bool:
        """Whether the account should hold too little, by what users were told."""
        gone = sum(len(seat.seconds) + seat.unknown for seat in self.seats) * self.amount
        return gone + self.amount > self.start

    def books(self, read: Callable[[str], int | None]) -> _verdict.Books:
        """The account's books, with the balance that is read now."""
        unknown = sum(seat.unknown for seat in self.seats)
        end, unreadable = None, ""
        try:
            end = read(self.account)
        except CorruptBalanceError:  # a client of ours, which takes no negative one for a balance
            unreadable = "it was overdrawn, or holds no number any more"
        except WrongTypeError as error:
            unreadable = str(error)
        return _verdict.Books(
            user=self.account,
            start=self.start,
            end=end,
            unreadable=unreadable,
            ok=self.amount * sum(len(seat.seconds) for seat in self.seats),
            unknown=self.amount * unknown,
            unknown_count=unknown,
        )


def to_bool(answer: Any) -> bool:
    """Whether the money was taken. Raises TypeError for what does not say so without a doubt."""
    # A balance of 0 would count as a refusal, and redis-py's b"refused" as money taken.
    if not isinstance(answer, (bool, Result)):
        raise TypeError(
            "the callable must return True if the money was taken and False if not, "
            f"or a redislock Result; it returned {answer!r}"
        )
    return bool(answer)
