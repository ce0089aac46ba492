"""Plays a bank's plan through any two callables, and says who holds what it should not.

Where `check_strategy` looks at withdrawals until the money has gone, this is the deterministic run:
deposits and withdrawals of several users all at once, which have one right end.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from redislock._errors import CorruptBalanceError, WrongTypeError
from redislock.scenarios.bank import MOST_RUNS, Tally, play
from redislock.scenarios.plan import BUILT_IN, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from redislock.scenarios.bank_report import BankReport
    from redislock.scenarios.plan import Operation
    from redislock.testing._types import Bank

__all__ = ["BankFailedError", "check_bank", "check_bank_async"]

MOST_AT_ONCE: Final = 1000


class BankFailedError(AssertionError):
    """A balance is not what the plan says, or nothing raced; `report` holds the figures."""

    def __init__(self, report: BankReport) -> None:
        super().__init__(str(report))
        self.report = report


def check_bank(
    withdraw: Callable[[str, int], Any],
    deposit: Callable[[str, int], Any],
    *,
    bank: Bank,
    plan: Plan = BUILT_IN,
    at_once: int = 16,
    timeout: float = 60.0,
) -> BankReport:
    """Play a plan through two callables, many calls at once, and raise `BankFailedError` if it failed.

    Each is called with a user and an amount, and returns False where it did nothing, a `Result` of
    redislock, or anything else where it did it. Coroutine functions run in an event loop made for
    them, others in threads, or greenlets where gevent has patched them. What they raise counts as not
    done.

    `bank` opens the accounts and reads what they hold, as for `check_strategy`; they are named
    ``check-…`` and deleted if the bank can do that. A run in which no two calls met is repeated.
    """
    check = _Check(withdraw, deposit, bank=bank, plan=plan, at_once=at_once, timeout=timeout)
    if check.is_async:
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public twin raises
            raise RuntimeError("an event loop is running here; use: await check_bank_async(...)")
        loop = asyncio.new_event_loop()  # that nobody else sees: asyncio.run() would unset the caller's
        try:
            return loop.run_until_complete(_in_loop(check))
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
    while True:
        tally = check.open()
        _run_in_threads(check, tally)
        if (report := check.close(tally)) is not None:
            return report


async def check_bank_async(
    withdraw: Callable[[str, int], Any],
    deposit: Callable[[str, int], Any],
    *,
    bank: Bank,
    plan: Plan = BUILT_IN,
    at_once: int = 16,
    timeout: float = 60.0,
) -> BankReport:
    """Do the same in the running event loop; the bank is called in a thread, since it blocks."""
    check = _Check(withdraw, deposit, bank=bank, plan=plan, at_once=at_once, timeout=timeout)
    return await _in_loop(check)


async def _in_loop(check: _Check) -> BankReport:
    while True:
        tally = await asyncio.to_thread(check.open)
        await play(tally, check.call, check.at_once)
        if tally.interrupted:
            raise KeyboardInterrupt
        if (report := await asyncio.to_thread(check.close, tally)) is not None:
            return report


def _run_in_threads(check: _Check, tally: Tally) -> None:
    fatal: list[BaseException] = []
    gate = threading.Barrier(check.at_once)

    def work(index: int) -> None:
        gate.wait()
        while (taken := tally.begin(index)) is not None:
            one(taken)
            tally.end(index)

    def one(taken: Operation) -> None:
        try:
            tally.note(taken, check.call(taken))
        except Exception as error:  # noqa: BLE001 - it is what became of the call
            tally.note_raised(taken, error)
        except BaseException as error:  # noqa: BLE001 - raised below
            fatal.append(error)
            tally.stop()

    threads = [threading.Thread(target=work, args=[index], daemon=True) for index in range(check.at_once)]
    for each in threads:
        each.start()
    try:
        for each in threads:
            each.join()
    finally:  # Ctrl-C: nothing new begins, what is under way ends
        tally.stop()
        for each in threads:
            each.join()
    if fatal:
        raise fatal[0]


class _Check:
    """The accounts of one check, and the runs on them."""

    def __init__(
        self,
        withdraw: Callable[[str, int], Any],
        deposit: Callable[[str, int], Any],
        *,
        bank: Bank,
        plan: Plan,
        at_once: Any,
        timeout: Any,
    ) -> None:
        for name, given in (("withdraw", withdraw), ("deposit", deposit)):
            if not callable(given):
                raise TypeError(f"{name} must be a callable that takes a user and an amount, not {given!r}")
        if not isinstance(plan, Plan):
            raise TypeError(f"plan must be a Plan, like read_plan(path) returns, not {plan!r}")
        if not isinstance(at_once, int) or isinstance(at_once, bool):
            raise TypeError(f"at_once must be an int, not {type(at_once).__name__}")
        if not 1 <= at_once <= MOST_AT_ONCE:
            raise ValueError(f"at_once must be from 1 to {MOST_AT_ONCE}")
        if not isinstance(timeout, (int, float)) or not 0 < timeout < float("inf"):
            raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
        self.at_once = at_once
        self._withdraw = withdraw
        self._deposit = deposit
        self._bank = bank
        self._plan = plan
        self._timeout = timeout
        self._base = f"check-{secrets.token_hex(4)}"
        self._runs = 0

    @property
    def is_async(self) -> bool:
        """Whether the callables are coroutine functions."""
        found = {_is_async(self._withdraw), _is_async(self._deposit)}
        if len(found) > 1:
            raise TypeError("withdraw and deposit must both be coroutine functions, or neither")
        return found.pop()

    def call(self, asked: Operation) -> Any:
        """Make one call."""
        do = self._deposit if asked.is_deposit else self._withdraw
        return do(self._account(asked.user), asked.amount)

    def open(self) -> Tally:
        """Open the accounts of the next run."""
        self._runs += 1
        for each in self._plan.users:
            self._bank.init(self._account(each.name), each.start)
        return Tally(self._plan, patience=self._timeout)

    def close(self, tally: Tally) -> BankReport | None:
        """Judge a run and delete its accounts; None where it is to be repeated."""
        balances = {each.name: self._balance(self._account(each.name)) for each in self._plan.users}
        if (delete := getattr(self._bank, "delete", None)) is not None:
            for each in self._plan.users:
                delete(self._account(each.name))
        report = tally.report(_name(self._withdraw), balances, runs=self._runs)
        if report.right and not report.raced and self._runs < MOST_RUNS:
            return None
        if not report:
            raise BankFailedError(report)
        return report

    def _account(self, user: str) -> str:
        return f"{self._base}-{self._runs}-{user}"

    def _balance(self, account: str) -> int | str | None:
        try:
            return self._bank.balance(account)
        except CorruptBalanceError:  # a client of ours, which takes no negative one for a balance
            return "it was overdrawn, or holds no number any more"
        except WrongTypeError as error:
            return str(error)


def _is_async(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def _name(fn: Any) -> str:
    return str(getattr(fn, "__qualname__", None) or fn)
