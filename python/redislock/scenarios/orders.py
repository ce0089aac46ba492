"""The book of orders: a table in PostgreSQL or SQLite in which each order stands once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redislock.scenarios.worlds import require_sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from redislock.sql._orders import Entry

__all__ = ["OrderBook"]


class OrderBook:
    """The table `orders` of one database, from any thread. Raises the errors of `redislock.sql`."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        require_sql()
        from redislock import sql

        # Whoever writes a batch holds the others up for longer than a withdrawal does.
        self._client = sql.Client(url, timeout=timeout, lock_wait=timeout)

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._client.url

    def prepare(self) -> None:
        """Make the tables where there are none."""
        self._client.migrate()

    def log(self, orders: Sequence[Entry]) -> int:
        """Write the orders that are not there yet; they are committed when it returns. How many were new."""
        from redislock.sql._orders import log_orders

        return log_orders(self._client, orders)

    def clashes(self, orders: Sequence[Entry]) -> set[str]:
        """The stream ids of those whose order id belongs to another order in the table."""
        from redislock.sql._orders import find_clashes

        return find_clashes(self._client, orders)

    def count(self, sku: str, begins: str = "") -> tuple[int, int]:
        """How many orders there are of a stock, and how many items; of those whose id begins so."""
        from redislock.sql._orders import count_orders

        return count_orders(self._client, sku, begins)

    def copy(self, sku: str, begins: str) -> int:
        """Write the orders that the strategies of SQL recorded with their withdrawals. How many were new."""
        from redislock.sql._orders import copy_from_requests

        return copy_from_requests(self._client, sku, begins)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
