"""The bank: a plan's deposits and withdrawals all at once, by one strategy, and who holds what then.

`run` plays a plan on a server. `Tally` and `play` do so through any coroutine function, for
`redislock.testing`. Where nothing raced, the run is repeated: it would show nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from redislock._core import Result
from redislock._errors import MAY_HAVE_MOVED, ConfigurationError, CorruptBalanceError, Error, WrongTypeError
from redislock.asyncio import Client
from redislock.scenarios.bank_report import BankReport, BankUser
from redislock.scenarios.plan import BUILT_IN
from redislock.scenarios.worlds import UNSAFE, check_strategy, is_sql, open_sql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from redislock.scenarios.plan import Operation, Plan

__all__ = ["MOST_RUNS", "Tally", "play", "reset", "run"]

MOST_RUNS: Final = 5
"""How often a plan is played at most while nothing races."""

_AT_ONCE: Final = 1000
_CONNECTIONS: Final = 32  # to a SQL database, where each one is a process; opened all at once
_TELL_EVERY: Final = 0.2  # seconds
_GRACE: Final = 1.0  # seconds for what is under way at Ctrl-C
_MOST_RETRIES: Final = 1_000_000
# Definitely not applied, because somebody else was quicker.
_AGAIN: Final = ("lock_busy", "conflict", "lock_lost")


class _Bank(Protocol):
    """What the bank needs of a client: those of `redislock.asyncio` and `redislock.sql.asyncio` have it."""

    async def init(self, user: str, balance: int) -> Any: ...
    async def balance(self, user: str) -> int | None: ...
    async def deposit(self, user: str, amount: int) -> Any: ...
    async def deposit_naive(self, user: str, amount: int) -> Any: ...
    async def withdraw(self, strategy: str, user: str, amount: int) -> Any: ...


class Tally:
    """What is left of a plan, and what the calls came to so far; from tasks of one loop, or threads."""

    def __init__(self, plan: Plan, *, patience: float, stops_at_fault: bool = False) -> None:
        self.plan = plan
        self.interrupted = False
        self.fault: Error | None = None
        self.overlap = 0
        self._left = deque(plan.operations())
        self._planned = len(self._left)
        self._began = time.monotonic()
        self._until = self._began + patience
        self._took = 0.0
        self._stopped = False
        self._stops_at_fault = stops_at_fault
        self._inside: set[int] = set()
        self._noted: list[tuple[Operation, str]] = []  # appending is atomic
        self._raised: list[Exception] = []

    @property
    def done(self) -> int:
        """How many operations were answered, and are not to be repeated."""
        return self._planned - len(self._left) - len(self._inside)

    def begin(self, index: int) -> Operation | None:
        """Take what is next; None where nothing is to be begun any more."""
        if self._stopped or time.monotonic() > self._until:
            return None
        try:
            taken = self._left.popleft()
        except IndexError:
            return None
        self._inside.add(index)
        self.overlap = max(self.overlap, len(self._inside))
        return taken

    def end(self, index: int) -> None:
        """Note that the call has ended, whatever came of it."""
        self._inside.discard(index)
        self._took = time.monotonic() - self._began

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped = True

    def note(self, done: Operation, answer: Any) -> None:
        """Take down what a call answered: False or a refused `Result` is no."""
        if isinstance(answer, Result) and str(answer.status) in _AGAIN:
            self._noted.append((done, "again"))
            self._left.append(done)
        elif isinstance(answer, Result):
            self._noted.append((done, str(answer.status)))
        else:
            self._noted.append((done, "refused" if answer is False else "ok"))

    def note_raised(self, done: Operation, error: Exception) -> None:
        """Take down what a call raised."""
        unknown = isinstance(error, MAY_HAVE_MOVED) or not isinstance(error, Error)
        self._noted.append((done, "unknown" if unknown else "raised"))
        self._raised.append(error)
        if self._stops_at_fault and isinstance(error, Error):
            self.fault = self.fault or error
            self.stop()

    def note_cut_off(self, done: Operation) -> None:
        """Take down that nobody waited for the answer."""
        self._noted.append((done, "unknown"))

    def report(self, name: str, balances: Mapping[str, int | str | None], **more: Any) -> BankReport:
        """Hold it against what the accounts hold; a text is why one cannot be read."""
        words = Counter(word for _, word in self._noted)
        moved: Counter[str] = Counter()
        for (user, is_deposit, amount), word in self._noted:
            if word == "ok":
                moved[user] += amount if is_deposit else -amount
        errors: dict[str, dict[str, Any]] = {}
        for error in self._raised:
            errors.setdefault(type(error).__name__, {"count": 0, "first": str(error)})["count"] += 1
        held = {user.name: balances[user.name] for user in self.plan.users}
        return BankReport(
            name=name,
            users=tuple(
                BankUser(
                    planned=user,
                    actual=None if isinstance(found := held[user.name], str) else found,
                    told=user.start + moved[user.name],
                    unreadable=found if isinstance(found, str) else "",
                )
                for user in self.plan.users
            ),
            operations=self._planned,
            ok=words.pop("ok", 0),
            unknown=words.pop("unknown", 0),
            repeated=words.pop("again", 0),
            refused={word: count for word, count in words.items() if word != "raised"},
            errors=errors,
            overlap=self.overlap,
            elapsed=self._took,
            interrupted=self.interrupted,
            **more,
        )


async def play(tally: Tally, call: Callable[[Operation], Awaitable[Any]], at_once: int = _AT_ONCE) -> None:
    """Make all calls of a plan, as many as that at once, in this event loop."""

    async def work(index: int) -> None:
        while (taken := tally.begin(index)) is not None:
            await one(taken)
            tally.end(index)

    async def one(taken: Operation) -> None:
        try:
            tally.note(taken, await call(taken))
        except asyncio.CancelledError:
            tally.note_cut_off(taken)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what became of the call
            tally.note_raised(taken, error)

    workers = [asyncio.ensure_future(work(index)) for index in range(at_once)]
    with _stopped_by_ctrl_c(tally, workers):
        await asyncio.gather(*workers, return_exceptions=True)


@contextlib.contextmanager
def _stopped_by_ctrl_c(tally: Tally, workers: Sequence[asyncio.Future[None]]) -> Iterator[None]:
    """Let what is under way end at the first Ctrl-C, for a moment; the second one is raised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def end_all() -> None:
        for each in workers:
            each.cancel()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        tally.interrupted = True
        tally.stop()
        loop.call_later(_GRACE, end_all)

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def run(
    url: str | None = None,
    *,
    strategy: str,
    plan: Plan = BUILT_IN,
    timeout: float = 30.0,
    on_repeat: Callable[[BankReport], object] | None = None,
    on_progress: Callable[[int, float], object] | None = None,
    **options: Any,
) -> BankReport:
    """Set the accounts to what the plan says, and play it; again where nothing raced.

    `url` names a Redis server or a SQL database, whose tables are made where there are none. `timeout` is
    that of all operations of a run. Further options are those of the client. `on_repeat`
    is given the report of each run in which nothing raced, but the last; `on_progress`, now and then, how
    many operations were answered and in how many seconds. The accounts are left as they are at the end.
    A fault of the server is raised with the report of what had happened as its attribute ``report``;
    Ctrl-C ends the run early, and the report says so.
    """
    check_strategy(strategy, url)
    settings = {"max_retries": _MOST_RETRIES, "lock_wait": timeout, "timeout": timeout, **options}

    async def rounds() -> BankReport:
        async with _connect(url, strategy, settings) as bank:
            for number in range(1, MOST_RUNS):
                report = await _one(bank, plan, strategy, timeout, number, on_progress)
                if report.raced or report.interrupted or not report.right:
                    return report
                if on_repeat is not None:
                    on_repeat(report)
            return await _one(bank, plan, strategy, timeout, MOST_RUNS, on_progress)

    return asyncio.run(rounds())


@contextlib.asynccontextmanager
async def _connect(url: str | None, strategy: str, options: dict[str, Any]) -> AsyncIterator[_Bank]:
    if not is_sql(strategy, url):
        async with Client(url, **options) as on_redis:
            yield on_redis
    elif url is None:
        raise ConfigurationError(f"{strategy} needs a SQL database; name one by its URL")
    else:
        patience = {"connect_timeout": options["timeout"]} if "timeout" in options else {}
        async with open_sql(url, max_connections=_CONNECTIONS, **patience, **options) as on_sql:
            await on_sql.migrate()
            yield on_sql


async def _one(  # noqa: PLR0917 - of one caller
    bank: _Bank,
    plan: Plan,
    strategy: str,
    timeout: float,
    number: int,
    on_progress: Callable[[int, float], object] | None,
) -> BankReport:
    deposit = bank.deposit_naive if strategy == UNSAFE else bank.deposit

    def call(asked: Operation) -> Awaitable[Any]:
        user, is_deposit, amount = asked
        return deposit(user, amount) if is_deposit else bank.withdraw(strategy, user, amount)

    await _open(bank, plan)
    tally = Tally(plan, patience=timeout, stops_at_fault=True)
    telling = None if on_progress is None else asyncio.create_task(_tell(tally, on_progress))
    try:
        await play(tally, call, min(_AT_ONCE, plan.count))
    finally:
        if telling is not None:
            telling.cancel()
    try:
        balances = {each.name: await _balance(bank, each.name) for each in plan.users}
    except Error as error:
        tally.fault = tally.fault or error
        balances = {each.name: f"it cannot be read: {error}" for each in plan.users}
    report = tally.report(strategy, balances, runs=number, unsafe=strategy == UNSAFE)
    if tally.fault is not None and not report.interrupted:
        tally.fault.report = report  # type: ignore[attr-defined]
        raise tally.fault
    return report


async def _tell(tally: Tally, on_progress: Callable[[int, float], object]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_TELL_EVERY)
        on_progress(tally.done, time.monotonic() - began)


async def _open(bank: _Bank, plan: Plan) -> None:
    await asyncio.gather(*(bank.init(each.name, each.start) for each in plan.users))


async def _balance(bank: _Bank, user: str) -> int | str | None:
    try:
        return await bank.balance(user)
    except (CorruptBalanceError, WrongTypeError) as error:
        return str(error)


def reset(url: str | None = None, *, plan: Plan = BUILT_IN, **options: Any) -> None:
    """Set the accounts of a plan to what they start with, and do nothing else."""

    async def go() -> None:
        async with _connect(url, UNSAFE, options) as bank:
            await _open(bank, plan)

    asyncio.run(go())
