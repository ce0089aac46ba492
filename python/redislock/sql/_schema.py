"""The tables, and the one call that makes them: accounts, their history, request records, and orders.

They are described once, with SQLAlchemy Core, for PostgreSQL and SQLite, and may be queried with it. What
runs hot does not use them: its statements are text, in `_statements`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from redislock._errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Dialect

__all__ = [
    "VERSION",
    "accounts",
    "check_version",
    "history",
    "make_statements",
    "metadata",
    "orders",
    "requests",
]

VERSION: Final = 1
"""Of the tables below. Whoever changes them counts it up and says in `make_statements` how to get there."""

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("balance", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("balance >= 0", name="accounts_balance_not_negative"),
    postgresql_with={"fillfactor": "50"},  # room beside each row for its next versions: no index is touched
)
"""A balance each. `version` counts its changes."""

history = Table(
    "history",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("idempotency_key", Text),
    PrimaryKeyConstraint("user_id", "version"),
)
"""A change each: `amount` is positive for a withdrawal, `balance` and `version` are those after it."""

requests = Table(
    "redislock_requests",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "idempotency_key"),
    Index("redislock_requests_expires_ms", "expires_ms"),
)
"""What was answered to a request that had an idempotency key."""

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("qty", BigInteger, nullable=False),
    Column("user_id", Text),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("stream_id", Text),
    CheckConstraint("qty > 0", name="orders_qty_positive"),
    Index("orders_sku", "sku"),
)
"""An order each, `created_at` in milliseconds since 1970; `stream_id` is its entry in the outbox."""

schema = Table(
    "redislock_schema",
    metadata,
    Column("version", Integer, nullable=False),
    Column("singleton", SmallInteger, primary_key=True, server_default="1"),
    CheckConstraint("singleton = 1", name="redislock_schema_one_row"),
)

_DIALECTS: Final[dict[str, Callable[[], Dialect]]] = {
    "postgresql": postgresql.dialect,
    "sqlite": sqlite.dialect,
}


def make_statements(dialect: str) -> list[str]:
    """What makes the tables of `VERSION` where there are none, to be run in one transaction."""
    speaks = _DIALECTS[dialect]()
    made: list[str] = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table, if_not_exists=True).compile(dialect=speaks)))
        made.extend(
            str(CreateIndex(index, if_not_exists=True).compile(dialect=speaks)) for index in table.indexes
        )
    made.append(
        f"INSERT INTO redislock_schema (version, singleton) VALUES ({VERSION}, 1) ON CONFLICT DO NOTHING"
    )
    return made


def check_version(found: Sequence[int] | None, tables: Sequence[str] = ()) -> bool:
    """Tell whether the tables are there; raise SchemaError where they are of another version or another's.

    `found` holds the rows of `redislock_schema`, or is None where there is no such table; `tables` names
    those that are there.
    """
    if found:
        if found[0] != VERSION:
            raise SchemaError(
                f"the tables in this database are of schema version {found[0]}, and this redislock knows "
                f"version {VERSION}; use the redislock that made them, or another database"
            )
        return True
    ours = sorted(set(tables) & set(metadata.tables))
    if ours:
        raise SchemaError(
            f"this database has a table {ours[0]!r} that redislock did not make; "
            "name another database or schema"
        )
    return False
