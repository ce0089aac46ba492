"""Puts a strategy under load, natively, and proves afterwards that no money was lost.

    >>> from redislock import load
    >>> report = load.run("redis://localhost", strategy="lua", users=64, duration=5.0)
    >>> report.throughput, report.latency.p99, report.verdict.word
    (110836.4, 0.000795, 'held')

The accounts are made for the run under a prefix with a random part, and deleted after it. The
calling thread is busy meanwhile; the GIL is released but for a moment every 50 ms.
"""

from __future__ import annotations

import dataclasses
import math
import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from redislock import _core, _verdict
from redislock._client import Client
from redislock._errors import CorruptBalanceError, Error, WrongTypeError
from redislock._fleet import Fleet
from redislock._log import logger as _package_logger
from redislock._report import Latency, Progress, Report
from redislock._settings import environment_prefix, environment_retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


__all__ = ["Interrupted", "Latency", "Progress", "Report", "default_balance", "run"]

STRATEGIES: Final = ("naive", "lua", "lock", "watch")
SPREADS: Final = ("hot", "uniform", "zipf")
LARGEST: Final = 2**63 - 1
MOST_ACCOUNTS: Final = 1_000_000
MOST_PROCESSES: Final = 256
HISTORY_LIMIT: Final = 1000
NO_CONFLICT: Final = "no conflict possible: one request in flight"

logger = _package_logger.getChild("load")

_SLICE: Final = 0.05  # seconds; Ctrl-C is seen and progress drawn in between
_LAST_WORDS: Final = 1.0  # seconds for what is under way when a run fails
FASTEST: Final = 3_000_000  # withdrawals a second that no machine exceeds: for default balances
SLOWEST: Final = 0.001  # as the core's own bound
_FEW: Final = 64  # accounts that are not worth a pool of threads
_THREADS: Final = 16
_READS: Final = 10  # of a balance that may still move
_T = TypeVar("_T")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; `report` tells what was seen so far. The keys are deleted."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def default_balance(amount: int, jitter: int, *, seconds: float, count: int | None = None) -> int:
    """Return a round balance from which a run of that size cannot take everything."""
    operations = max(1.0, seconds) * FASTEST + (count or 0)
    needed = math.ceil(operations) * (amount + jitter)
    return min(LARGEST, int(10 ** len(str(needed))))


def run(
    url: str | None = None,
    *,
    strategy: str = "lua",
    users: int = 64,
    accounts: int = 1,
    keys: str = "hot",
    amount: int = 3,
    jitter: int = 0,
    balance: int | None = None,
    duration: float = 5.0,
    warmup: float = 1.0,
    count: int | None = None,
    seed: int | None = None,
    processes: int = 1,
    prefix: str | None = None,
    max_retries: int | None = None,
    lock_wait: float = 1.0,
    lock_lease: float = 5.0,
    timeout: float = 5.0,
    rtt: float = 0.0,
    rate: float | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    **options: Any,
) -> Report:
    """Run one strategy under a load of virtual users, and judge the books.

    `users` withdrawals are in flight, each user begins its next one when the last has ended.
    `keys` spreads them over `accounts` accounts: ``hot`` (all on the first), ``uniform`` or
    ``zipf`` (s = 0.99, the first is the hottest). Each takes `amount`, off by a uniform integer
    within ±`jitter` and at least 1. `balance` is what each account starts with; by default more
    than can be taken. After `warmup` seconds, which are not measured, the run lasts `duration`
    seconds, or `count` withdrawals where that is given. The same `seed` draws the same accounts
    and amounts.

    `rtt` seconds are added to each round trip, inside the core: so much farther away the server
    seems to be. With a `rate` the loop is open: so many withdrawals are to begin a second, at
    constant intervals, with at most `users` of them in flight. `latency` then counts from when
    each was due, so that a stall is not hidden by the calls that it kept from beginning
    (coordinated omission), and `service` from when it began.

    `processes` share the users, each with a core and connections of its own, on the same accounts.

    Keys begin with `prefix` (default: ``KEY_PREFIX``, else ``redislock``) and a random part.
    Further options are those of `Client`.

    `on_progress` is called about 20 times a second. Raises ValueError, TypeError or
    OverflowError for a wrong argument before anything is sent, an `Error` where the server
    cannot be used, and `Interrupted`, with the report so far, after Ctrl-C; a second Ctrl-C
    does not wait for what is under way. The keys are deleted in any case.
    """
    settings: dict[str, Any] = {
        "strategy": strategy,
        "users": users,
        "keys": keys,
        "amount": amount,
        "jitter": jitter,
        "duration": duration,
        "warmup": warmup,
        "count": count,
        "seed": random.getrandbits(32) if seed is None else _whole(seed, "seed", -LARGEST, LARGEST),
        "max_retries": environment_retries() if max_retries is None else max_retries,
        "lock_wait": lock_wait,
        "lock_lease": lock_lease,
        "history_limit": HISTORY_LIMIT,
        "rtt": rtt,
        "rate": rate,
    }
    base = environment_prefix() if prefix is None else prefix
    working_prefix = f"{base}:load-{secrets.token_hex(6)}"
    names = [str(each) for each in range(1, _whole(accounts, "accounts", 1, MOST_ACCOUNTS) + 1)]
    with Client(url, prefix=working_prefix, timeout=timeout, **options) as client:
        this = _Run(client, working_prefix, names, settings)
        if _whole(processes, "processes", 1, MOST_PROCESSES) > 1:
            this.share(url, {"timeout": timeout, **options}, processes)
        if balance is None:
            seconds = warmup + duration
            balance = default_balance(amount, jitter, seconds=seconds, count=count)
        report = this.through(balance, on_progress)
    if report.interrupted:
        raise Interrupted(report)
    return report


class _Run:
    """One run: its accounts, made and removed, and the generator in between."""

    def __init__(self, client: Client, prefix: str, names: list[str], settings: dict[str, Any]) -> None:
        self._client = client
        self._prefix = prefix
        self._names = names
        self._settings = settings
        self._balance = 0
        self._processes = 1
        self._touched: list[str] = []  # accounts that exist, or may
        # Checks the arguments; opens nothing.
        self._generator: _core.LoadGenerator | Fleet = _core.LoadGenerator(
            client._options,  # noqa: SLF001 - the very server of the client, also a nameless memory://
            prefix=prefix,
            accounts=names,
            **{**settings, "seed": settings["seed"] % 2**64},
        )

    def share(self, url: str | None, options: dict[str, Any], processes: int) -> None:
        """Have the load made by several processes."""
        count = self._settings["count"]
        if self._client.url.startswith("memory:"):
            raise ValueError("processes must be 1 for memory://, which is inside of this one")
        if self._settings["users"] < processes or (count is not None and count < processes):
            raise ValueError("users and count must not be less than processes")
        rate = self._settings["rate"]
        if rate is not None and rate / processes < SLOWEST:
            raise ValueError(f"rate must be from {SLOWEST} a second in each of the processes")
        self._generator.close()
        self._processes = processes
        self._generator = Fleet(
            url,
            options,
            prefix=self._prefix,
            accounts=len(self._names),
            settings=self._settings,
            processes=processes,
        )

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

    def _read(self, name: str, *, settled: bool) -> tuple[int | None, list[_core.HistoryEntry]]:
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
        if seen["longest_line"] > 0:
            lanes = self._client._options.max_connections  # noqa: SLF001 - as its URL said
            yield (
                f"{users} users shared {lanes} exclusive connections: up to "
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


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}")
    return value


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
