"""A race in slow motion: buyers are led through one interleaving, the same every time.

The withdrawals are the core's own coroutines on a real server (or ``memory://``). Each is held
before every round trip; here they take turns, so that with the naive strategy all have read before
anybody writes. The account is made under a prefix with a random part, and deleted after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import string
import time
from typing import TYPE_CHECKING, Any, Final

from redislock import _core, _verdict
from redislock._client import Client
from redislock._errors import Error, TimeoutError  # noqa: A004 - ours derives from the builtin
from redislock._log import logger as _package_logger
from redislock._race_words import Ledger
from redislock._settings import environment_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["MOST_BUYERS", "Race", "Step", "logger", "name_buyers", "run"]

MOST_BUYERS: Final = len(string.ascii_uppercase)

logger = _package_logger.getChild("race")

_USER: Final = "stock"
_HISTORY_LIMIT: Final = 1000
_SLICE: Final = 0.05  # seconds; Ctrl-C is seen in between
_LAST_WORDS: Final = 1.0  # seconds for locks to be released when a race is broken off
_PATIENCE: Final = 3600.0  # seconds; who waits for a lock here stands still most of the time
_LEASE: Final = 300.0  # seconds; enough for everybody else to ask in vain


@dataclasses.dataclass(frozen=True)
class Step:
    """One round trip of one buyer."""

    number: int
    buyer: str
    does: str
    """What it did, in words."""
    asks: str
    """What it asked of the server, in short."""
    answer: str
    """What came back, in short."""
    sent: tuple[str, ...]
    """All commands that went out together."""
    received: tuple[str, ...]
    """Their replies."""
    balance: int | None
    """What the server held afterwards, as another client reads it."""
    saved: str
    """How the strategy kept the balance right at this very moment; empty at other moments."""
    lost: str
    """What was lost at this very moment; empty at other moments."""
    ended: str
    """The status that the buyer ended in by this step; empty where it goes on."""


@dataclasses.dataclass(frozen=True)
class Race:
    """What happened."""

    strategy: str
    balance: int
    """What the server held at first."""
    amount: int
    """What each buyer wants."""
    buyers: tuple[str, ...]
    steps: tuple[Step, ...]
    results: dict[str, _core.Result]
    """How each buyer's withdrawal ended; of a race that was broken off, those that did."""
    end: int | None
    """What the server holds at the end."""
    verdict: _verdict.Verdict | None
    """Whether the books hold; None where the server could not be asked any more."""
    broken_off: str = ""
    """What ended the race before its end: "Ctrl-C", or a fault in words."""

    @property
    def sold(self) -> int:
        """The sum of the withdrawals that answered ok."""
        return self.amount * sum(map(bool, self.results.values()))

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as a new dict, fit for JSON; the same for every run but for the server."""
        results = {
            name: {"status": str(each.status), "balance": each.balance, "attempts": each.attempts}
            for name, each in self.results.items()
        }
        return {
            "strategy": self.strategy,
            "balance": self.balance,
            "amount": self.amount,
            "buyers": list(self.buyers),
            "steps": [
                {**dataclasses.asdict(each), "sent": list(each.sent), "received": list(each.received)}
                for each in self.steps
            ],
            "results": results,
            "end": self.end,
            "sold": self.sold,
            "broken_off": self.broken_off,
            "verdict": None if self.verdict is None else self.verdict.as_dict(),
        }


def run(
    url: str | None = None,
    *,
    strategy: str = "naive",
    balance: int = 5,
    amount: int = 1,
    buyers: int = 2,
    prefix: str | None = None,
    timeout: float = 5.0,
    on_broken_off: Callable[[Race], object] | None = None,
    **options: Any,
) -> Race:
    """Lead `buyers` withdrawals of `amount` from one balance through a race, round trip by round trip.

    They take turns: each one's first round trip, then each one's second, until all have ended.
    `timeout` is how long the server may take for one of them. Further options are those of
    `Client`. Raises ValueError, TypeError or OverflowError for a wrong argument before anything is
    sent, and an `Error` where the server cannot be used. The keys are deleted in any case.

    `on_broken_off` is given what was seen so far where Ctrl-C or a fault ends a race that had
    begun, before that is raised.
    """
    names = name_buyers(buyers)
    base = environment_prefix() if prefix is None else prefix
    working_prefix = f"{base}:race-{secrets.token_hex(6)}"
    with Client(url, prefix=working_prefix, timeout=timeout, **options) as client:
        stepper = _core.Stepper(
            client._options,  # noqa: SLF001 - the very server of the client, also a nameless memory://
            prefix=working_prefix,
            account=_USER,
            strategy=strategy,
            buyers=buyers,
            amount=amount,
            history_limit=_HISTORY_LIMIT,
            max_retries=buyers,  # of those who meet at an EXEC one always wins
            lock_wait=_PATIENCE,
            lock_lease=_LEASE,
        )
        led: _Led | None = None
        try:
            client.init(_USER, balance)
            words = Ledger(strategy, client.keys(_USER), amount)
            led = _Led(client, stepper, words, names, timeout)
            led.to_the_end(balance)
            return led.concluded(Race(strategy, balance, amount, names, (), {}, None, None))
        except (KeyboardInterrupt, Error) as why:
            if led is not None and on_broken_off is not None:
                cause = str(why) if isinstance(why, Error) else "Ctrl-C"
                so_far = Race(strategy, balance, amount, names, (), {}, None, None, cause)
                on_broken_off(led.broken_off(so_far))
            raise
        finally:
            try:
                stepper.close(_LAST_WORDS)
            finally:
                _remove(client, working_prefix)


class _Led:
    """The buyers, and whose turn it is."""

    def __init__(
        self,
        client: Client,
        stepper: _core.Stepper,
        words: Ledger,
        names: tuple[str, ...],
        timeout: float,
    ) -> None:
        self._client = client
        self._stepper = stepper
        self._names = names
        self._timeout = timeout
        self._words = words
        self._steps: list[Step] = []
        self._results: dict[str, _core.Result] = {}
        self._paying: int | None = None  # whose round trip is under way and may take money

    def to_the_end(self, balance: int) -> None:
        held: int | None = balance
        for number, turn in enumerate(self._turns(), start=1):
            self._steps.append(self._step(number, turn, held))
            held = self._steps[-1].balance

    def concluded(self, race: Race, patience: float | None = None) -> Race:
        """Return the race with all that was seen, and judged."""
        judged = dataclasses.replace(
            race,
            steps=tuple(self._steps),
            results={name: self._results[name] for name in self._names if name in self._results},
        )
        end = self._client.balance(_USER, timeout=patience)
        entries = self._client.history(_USER, timeout=patience)
        return dataclasses.replace(judged, end=end, verdict=self._judge(judged, end, entries))

    def broken_off(self, race: Race) -> Race:
        """Return it as far as it went; judged where the server still answers."""
        for turn, name in enumerate(self._names):
            outcome = self._stepper.outcome(turn)
            if isinstance(outcome, _core.Result):
                self._results[name] = outcome
        self._stepper.close(_LAST_WORDS)  # nothing is sent any more by whoever was held
        with contextlib.suppress(Error):
            return self.concluded(race, _LAST_WORDS)
        return dataclasses.replace(race, steps=tuple(self._steps), results=self._results)

    def _judge(self, race: Race, end: int | None, entries: Sequence[_verdict.Entry]) -> _verdict.Verdict:
        unknown = self._paying is not None and self._names[self._paying] not in self._results
        books = _verdict.Books(
            user=_USER,
            start=race.balance,
            end=end,
            ok=race.sold,
            unknown=race.amount * unknown,
            unknown_count=int(unknown),
            entries=entries,
            history_limit=_HISTORY_LIMIT,
        )
        return _verdict.conclude([_verdict.judge(books)])

    def _turns(self) -> Iterator[int]:
        while len(self._results) < len(self._names):
            for turn, name in enumerate(self._names):
                if name not in self._results:
                    yield turn

    def _step(self, number: int, turn: int, before: int | None) -> Step:
        name = self._names[turn]
        self._settle(turn)
        following = self._stepper.next(turn)
        self._paying = turn if following is not None and self._words.pays(following) else None
        self._stepper.release(turn)
        self._settle(turn)
        outcome = self._stepper.outcome(turn)
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is not None:
            self._results[name] = outcome
        exchange = self._stepper.last(turn)
        if exchange["failure"] is not None:  # it goes on: the connection was lost, and made again
            raise exchange["failure"]
        after = self._client.balance(_USER)
        said = self._words.tell(name, exchange, before, after)
        pairs = list(zip(exchange["commands"], exchange["replies"], strict=True))
        return Step(
            number=number,
            buyer=name,
            does=said.does,
            asks=said.asks,
            answer=said.answer,
            sent=tuple(self._words.plain(command, exchange["script"]) for command, _ in pairs),
            received=tuple(self._words.plain_reply(command, reply) for command, reply in pairs),
            balance=after,
            saved=said.saved,
            lost=said.lost,
            ended="" if outcome is None else str(outcome.status),
        )

    def _settle(self, turn: int) -> None:
        """Wait until the buyer stands before its next round trip, or has ended."""
        give_up = time.monotonic() + self._timeout
        while not self._stepper.settle(turn, _SLICE):
            if time.monotonic() > give_up:
                raise TimeoutError(
                    f"buyer {self._names[turn]} got no answer from {self._client.url} "
                    f"within {self._timeout:g} s"
                )


def name_buyers(buyers: object) -> tuple[str, ...]:
    """Return a letter for each buyer."""
    if not isinstance(buyers, int) or isinstance(buyers, bool):
        raise TypeError(f"buyers must be an int, not {type(buyers).__name__}")
    if not 1 <= buyers <= MOST_BUYERS:
        raise ValueError(f"buyers must be from 1 to {MOST_BUYERS}")
    return tuple(string.ascii_uppercase[:buyers])


def _remove(client: Client, prefix: str) -> None:
    """Delete the account. Ctrl-C in the middle of it is raised when it is deleted, a second one at once."""
    try:
        try:
            client.delete(_USER)
        except (KeyboardInterrupt, SystemExit):
            client.delete(_USER)
            raise
    except Error as error:
        logger.warning("keys that begin with %s: could not be deleted: %s", prefix, error)
