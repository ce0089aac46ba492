"""Runs withdrawals by many users at once through any callable, and compares the books.

Users meet on one account until its money has gone, then on the next one, until the time is up. So
both kinds of race are met: two updates of which one is lost, and two buyers of the last unit.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from redislock import _verdict
from redislock._report import Latency
from redislock.testing._report import LostMoneyError, StrategyReport
from redislock.testing._round import Round

if TYPE_CHECKING:
    from collections.abc import Callable

    from redislock.testing._types import Bank

__all__ = ["check_strategy", "check_strategy_async"]

MOST_USERS: Final = 1000
LARGEST_AMOUNT: Final = 2**40  # times users and calls it stays far below 2^63


def check_strategy(
    fn: Callable[[str, int], Any],
    *,
    bank: Bank,
    users: int = 8,
    duration: float = 1.0,
    amount: int = 3,
) -> StrategyReport:
    """Let many users withdraw at once by `fn`, and raise `LostMoneyError` if the books are wrong.

    ``fn(user, amount)`` takes that amount from that user's account and returns True if it did,
    False if it did not, or a `Result` of redislock. One that returns an awaitable runs in an event
    loop made for it, `users` tasks at once; any other in as many threads, or greenlets where gevent
    has patched them. What it raises counts as "may have taken the money", unless it is an `Error`
    of redislock that says otherwise; an AssertionError ends the check.

    `bank` opens the accounts and reads what they really hold: a `redislock.Client`, with its
    `balance_key` if your keys have other names, or an object with `init(user, balance)` and
    `balance(user)`. The accounts are named ``check-…`` and deleted if the bank can do that.

    `duration` is in seconds. Returns a report with `verdict`, `lost`, `throughput` and `latency`.
    """
    check = _Check(fn, bank, users, duration, amount)
    if _is_async(fn) or _answers_awaitable(check):
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public twin raises
            raise RuntimeError("an event loop is running here; use: await check_strategy_async(...)")
        return _in_new_loop(check)
    try:
        while check.goes_on:
            _run_in_threads(fn, check.next_round())
            check.close_round()
    finally:
        check.forget_round()
    return check.conclude()


async def check_strategy_async(
    fn: Callable[[str, int], Any],
    *,
    bank: Bank,
    users: int = 8,
    duration: float = 1.0,
    amount: int = 3,
) -> StrategyReport:
    """Do the same in the running event loop, where the clients that `fn` uses belong.

    The bank is called in a thread, since it blocks.
    """
    return await _in_loop(_Check(fn, bank, users, duration, amount))


async def _in_loop(check: _Check) -> StrategyReport:
    try:
        while check.goes_on:
            await _run_in_tasks(check.fn, await asyncio.to_thread(check.next_round))
            await asyncio.to_thread(check.close_round)
    finally:
        await asyncio.to_thread(check.forget_round)
    if check.users > 1 and check.overlap == 1:
        check.why_void = "it blocks the event loop: no two of its calls were ever under way at once"
    return check.conclude()


def _in_new_loop(check: _Check) -> StrategyReport:
    """Run it in a loop that nobody else sees: asyncio.run() would unset the caller's."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_in_loop(check))
    finally:
        loop.run_until_complete(_end_all(loop))
        loop.close()


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}  # after Ctrl-C
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


# ---- the users


def _use(fn: Callable[[str, int], Any], this: Round, index: int, gate: threading.Barrier) -> None:
    try:
        gate.wait()
    except threading.BrokenBarrierError:
        return
    more = True
    while more:
        began = this.enter(index)
        try:
            more = this.note(index, fn(this.account, this.amount), began)
        except BaseException as error:  # noqa: BLE001 - judged with the books, or raised below
            more = this.note_raised(index, error)
        finally:
            this.leave(index)


def _run_in_threads(fn: Callable[[str, int], Any], this: Round) -> None:
    count = len(this.seats)
    gate = threading.Barrier(count)
    threads: list[threading.Thread] = []
    try:
        for index in range(count):
            threads.append(threading.Thread(target=_use, args=[fn, this, index, gate], daemon=True))
            threads[-1].start()
        for each in threads:
            each.join()
    except BaseException:  # Ctrl-C, or no more threads: nothing new begins, what is under way ends
        this.stop()
        gate.abort()
        for each in threads:
            if each.ident is not None:
                each.join()
        raise
    if this.fatal is not None:
        raise this.fatal


async def _run_in_tasks(fn: Callable[[str, int], Any], this: Round) -> None:
    async def use(index: int) -> None:
        more = True
        while more:
            began = this.enter(index)
            try:
                more = this.note(index, await fn(this.account, this.amount), began)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - judged with the books, or raised below
                more = this.note_raised(index, error)
            finally:
                this.leave(index)

    await asyncio.gather(*(use(index) for index in range(len(this.seats))))
    if this.fatal is not None:
        raise this.fatal


def _is_async(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def _answers_awaitable(check: _Check) -> bool:
    """Ask a plain callable once, on an account of its own, what kind of answer it gives."""
    this = check.next_round()
    try:
        answer = check.fn(this.account, 1)
    except Exception:  # noqa: BLE001 - if it does so again, its users note it
        return False
    finally:
        check.forget_round()
    if inspect.iscoroutine(answer):
        answer.close()  # it has not begun
    return inspect.isawaitable(answer)


# ---- the books


class _Check:
    """The rounds of one check: opened, judged and told about."""

    def __init__(
        self, fn: Callable[[str, int], Any], bank: Bank, users: Any, duration: Any, amount: Any
    ) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be a callable that takes a user and an amount, not {fn!r}")
        for name, value, most in (("users", users, MOST_USERS), ("amount", amount, LARGEST_AMOUNT)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            if not 1 <= value <= most:
                raise ValueError(f"{name} must be from 1 to {most}")
        if not (isinstance(duration, (int, float)) and 0 < duration < math.inf):
            raise ValueError(f"duration must be a positive number of seconds, not {duration!r}")
        self.fn = fn
        self.users = users
        self.overlap = 0
        self.why_void = ""
        self._bank = bank
        self._amount = amount
        self._name = f"check-{secrets.token_hex(4)}"
        self._duration = duration
        self._began = 0.0
        self._round: Round | None = None
        self._closed: list[tuple[_verdict.Books, Round]] = []
        self._opened = 0

    @property
    def goes_on(self) -> bool:
        """Whether there is another round; there is at least one."""
        if not self._closed:
            self._began = time.monotonic()
            return True
        return time.monotonic() < self._began + self._duration and not self._hopeless()

    def next_round(self) -> Round:
        """Open the next account."""
        self._opened += 1
        account = f"{self._name}-{self._opened}"
        until = self._began + self._duration
        this = self._round = Round(account, users=self.users, amount=self._amount, until=until)
        self._bank.init(account, this.start)
        return this

    def forget_round(self) -> None:
        """Delete the account of the round that has ended."""
        this, self._round = self._round, None
        delete = getattr(self._bank, "delete", None)
        if this is not None and delete is not None:
            delete(this.account)

    def close_round(self) -> None:
        """Read what the account really holds."""
        this = self._round
        if this is not None:
            self._closed.append((this.books(self._bank.balance), this))
            self.overlap = max(self.overlap, this.overlap)
        self.forget_round()

    def _hopeless(self) -> bool:
        """Whether all that was seen so far is exceptions."""
        return all(not seat.seconds and not seat.refused for _, this in self._closed for seat in this.seats)

    def conclude(self) -> StrategyReport:
        """Judge all rounds; raise LostMoneyError if money was lost, or nothing was seen."""
        report = self._report()
        if not report.verdict.held:
            raise LostMoneyError(report)
        why = self.why_void or ("" if report.ok else "no withdrawal succeeded, so that nothing was checked")
        if why:
            raise LostMoneyError(report, why)
        return report

    def _report(self) -> StrategyReport:
        seats = [seat for _, this in self._closed for seat in this.seats]
        books = [each for each, _ in self._closed]
        errors: dict[str, dict[str, Any]] = {}
        for error in (error for seat in seats for error in seat.raised):
            errors.setdefault(type(error).__name__, {"count": 0, "first": str(error)})["count"] += 1
        seconds = sorted(each for seat in seats for each in seat.seconds)
        return StrategyReport(
            name=str(getattr(self.fn, "__qualname__", None) or self.fn),
            users=self.users,
            amount=self._amount,
            accounts=len(books),
            elapsed=time.monotonic() - self._began,
            ok=len(seconds),
            refused=sum(seat.refused for seat in seats),
            raised=sum(len(seat.raised) for seat in seats),
            errors=errors,
            paid=sum(each.ok for each in books),
            deducted=sum(each.start - each.end for each in books if each.end is not None),
            latency=_to_latency(seconds),
            overlap=self.overlap,
            verdict=_verdict.conclude(map(_verdict.judge, books)),
            notes=("no conflict possible: one user",) if self.users == 1 else (),
        )


def _to_latency(ordered: list[float]) -> Latency:
    if not ordered:
        return Latency(count=0, **dict.fromkeys(("min", "mean", "p50", "p95", "p99", "p999", "max"), 0.0))
    count = len(ordered)

    def at(share: float) -> float:
        return ordered[max(0, math.ceil(share * count) - 1)]

    return Latency(
        count=count,
        min=ordered[0],
        mean=sum(ordered) / count,
        p50=at(0.5),
        p95=at(0.95),
        p99=at(0.99),
        p999=at(0.999),
        max=ordered[-1],
    )
