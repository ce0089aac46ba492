"""The accounts of one run: opened once for the whole fleet, and judged when it is over.

It asks the server only from the process that keeps the books: the only one, or the master.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Final

import redislock
from redislock import _verdict
from redislock._errors import CorruptBalanceError, WrongTypeError
from redislock.locust.workload import DEFAULT_BALANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from redislock.locust.outcomes import Totals

__all__ = ["Ledger", "Opening"]

logger = logging.getLogger("redislock.locust")

_READS: Final = 20  # of a balance that may still move: what was cut off may be applied late
_PAUSE: Final = 0.05
_DEFAULT_HISTORY: Final = 1000


@dataclasses.dataclass(frozen=True)
class Opening:
    """What one class of users wants: its accounts, and a client to open them with."""

    owner: str
    accounts: dict[str, int | None]
    make_client: Callable[[], redislock.Client]
    history_limit: int = _DEFAULT_HISTORY


@dataclasses.dataclass
class _Page:
    """One account, and all classes whose users take from it."""

    user: str
    start: int
    set_anew: bool
    owners: set[str]
    opening: Opening


class Ledger:
    """The books of one run."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], _Page] = {}
        self.fault = ""
        """Why an account could not be opened; empty where all are open."""

    @property
    def is_open(self) -> bool:
        """Whether it holds an account."""
        return bool(self._pages)

    def open(self, openings: Iterable[Opening]) -> None:
        """Give every account its balance, once, whoever wants it."""
        for wanted in openings:
            if not wanted.accounts:
                continue
            with wanted.make_client() as client:
                for user, balance in wanted.accounts.items():
                    self._try_to_open(client, wanted, user, balance)

    def judge(self, totals: Totals) -> _verdict.Verdict | None:
        """Compare what the accounts hold with what was taken; None where there is nothing to judge.

        Raises `redislock.Error` where the server does not tell.
        """
        findings = []
        for page in self._pages.values():
            done = totals.money(iter(page.owners), page.user)
            if done.reset:
                logger.warning("the account %s was reset by a user: its books are not judged", page.user)
                continue
            books = _verdict.Books(
                user=page.user,
                start=page.start,
                end=None,
                ok=done.ok,
                unknown=done.unknown,
                unknown_count=done.unknown_count,
                deposits=done.deposits,
            )
            with page.opening.make_client() as client:
                findings.append(_verdict.judge(_complete(books, client, page)))
        return _verdict.conclude(findings) if findings else None

    def _try_to_open(self, client: redislock.Client, wanted: Opening, user: str, balance: int | None) -> None:
        try:
            self._open(client, wanted, user, balance)
        except redislock.Error as error:
            self.fault = f"the account {user} could not be opened: {error}"
            # One sentence says it; a traceback would not say more.
            logger.error("%s", self.fault)  # noqa: TRY400

    def _open(self, client: redislock.Client, wanted: Opening, user: str, balance: int | None) -> None:
        key = (client.url, client.keys(user)["balance"])
        if key in self._pages:
            self._pages[key].owners.add(wanted.owner)
            return
        client.init(user, DEFAULT_BALANCE if balance is None else balance, if_missing=balance is None)
        start = client.balance(user) if balance is None else balance
        self._pages[key] = _Page(user, start or 0, balance is not None, {wanted.owner}, wanted)


def _complete(books: _verdict.Books, client: redislock.Client, page: _Page) -> _verdict.Books:
    """Read balance and history, again while what was cut off at the end may still be applied."""
    try:
        end = client.balance(books.user)
        entries = client.history(books.user)
        for _ in range(_READS if books.unknown_count else 0):
            time.sleep(_PAUSE)
            before, end = end, client.balance(books.user)
            if before == end:
                break
        if books.unknown_count:
            entries = client.history(books.user)
    except (CorruptBalanceError, WrongTypeError) as error:
        return dataclasses.replace(books, unreadable=str(error))
    # Older entries tell of what was before; then the retained ones must only agree with each other.
    limit = page.opening.history_limit if page.set_anew else len(entries)
    return dataclasses.replace(books, end=end, entries=entries, history_limit=limit)
