"""A PostgreSQL as the command `locks` sees it: its rows' locks in the shape of those on a Redis server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redislock
from redislock.cli._common import duration, need_sql, wrong
from redislock.cli._holders import Holder, Owner, SeenLock, Waiter, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from redislock.sql._row_locks import Backend, RowLock

ROW, ROWS = "u", "U"


class RowLockServer:
    """Looks at the rows' locks of one database, for a while."""

    def __init__(self, url: str, timeout: str) -> None:
        seconds = duration(timeout, "--timeout", positive=True)
        if url.startswith("sqlite:"):
            wrong("--url", "SQLite locks no rows: there is nothing to be listed")
        need_sql("--url", "a database")
        from redislock import sql
        from redislock.sql._row_locks import RowLocks

        try:
            with sql.connect(url, timeout=seconds) as client:
                self.url = client.url
                client.balance("nobody")  # whoever reads looks at the version of the schema first
        except redislock.ConfigurationError as error:
            wrong("--url", str(error))
        self._locks = RowLocks(url, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.__exit__()

    def look(self, names: Sequence[bytes] | None) -> list[SeenLock]:
        """Return what is held or awaited, of these rows or of all."""
        seen = [_as_seen(each) for each in self._locks.look()]
        if names is None:
            return seen
        wanted = {each.decode("utf-8", "backslashreplace") for each in names}
        return [each for each in seen if {each.name, each.name.partition(" ")[2]} & wanted]


def _as_seen(lock: RowLock) -> SeenLock:
    name = f"{lock.table} {lock.row}" if lock.row is not None else f"{lock.table}, some rows"
    kind = ROWS if lock.row is None else ROW
    return SeenLock(
        key=name.encode(),
        now=lock.now,
        holders=tuple(Holder(_owner(each), kind, None, each.seconds, None) for each in lock.holders),
        waiters=tuple(Waiter(_owner(each), ROW, each.seconds) for each in lock.waiters),
        waiting=len(lock.waiters),
    )


def _owner(backend: Backend) -> Owner:
    token = f"backend {backend.pid}".encode()
    told = ", ".join(filter(None, (readable(backend.name.encode()), backend.state)))
    return Owner(token, "backend", backend.pid, None, None, told or None, token)
