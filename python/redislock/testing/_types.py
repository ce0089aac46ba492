"""What a check of a strategy is given, as types. Nothing here runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from redislock.testing._report import StrategyReport

__all__ = ["AsyncStrategyCheck", "Bank", "StrategyCheck"]


class Bank(Protocol):
    """Where the accounts are: `redislock.Client` is one. The check opens them and reads the books.

    Code that keeps its money elsewhere gets a bank of its own, with these two methods. One that
    also has `delete(user)` has it called for each account at the end.
    """

    def init(self, user: str, balance: int, /) -> object:
        """Open an account with that balance."""

    def balance(self, user: str, /) -> int | None:
        """What the account really holds."""


class StrategyCheck(Protocol):
    """The fixture `check_strategy`."""

    def __call__(
        self,
        fn: Callable[[str, int], Any],
        *,
        bank: Bank = ...,
        users: int = ...,
        duration: float = ...,
        amount: int = ...,
    ) -> StrategyReport:
        """Run it, and raise `LostMoneyError` where money was lost."""


class AsyncStrategyCheck(Protocol):
    """The fixture `check_strategy_async`."""

    def __call__(
        self,
        fn: Callable[[str, int], Any],
        *,
        bank: Bank = ...,
        users: int = ...,
        duration: float = ...,
        amount: int = ...,
    ) -> Coroutine[Any, Any, StrategyReport]:
        """Run it in the running event loop."""
