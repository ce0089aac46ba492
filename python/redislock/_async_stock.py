"""Stock for asyncio: the methods of `redislock.Stock`, to be awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redislock import _core
from redislock._stock import HOLD, BaseStock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redislock._core import StockResult

__all__ = ["AsyncStock", "AsyncStocking"]


class AsyncStock(BaseStock):
    """`redislock.Stock` for asyncio: the same methods, to be awaited."""

    def __init__(
        self, core: _core.Stock, hold: float, run: Callable[[_core.Operation], Awaitable[Any]]
    ) -> None:
        super().__init__(core, hold)
        self._run = run

    async def set(self, level: int, *, if_missing: bool = False, timeout: float | None = None) -> StockResult:
        """Sets the level, and forgets reservations and how many each user has; see `redislock.Stock.set`."""
        return await self._run(self._core.set(level, if_missing, timeout))

    async def level(self, *, timeout: float | None = None) -> int | None:
        """How many are to be had now, or None where there is no such stock."""
        return await self._run(self._core.level(timeout))

    async def order(
        self,
        qty: int,
        order_id: str | int,
        *,
        strategy: str = "lua",
        user: str | int | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> StockResult:
        """Takes `qty` for good: `ok`, `sold_out`, `limit`, `duplicate`, `retry_later` or `missing`."""
        return await self._run(self._core.take(strategy, False, qty, order_id, user, limit, timeout))

    async def reserve(
        self,
        qty: int,
        order_id: str | int,
        *,
        strategy: str = "lua",
        user: str | int | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> StockResult:
        """Takes `qty` until it is confirmed or cancelled or `hold` has passed: the statuses of `order`."""
        return await self._run(self._core.take(strategy, True, qty, order_id, user, limit, timeout))

    async def confirm(self, order_id: str | int, *, timeout: float | None = None) -> StockResult:
        """Makes a reservation an order: `ok`, `duplicate` (confirmed before) or `missing`."""
        return await self._run(self._core.confirm(order_id, timeout))

    async def cancel(self, order_id: str | int, *, timeout: float | None = None) -> StockResult:
        """Gives a reservation back: `ok`, `duplicate` (cancelled before) or `missing`."""
        return await self._run(self._core.cancel(order_id, timeout))

    async def outcome(self, order_id: str | int, *, timeout: float | None = None) -> StockResult | None:
        """What became of an order, by the result's `state`; None where that id was not used."""
        return await self._run(self._core.find(order_id, timeout))

    async def sweep(self, *, timeout: float | None = None) -> int:
        """Gives back what has timed out, as every call does anyway; how many reservations that were."""
        return await self._run(self._core.sweep(timeout))

    async def backlog(self, *, timeout: float | None = None) -> int:
        """How many orders wait in the outbox."""
        return await self._run(self._core.backlog(timeout))


class AsyncStocking:
    """Makes stocks that run on this client."""

    _options: _core.Options
    _stock_rules: dict[str, Any]
    _run: Any

    def stock(
        self, sku: str | int, *, hold: float = HOLD, outbox: bool = True, backlog: int | None = None
    ) -> AsyncStock:
        """How many of `sku` are to be had, sold without overselling; see `redislock.Stock`."""
        core = _core.Stock(self._options, sku, hold, outbox, backlog, **self._stock_rules)
        return AsyncStock(core, hold, self._run)
