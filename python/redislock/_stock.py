"""Stock that is sold by many at once: levels, reservations, orders and their outbox.

Made by `Client.stock` and `redislock.asyncio.Client.stock`. What they do is in the native core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redislock import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from redislock._core import StockResult

__all__ = ["HOLD", "BaseStock", "Stock", "Stocking"]

HOLD = 30.0  # seconds in which a reservation must be confirmed, unless asked otherwise


class BaseStock:
    """What both kinds share: the settings, checked before anything is asked."""

    def __init__(self, core: _core.Stock, hold: float) -> None:
        self._core = core
        self._hold = hold

    @property
    def sku(self) -> str:
        """What it is called."""
        return self._core.sku

    @property
    def hold(self) -> float:
        """Seconds in which a reservation must be confirmed."""
        return self._hold

    def keys(self) -> dict[str, str]:
        """Its keys: level, holds, buyers, outbox, lock, and what the records of its orders begin with."""
        return self._core.keys()

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.sku!r}, hold {self._hold:g} s>"


class Stock(BaseStock):
    """How many of one thing are to be had, sold to many callers without overselling.

    `order` takes a quantity for good, `reserve` for `hold` seconds, in which it must be confirmed.
    What was not confirmed by then comes back by itself, once, whoever else confirms or cancels at that
    moment: the server's clock decides, in the same step that changes the stock.

    Each order has an id, which is used up by it: a second one of the same id changes nothing and answers
    ``duplicate`` with the facts of the first. So an order may be sent again after any error. With a `user`
    it is counted how many each has, and `limit` bounds it.

    With `outbox` each order is appended to the stream ``{prefix}:{sku}:outbox`` in the same step, with the
    fields order_id, sku, qty, user and at (milliseconds). Whoever moves them on deletes what is done; more
    than `backlog` that wait there make new orders answer ``retry_later``.

    Strategies: ``lua`` (one script, one round trip), ``lock`` (under the stock's lock), ``watch``
    (WATCH and EXEC), and ``naive``, which reads, computes and writes, and so oversells: for comparison
    only. Each method takes `timeout`, the total in seconds.
    """

    def __init__(self, core: _core.Stock, hold: float, run: Callable[[_core.Operation], Any]) -> None:
        super().__init__(core, hold)
        self._run = run

    def set(self, level: int, *, if_missing: bool = False, timeout: float | None = None) -> StockResult:
        """Sets the level, and forgets reservations and how many each user has.

        With `if_missing=True` an existing stock is left alone. Orders stay known by their ids, and in the
        outbox.
        """
        return self._run(self._core.set(level, if_missing, timeout))

    def level(self, *, timeout: float | None = None) -> int | None:
        """How many are to be had now, or None where there is no such stock."""
        return self._run(self._core.level(timeout))

    def order(
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
        return self._run(self._core.take(strategy, False, qty, order_id, user, limit, timeout))

    def reserve(
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
        return self._run(self._core.take(strategy, True, qty, order_id, user, limit, timeout))

    def confirm(self, order_id: str | int, *, timeout: float | None = None) -> StockResult:
        """Makes a reservation an order: `ok`, `duplicate` (confirmed before) or `missing`.

        `missing` where there is no such reservation, or none any more: the result's `state` says whether
        it was cancelled or has expired.
        """
        return self._run(self._core.confirm(order_id, timeout))

    def cancel(self, order_id: str | int, *, timeout: float | None = None) -> StockResult:
        """Gives a reservation back: `ok`, `duplicate` (cancelled before) or `missing`."""
        return self._run(self._core.cancel(order_id, timeout))

    def outcome(self, order_id: str | int, *, timeout: float | None = None) -> StockResult | None:
        """What became of an order, by the result's `state`; None where that id was not used."""
        return self._run(self._core.find(order_id, timeout))

    def sweep(self, *, timeout: float | None = None) -> int:
        """Gives back what has timed out, as every call does anyway; how many reservations that were."""
        return self._run(self._core.sweep(timeout))

    def backlog(self, *, timeout: float | None = None) -> int:
        """How many orders wait in the outbox."""
        return self._run(self._core.backlog(timeout))


class Stocking:
    """Makes stocks that run on this client."""

    _options: _core.Options
    _stock_rules: dict[str, Any]
    _run: Any

    def stock(
        self, sku: str | int, *, hold: float = HOLD, outbox: bool = True, backlog: int | None = None
    ) -> Stock:
        """How many of `sku` are to be had, sold without overselling; see `Stock`."""
        core = _core.Stock(self._options, sku, hold, outbox, backlog, **self._stock_rules)
        return Stock(core, hold, self._run)
