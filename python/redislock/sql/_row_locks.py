"""Who holds rows of these tables and who waits for whom, as PostgreSQL's pg_locks shows it.

PostgreSQL keeps the lock of a row in the row itself: pg_locks shows a row only where somebody waits for it.
Of other transactions it shows that they hold some rows of a table. It reads, and prints nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Final

import psycopg

from redislock._errors import AuthenticationError, ConnectionError, ServerError  # noqa: A004
from redislock.sql._faults import missing_tables
from redislock.sql._schema import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

__all__ = ["Backend", "RowLock", "RowLocks"]

# waitstart is new in PostgreSQL 14.
_LOCKS: Final = """
SELECT l.pid, l.locktype, l.granted, c.relname, l.page, l.tuple, l.transactionid::text, l.mode,
  coalesce(extract(epoch FROM clock_timestamp()
    - coalesce((to_jsonb(l)->>'waitstart')::timestamptz, a.query_start)), 0)::float8,
  coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8,
  coalesce(a.application_name, ''), coalesce(a.state, ''), extract(epoch FROM clock_timestamp())::float8
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
LEFT JOIN pg_class c ON c.oid = l.relation
WHERE l.pid <> pg_backend_pid()
  AND (l.locktype = 'transactionid'
    OR (l.relation = ANY(%s::regclass[]) AND (l.locktype = 'tuple'
      OR l.mode IN ('RowShareLock', 'RowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))))
ORDER BY l.pid
"""
_NAMED_BY: Final = {
    "accounts": "user_id",
    "history": "user_id",
    "orders": "order_id",
    "redislock_requests": "idempotency_key",
}
"""The column that says which row it is, for people."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """A connection, as the server names it."""

    pid: int
    name: str
    """Its application_name."""
    state: str
    seconds: float
    """How long it has waited, or has had its transaction."""


@dataclasses.dataclass(frozen=True)
class RowLock:
    """A row that is awaited, or with `row` None all rows of a table that are held and not awaited."""

    table: str
    row: str | None
    holders: tuple[Backend, ...]
    waiters: tuple[Backend, ...]
    now: float


class RowLocks:
    """A connection that looks at the locks of one database."""

    def __init__(self, url: str, timeout: float) -> None:
        words = f"cannot connect to PostgreSQL within {timeout:g} s"
        try:
            self._line = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=max(2, int(timeout)),
                options=f"-c statement_timeout={int(timeout * 1000)}",
                application_name="redislock locks",
            )
        except psycopg.OperationalError as error:
            lines = str(error).splitlines() or [words]
            kind = AuthenticationError if "authentication" in str(error) else ConnectionError
            raise kind(lines[0]) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def look(self) -> list[RowLock]:
        """What is held and awaited now."""
        try:
            present = self._line.execute(
                "SELECT relname::text FROM pg_class WHERE pg_table_is_visible(oid) AND relname = ANY(%s)",
                [list(metadata.tables)],
            ).fetchall()
            tables = [name for (name,) in present]
            if "accounts" not in tables:
                raise missing_tables()
            seen = [_Seen(*row) for row in self._line.execute(_LOCKS, [tables]).fetchall()]
        except psycopg.Error as error:
            words = str(error).splitlines()[0] if str(error) else "no reason was given"
            if self._line.closed:
                raise ConnectionError(f"the connection was lost: {words}") from None
            raise ServerError(f"the database refused: {words}") from None
        rows = list(self._awaited(seen))
        known = {each.pid for row in rows for each in row.holders}
        return [*rows, *_held([each for each in seen if each.pid not in known])]

    def _awaited(self, seen: Sequence[_Seen]) -> Iterator[RowLock]:
        """The rows that somebody waits for.

        The first in line holds the row's `tuple` lock and waits for the holder's transaction; the others
        wait for the tuple.
        """
        owners = {each.transaction: each for each in seen if each.kind == "transactionid" and each.granted}
        blocked = {each.pid: each for each in seen if each.kind == "transactionid" and not each.granted}
        rows: dict[tuple[str, int | None, int | None], list[_Seen]] = {}
        for each in seen:
            if each.kind == "tuple" and (not each.granted or each.pid in blocked):
                rows.setdefault((each.table or "", each.page, each.number), []).append(each)
        placed = {each.pid for line in rows.values() for each in line}
        for each in blocked.values():
            if each.pid not in placed:  # it follows a row that was changed, and tells only for whom it waits
                rows.setdefault((f"a row of {each.transaction}", None, None), []).append(each)
        for (table, page, number), line in rows.items():
            waits = {each.pid: blocked.get(each.pid, each) for each in line}
            holders = {
                owner.pid: owner
                for each in waits.values()
                if (owner := owners.get(each.transaction)) is not None
            }
            first = sorted(waits.values(), key=lambda each: (each.pid not in blocked, -each.waited))
            yield RowLock(
                table=table if page is not None else "accounts",
                row=self._name(table, page, number) if page is not None else "?",
                holders=tuple(each.as_holder() for each in holders.values()),
                waiters=tuple(each.as_waiter() for each in first),
                now=line[0].now,
            )

    def _name(self, table: str, page: int | None, number: int | None) -> str:
        place = f"({page},{number})"
        column = _NAMED_BY.get(table)
        if column is not None:
            with contextlib.suppress(psycopg.Error):
                text = f"SELECT {column} FROM {table} WHERE ctid = %s::tid"
                found = self._line.execute(text, [place]).fetchone()
                if found is not None:
                    return str(found[0])
        return place


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A line of pg_locks."""

    pid: int
    kind: str
    granted: bool
    table: str | None
    page: int | None
    number: int | None
    transaction: str | None
    mode: str
    waited: float
    lasts: float
    name: str
    state: str
    now: float

    def as_holder(self) -> Backend:
        return Backend(self.pid, self.name, self.state, self.lasts)

    def as_waiter(self) -> Backend:
        return Backend(self.pid, self.name, self.state, max(0.0, self.waited))


def _held(seen: Sequence[_Seen]) -> Iterator[RowLock]:
    """The tables of which somebody else holds rows, nobody knows which."""
    writing = {each.pid for each in seen if each.kind == "transactionid" and each.granted}
    tables: dict[str, dict[int, Any]] = {}
    for each in seen:
        if each.kind == "relation" and each.granted and each.pid in writing and each.table in _NAMED_BY:
            tables.setdefault(each.table, {})[each.pid] = each
    for table, holders in tables.items():
        who = sorted(holders.values(), key=lambda each: -each.lasts)
        yield RowLock(table, None, tuple(each.as_holder() for each in who), (), who[0].now)
