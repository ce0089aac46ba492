"""A strategy of a database under load, by Python threads: what the native generator is for Redis.

It has the methods of `_core.LoadGenerator`, and its report has the same fields, so that `redislock.load`
and the commands treat both alike. Its rates are those of Python threads, which take turns on one core.
"""

from __future__ import annotations

import bisect
import itertools
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from redislock import _core
from redislock._errors import (
    AuthenticationError,
    Error,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServerError,
)
from redislock.sql._base import to_result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redislock._core import HistoryEntry, Result
    from redislock.sql import Client

__all__ = ["Accounts", "SqlGenerator"]

_ZIPF: Final = 0.99
_FATAL: Final = (AuthenticationError, PermissionDeniedError, ServerError)  # to be expected of every call
_LAST_WORDS: Final = 5.0  # seconds for what is under way at an abort


class Accounts:
    """The accounts of one run: those of its names, behind a prefix that no others have."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    @property
    def url(self) -> str:
        """Where they are, without a password."""
        return self._client.url

    def name(self, user: str) -> str:
        """What the account is called in the database."""
        return f"{self._prefix}:{user}"

    def init(self, user: str, balance: int) -> Result:
        """Open an account."""
        return self._client.init(self.name(user), balance)

    def balance(self, user: str) -> int | None:
        """Return what it holds."""
        return self._client.balance(self.name(user))

    def history(self, user: str) -> list[HistoryEntry]:
        """Return its changes."""
        return self._client.history(self.name(user))

    def delete(self, user: str) -> Result:
        """Remove it."""
        return self._client.delete(self.name(user))


class _Seen:
    """What one thread has counted. Nobody else writes here."""

    def __init__(self, accounts: int) -> None:
        self.ended_ok = 0
        self.statuses: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()
        self.faults: dict[str, dict[str, Any]] = {}
        self.histograms = {name: _core.Histogram() for name in ("latency", "latency_all", "service")}
        self.money: dict[int, Counter[str]] = {}
        self.accounts = accounts

    def book(self, account: int, word: str, amount: int) -> None:
        """Note money that was taken, or may have been."""
        money = self.money.setdefault(account, Counter())
        money[word] += amount
        money[f"{word}_count"] += 1

    def fault(self, error: Error) -> None:
        """Note what went wrong."""
        known = self.faults.setdefault(type(error).__name__, {"count": 0, "first": str(error)})
        known["count"] += 1


class _Clock:
    """The phases of a run, and who begins when."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.warm = settings["warmup"]
        self.lasts = settings["duration"]
        self.count: int | None = settings["count"]
        self.rate: float | None = settings["rate"]
        self.begun = time.monotonic()
        self.window = self.begun + self.warm
        self.until = self.window + self.lasts if self.count is None else float("inf")
        self.stopped = False
        self._turns = itertools.count()
        self._tickets = itertools.count()

    def next(self) -> float | None:
        """When the next withdrawal is due, which is now in a closed loop; None where there is none."""
        now = time.monotonic()
        if self.stopped or now >= self.until:
            return None
        if self.rate is not None:
            due = self.begun + next(self._turns) / self.rate
            if due >= self.until:
                return None
            while (left := due - time.monotonic()) > 0 and not self.stopped:
                time.sleep(min(left, 0.05))
            now = due
        if self.count is not None and now >= self.window and next(self._tickets) >= self.count:
            return None
        return now

    def measures(self, due: float) -> bool:
        """Whether what begins then is measured."""
        return bool(self.window <= due < self.until)


class SqlGenerator:
    """One run. Its threads begin with the first step."""

    def __init__(self, client: Client, accounts: Accounts, names: Sequence[str], **settings: Any) -> None:
        # The checks of the native generator are these as well; it opens nothing.
        _core.LoadGenerator(
            _core.Options("memory://"), prefix="", accounts=names, **{**settings, "strategy": "lua"}
        ).close()
        self._client = client
        self._names = [accounts.name(each) for each in names]
        self._settings = settings
        self._threads: list[threading.Thread] = []
        self._seen: list[_Seen] = []
        self._clock: _Clock | None = None
        self._fatal: Error | None = None
        self._ended = 0.0
        self._stopped = False
        self._draw = _spread(settings["keys"], len(names))

    def step(self, seconds: float) -> bool:
        """Go on for about that long. False once the run is over."""
        if self._stopped and self._clock is None:
            return False
        if self._clock is None:
            self._start()
        until = time.monotonic() + seconds
        for each in self._threads:
            each.join(max(0.0, until - time.monotonic()))
        alive = any(each.is_alive() for each in self._threads)
        if not alive and not self._ended:
            self._ended = time.monotonic()
        return alive

    def stop(self) -> None:
        """Begin nothing new; steps go on until what is under way has ended."""
        self._stopped = True
        if self._clock is not None:
            self._clock.stopped = True

    def abort(self) -> None:
        """End at once."""
        self.stop()
        give_up = time.monotonic() + _LAST_WORDS
        while self.step(0.05) and time.monotonic() < give_up:
            pass

    def close(self) -> None:
        """Nothing is left to be closed: the connections are the client's."""
        self.stop()

    def snapshot(self) -> dict[str, Any]:
        """How far the run has got."""
        clock, now = self._clock, time.monotonic()
        if clock is None or now < clock.window:
            fraction = 0.0 if clock is None else (now - clock.begun) / (clock.warm + clock.lasts)
            return self._shown("warming", 0.0 if clock is None or clock.count else fraction, 0.0)
        elapsed = min(now, clock.until, self._ended or now) - clock.window
        done = sum(each.numbers["operations"] for each in list(self._seen))
        fraction = (
            done / clock.count
            if clock.count
            else (clock.warm + elapsed) / max(1e-9, clock.warm + clock.lasts)
        )
        over = not any(each.is_alive() for each in self._threads)
        phase = "over" if over else "draining" if now >= clock.until or clock.stopped else "measuring"
        return self._shown(phase, min(1.0, fraction), elapsed)

    def report(self) -> dict[str, Any]:
        """All that was counted."""
        clock, seen = self._clock, self._seen
        assert clock is not None  # noqa: S101 - a run without a step has no report
        end = min(clock.until, self._ended or time.monotonic())
        elapsed = max(0.0, end - clock.window)
        numbers: Counter[str] = sum((each.numbers for each in seen), Counter())
        due = int(elapsed * clock.rate) if clock.rate is not None else 0
        return {
            "elapsed": elapsed,
            "throughput": sum(each.ended_ok for each in seen) / elapsed if elapsed else 0.0,
            "operations": numbers["operations"],
            "attempts": numbers["attempts"],
            "round_trips": numbers["round_trips"],
            "statements": numbers["statements"],
            "transactions": numbers["transactions"],
            "missed": max(0, due - numbers["operations"]),
            "statuses": dict(sum((each.statuses for each in seen), Counter())),
            **{name: self._merged(name).summary() for name in ("latency", "latency_all", "service")},
            "faults": _faults(seen),
            "fatal": self._fatal,
            "longest_line": 0,
            "accounts": [self._money(index) for index in range(len(self._names))],
        }

    def _shown(self, phase: str, fraction: float, elapsed: float) -> dict[str, Any]:
        seen = list(self._seen)
        return {
            "phase": phase,
            "progress": fraction,
            "elapsed": elapsed,
            "in_flight": sum(each.is_alive() for each in self._threads),
            "operations": sum(each.numbers["operations"] for each in seen),
            "throughput": sum(each.ended_ok for each in seen) / elapsed if elapsed > 0 else 0.0,
            "statuses": dict(sum((each.statuses.copy() for each in seen), Counter())),
        }

    def _start(self) -> None:
        settings = self._settings
        self._seen = [_Seen(len(self._names)) for _ in range(settings["users"])]
        self._clock = clock = _Clock(settings)
        for index, seen in enumerate(self._seen):
            draw = random.Random(f"{settings['seed']}:{index}")  # noqa: S311 - the same seed, the same run
            # Daemons: a second Ctrl-C does not wait for what is under way.
            self._threads.append(threading.Thread(target=self._user, args=(clock, seen, draw), daemon=True))
        for each in self._threads:
            each.start()

    def _user(self, clock: _Clock, seen: _Seen, draw: random.Random) -> None:
        amount, jitter = self._settings["amount"], self._settings["jitter"]
        while (due := clock.next()) is not None:
            account = self._draw(draw)
            wanted = max(1, amount + draw.randint(-jitter, jitter)) if jitter else amount
            try:
                self._one(clock, seen, account, wanted, due)
            except _FATAL as error:
                self._fatal = error
                clock.stopped = True
                return

    def _one(self, clock: _Clock, seen: _Seen, account: int, amount: int, due: float) -> None:
        settings, client = self._settings, self._client
        operation = client._withdraw(  # noqa: SLF001 - what it took is read from the operation
            settings["strategy"],
            self._names[account],
            amount,
            None,
            None,
            max_retries=settings["max_retries"],
        )
        operation.added = settings["rtt"]
        begun = time.monotonic()
        due = due if clock.rate is not None else begun
        status = None
        try:
            outcome = client._run(operation)  # noqa: SLF001
            status = str(to_result(operation, outcome, 0).status)
            if status == "ok":
                seen.book(account, "taken", amount)
        except OutcomeUnknownError as error:
            seen.book(account, "unknown", amount)
            seen.fault(error)
        except _FATAL:
            raise
        except Error as error:
            seen.fault(error)
        ended = time.monotonic()
        if status == "ok" and clock.window <= ended < clock.until:
            seen.ended_ok += 1
        if clock.measures(due):
            self._note(seen, operation.request, status, ended - due, ended - begun)

    @staticmethod
    def _note(seen: _Seen, request: Any, status: str | None, late: float, took: float) -> None:
        numbers = seen.numbers
        numbers["operations"] += 1
        numbers["attempts"] += request.attempts
        numbers["round_trips"] += request.round_trips
        numbers["statements"] += request.statements
        numbers["transactions"] += request.transactions
        seen.histograms["latency_all"].record(late)
        if status is None:
            return
        seen.statuses[status] += 1
        if status == "ok":
            seen.histograms["latency"].record(late)
            seen.histograms["service"].record(took)

    def _merged(self, name: str) -> _core.Histogram:
        merged = _core.Histogram()
        for each in self._seen:
            merged.merge(each.histograms[name].encode())
        return merged

    def _money(self, index: int) -> dict[str, int]:
        names = ("taken", "unknown", "taken_count", "unknown_count")
        mine = [each.money[index] for each in self._seen if index in each.money]
        return {name: sum(each[name] for each in mine) for name in names}


def _faults(seen: Sequence[_Seen]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for each in seen:
        for kind, told in each.faults.items():
            known = out.setdefault(kind, {"count": 0, "first": told["first"]})
            known["count"] += told["count"]
    return out


def _spread(keys: str, accounts: int) -> Callable[[random.Random], int]:
    """How withdrawals are spread over the accounts."""
    if keys == "hot" or accounts == 1:
        return lambda _: 0
    if keys == "uniform":
        return lambda draw: draw.randrange(accounts)
    weights = list(itertools.accumulate((index + 1) ** -_ZIPF for index in range(accounts)))
    return lambda draw: min(bisect.bisect(weights, draw.random() * weights[-1]), accounts - 1)
