"""Orders in a database: logged in batches, each once whoever logs it how often, and counted.

What the relay of an outbox and the scenarios stand on. Orders travel as one parameter, a JSON array of
arrays, so that a batch of any size is one statement and one round trip.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from redislock._errors import TimeoutError  # noqa: A004
from redislock.sql._statements import Statement, Step
from redislock.sql._strategies import Outcome, as_text

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from redislock.sql import Client
    from redislock.sql._statements import Statements
    from redislock.sql._strategies import Pause, Request, Rows

__all__ = ["Entry", "copy_from_requests", "count_orders", "find_clashes", "log_orders"]

Entry = tuple[str, str, str, int, str, int]
"""stream_id, order_id, sku, qty, user, and when in milliseconds since 1970; as `_core.Outbox` reads them."""

_COLUMNS: Final = "INSERT INTO orders (order_id, sku, qty, user_id, status, created_at, stream_id) "
_ONCE: Final = " ON CONFLICT (order_id) DO NOTHING RETURNING order_id"

_LOG: Final = Step(
    (
        Statement(
            b"redislock_log_orders",
            (
                # In one order everywhere, so that two who log the same orders do not wait for each other.
                f"{_COLUMNS}SELECT o ->> 1, o ->> 2, (o ->> 3)::bigint, nullif(o ->> 4, ''), 'ordered', "
                f"(o ->> 5)::bigint, nullif(o ->> 0, '') FROM json_array_elements($1::json) AS o "
                f"ORDER BY 1{_ONCE}"
            ).encode(),
            ("orders",),
            (
                (
                    f"{_COLUMNS}SELECT json_extract(value, '$[1]'), json_extract(value, '$[2]'), "
                    "json_extract(value, '$[3]'), nullif(json_extract(value, '$[4]'), ''), 'ordered', "
                    "json_extract(value, '$[5]'), nullif(json_extract(value, '$[0]'), '') "
                    f"FROM json_each(:orders) WHERE true{_ONCE}"
                ),
            ),
            writes=True,
        ),
    ),
    commits=True,
)

_CLASHES: Final = Step(
    (
        Statement(
            b"redislock_clashing_orders",
            (
                b"SELECT o ->> 0 FROM json_array_elements($1::json) AS o JOIN orders ON order_id = o ->> 1 "
                b"WHERE orders.sku <> o ->> 2 OR orders.stream_id <> o ->> 0"
            ),
            ("orders",),
            (
                (
                    "SELECT json_extract(value, '$[0]') FROM json_each(:orders) "
                    "JOIN orders ON order_id = json_extract(value, '$[1]') "
                    "WHERE orders.sku <> json_extract(value, '$[2]') "
                    "OR orders.stream_id <> json_extract(value, '$[0]')"
                ),
            ),
        ),
    )
)


def _both(
    name: bytes, text: str, parameters: tuple[tuple[str, str], ...], *, writes: bool = False
) -> Statement:
    postgres = text
    for number, (parameter, kind) in enumerate(parameters, 1):
        postgres = postgres.replace(f":{parameter}", f"${number}::{kind}")
    return Statement(name, postgres.encode(), tuple(each for each, _ in parameters), (text,), writes)


_COUNT: Final = Step(
    (
        _both(
            b"redislock_count_orders",
            "SELECT count(*), coalesce(sum(qty), 0) FROM orders "
            "WHERE sku = :sku AND substr(order_id, 1, length(:begins)) = :begins",
            (("sku", "text"), ("begins", "text")),
        ),
    )
)
_COPY: Final = Step(
    (
        _both(
            b"redislock_copy_orders",
            f"{_COLUMNS}SELECT idempotency_key, user_id, amount, NULL, 'ordered', expires_ms - :ttl, NULL "
            "FROM redislock_requests WHERE user_id = :sku AND operation = 'withdraw' AND status = 'ok' "
            f"AND substr(idempotency_key, 1, length(:begins)) = :begins{_ONCE}",
            (("sku", "text"), ("begins", "text"), ("ttl", "bigint")),
            writes=True,
        ),
    ),
    commits=True,
)


def log_orders(client: Client, orders: Sequence[Entry], *, timeout: float | None = None) -> int:
    """Write orders that are not there yet, and commit, all or nothing. How many were new."""
    if not orders:
        return 0
    return len(_rows(client, _log, {"orders": _as_json(orders)}, timeout))


def find_clashes(client: Client, orders: Sequence[Entry], *, timeout: float | None = None) -> set[str]:
    """The stream ids of those whose order id is another order's: of another stock, or another entry."""
    return {as_text(row[0]) for row in _rows(client, _clashes, {"orders": _as_json(orders)}, timeout)}


def count_orders(
    client: Client, sku: str, begins: str = "", *, timeout: float | None = None
) -> tuple[int, int]:
    """How many orders there are of a stock, and how many items; of those whose id begins so."""
    [(orders, items)] = _rows(client, _count, {"sku": sku, "begins": begins}, timeout)
    return int(orders), int(items)


def copy_from_requests(client: Client, sku: str, begins: str, *, timeout: float | None = None) -> int:
    """Make orders of the withdrawals from account `sku` whose keys begin so. How many were new."""
    values = {"sku": sku, "begins": begins, "ttl": client._ttl}  # noqa: SLF001 - the same package
    return len(_rows(client, _copy, values, timeout))


def _as_json(orders: Sequence[Entry]) -> str:
    text = json.dumps(orders, separators=(",", ":"))
    if "\\u0000" in text:  # PostgreSQL's text has no NUL
        text = json.dumps([[_without_nul(part) for part in order] for order in orders])
    return text


def _without_nul(part: str | int) -> str | int:
    return part.replace("\0", "\\0") if isinstance(part, str) else part


def _rows(client: Client, work: Any, values: dict[str, Any], timeout: float | None) -> Rows:
    # Keyed: what was sent and never answered may be sent again.
    found = client._run(client._make(work, values, timeout, keyed=True))  # noqa: SLF001 - the same package
    if isinstance(found, Outcome):
        raise TimeoutError(
            "others kept the database locked for as long as lock_wait allows; nothing was applied"
        )
    rows: Rows = found
    return rows


def _of(step: Step) -> Any:
    def work(_: Statements, request: Request) -> Generator[Step | Pause, list[Rows], Rows]:
        request.attempts += 1
        [rows] = yield step
        return rows

    return work


_log, _clashes, _count, _copy = _of(_LOG), _of(_CLASHES), _of(_COUNT), _of(_COPY)
