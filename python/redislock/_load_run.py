"""One run of a load: its accounts, made and removed, and the generator in between.

It knows neither Redis nor databases: accounts and generator are given to it.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from redislock import _verdict
from redislock._errors import CorruptBalanceError, Error, WrongTypeError
from redislock._fleet import Fleet
from redislock._log import logger as _package_logger
from redislock._report import Latency, Progress, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redislock._core import HistoryEntry, Result

__all__ = ["HISTORY_LIMIT", "NO_CONFLICT", "SLOWEST", "Interrupted", "Run", "logger"]

HISTORY_LIMIT: Final = 1000
NO_CONFLICT: Final = "no conflict possible: one request in flight"
SLOWEST: Final = 0.001  # withdrawals a second, as the core's own bound

logger = _package_logger.getChild("load")

_SLICE: Final = 0.05  # seconds; Ctrl-C is seen and progress drawn in between
_LAST_WORDS: Final = 1.0  # seconds for what is under way when a run fails
_FEW: Final = 64  # accounts that are not worth a pool of threads
_THREADS: Final = 16
_READS: Final = 10  # of a balance that may still move
_T = TypeVar("_T")


class Accounts(Protocol):
    """What a run needs of a client."""

    @property
    def url(self) -> str:
        """Where they are, without a password."""

    def init(self, user: str, balance: int) -> Result:
        """Open an account."""

    def balance(self, user: str) -> int | None:
        """Return what it holds."""

    def history(self, user: str) -> list[HistoryEntry]:
        """Return its changes."""

    def delete(self, user: str) -> Result:
        """Remove it."""


class Generator(Protocol):
    """What makes the load: that of the core, several processes of it, or the threads of a database."""

    def step(self, seconds: float) -> bool:
        """Go on for about that long. False once the run is over."""

    def stop(self) -> None:
        """Begin nothing new; steps go on until what is under way has ended."""

    def abort(self) -> None:
        """End at once."""

    def snapshot(self) -> dict[str, Any]:
        """How far the run has got."""

    def report(self) -> dict[str, Any]:
        """All that was counted."""

    def close(self) -> None:
        """Let go of everything."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; `report` tells what was seen so far. The keys are deleted."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class Run:
    """One run: its accounts, made and removed, and the generator in between."""

    def __init__(
        self,
        accounts: Accounts,
        generator: Generator,
        prefix: str,
        names: list[str],
        settings: dict[str, Any],
        *,
        lanes: int,
        notes: Sequence[str] = (),
    ) -> None:
        self._client = accounts
        self._generator = generator
        self._prefix = prefix
        self._names = names
        self._settings = settings
        self._lanes = lanes
        self._told = notes
        self._balance = 0
        self._processes = 1
        self._touched: list[str] = []  # accounts that exist, or may

    def share(self, fleet: Fleet, processes: int) -> None:
        """Have the load made by several processes."""
        self._generator.close()
        self._generator = fleet
        self._processes = processes

    def through(self, balance: int, on_progress: Callable[[Progress], object] | None) -> Report:
        self._balance = balance
        try:
            _each(self._open_account, self._names)
            if isinstance(self._generator, Fleet):
                self._generator.start()  # Ctrl-C before it has begun is that of before a run
            interrupted = self._go(on_progress)
            report = self._report(interrupted=interrupted)
        except BaseException:
            try:
                self._wind_down()
            finally:
                if remains := self._remove():
                    logger.warning(remains)
            raise
        finally:
            self._generator.close()
        try:
            remains = self._remove()
        except KeyboardInterrupt:
            raise Interrupted(report) from None
        return dataclasses.replace(report, notes=(*report.notes, remains)) if remains else report

    def _open_account(self, name: str) -> None:
        self._touched.append(name)
        self._client.init(name, self._balance)

    def _go(self, on_progress: Callable[[Progress], object] | None) -> bool:
        """Step through the run; True if Ctrl-C ended it."""
        interrupted = False
        more = True
        while more:
            try:
                more = self._generator.step(_SLICE)
                if on_progress is not None:
                    on_progress(self._progress())
            except KeyboardInterrupt:  # noqa: PERF203 - it is not the end: what is under way is awaited
                if interrupted:
                    self._generator.abort()
                    break
                interrupted = True
                self._generator.stop()
        return interrupted

    def _wind_down(self) -> None:
        """End what is under way before its accounts go: a lock is released, nothing comes late."""
        self._generator.stop()
        give_up = time.monotonic() + _LAST_WORDS
        while self._generator.step(_SLICE) and time.monotonic() < give_up:
            pass

    def _progress(self) -> Progress:
        seen = self._generator.snapshot()
        return Progress(
            strategy=self._settings["strategy"],
            phase=seen["phase"],
            fraction=seen["progress"],
            elapsed=seen["elapsed"],
            throughput=seen["throughput"],
            operations=seen["operations"],
            statuses=seen["statuses"],
        )

    def _report(self, *, interrupted: bool) -> Report:
        seen = self._generator.report()
        if seen["fatal"] is not None:
            raise seen["fatal"]
        money = dict(zip(self._names, seen["accounts"], strict=True))
        findings = _each(lambda name: _verdict.judge(self._books(name, money[name])), self._names)
        ok = seen["statuses"].get("ok", 0)
        return Report(
            strategy=self._settings["strategy"],
            throughput=seen["throughput"],
            elapsed=seen["elapsed"],
            latency=Latency(**seen["latency"]),
            latency_all=Latency(**seen["latency_all"]),
            service=Latency(**seen["service"]),
            statuses=seen["statuses"],
            attempts=seen["attempts"],
            round_trips=seen["round_trips"],
            statements=seen["statements"],
            transactions=seen.get("transactions"),
            missed=seen["missed"],
            attempts_per_success=seen["attempts"] / ok if ok else None,
            errors=seen["faults"],
            verdict=_verdict.conclude(findings),
            notes=tuple(self._notes(seen)),
            interrupted=interrupted,
            settings={
                "url": self._client.url,
                "prefix": self._prefix,
                "accounts": len(self._names),
                "balance": self._balance,
                "processes": self._processes,
                **self._settings,
            },
        )

    def _books(self, name: str, money: dict[str, int]) -> _verdict.Books:
        books = _verdict.Books(
            user=name,
            start=self._balance,
            end=None,
            ok=money["taken"],
            unknown=money["unknown"],
            unknown_count=money["unknown_count"],
            history_limit=HISTORY_LIMIT,
        )
        try:
            end, entries = self._read(name, settled=not money["unknown_count"])
        except (CorruptBalanceError, WrongTypeError) as error:
            return dataclasses.replace(books, unreadable=str(error))
        return dataclasses.replace(books, end=end, entries=entries)

    def _read(self, name: str, *, settled: bool) -> tuple[int | None, list[HistoryEntry]]:
        """Read balance and history. What is still unknown might be applied in between."""
        end, entries = self._client.balance(name), self._client.history(name)
        for _ in range(0 if settled else _READS):
            before, end = end, self._client.balance(name)
            if before == end:
                break
            entries = self._client.history(name)
        return end, entries

    def _notes(self, seen: dict[str, Any]) -> Iterator[str]:
        users, count = self._settings["users"], self._settings["count"]
        if users == 1 or count == 1:
            yield NO_CONFLICT
        yield from self._told
        if seen["longest_line"] > 0:
            yield (
                f"{users} users shared {self._lanes} exclusive connections: up to "
                f"{seen['longest_line']} waited in line; raise max_connections, "
                f"as in redis://host:6379/0?max_connections={users}"
            )
        if seen["missed"]:
            yield (
                f"{seen['missed']} withdrawals were due and never began: "
                f"{users} users are too few for this rate here"
            )
        if seen["statuses"].get("insufficient"):
            yield f"the balance of {self._balance} ran out: start with more to measure withdrawals"

    def _remove(self) -> str:
        """Delete the accounts; answer what is left and why, if anything is.

        Ctrl-C or SIGTERM in the middle of it is raised when they are deleted, a second one at once.
        """
        try:
            return self._try_to_remove()
        except (KeyboardInterrupt, SystemExit):
            try:
                remains = self._try_to_remove()
            except (KeyboardInterrupt, SystemExit):
                remains = self._left("Ctrl-C came twice")
            if remains:
                logger.warning(remains)
            raise

    def _try_to_remove(self) -> str:
        try:
            _each(self._client.delete, self._touched)
        except Error as error:
            return self._left(str(error))
        return ""

    def _left(self, why: str) -> str:
        return f"keys that begin with {self._prefix}: could not be deleted: {why}"


def _each(call: Callable[[str], _T], names: Sequence[str]) -> list[_T]:
    """Call for every name, many at a time: they share their round trips."""
    if len(names) <= _FEW:
        return [call(name) for name in names]
    answers: dict[int, _T] = {}
    left = threading.Event()

    def work(first: int) -> None:
        for index in range(first, len(names), _THREADS):
            if left.is_set():
                return
            answers[index] = call(names[index])

    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for done in [pool.submit(work, first) for first in range(_THREADS)]:
                done.result()
        except BaseException:
            left.set()
            raise
    return [answers[index] for index in range(len(names))]
