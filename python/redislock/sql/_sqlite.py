"""One connection to an SQLite file. A step is one transaction, begun with BEGIN IMMEDIATE where it writes.

Whatever it does blocks the thread that calls; who must not be blocked runs it in another. In WAL mode
readers and the one writer do not wait for each other, and writers wait for each other up to the client's
`lock_wait`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from redislock._errors import ConfigurationError, ConnectionError, ServerError  # noqa: A004
from redislock.sql._faults import UNDEFINED_TABLE, BusyError, DuplicateError, RefusedError, missing_tables
from redislock.sql._schema import check_version, make_statements, metadata

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from redislock.sql._statements import Statement, Step
    from redislock.sql._strategies import Rows

__all__ = ["SqliteConnection", "SqliteFile", "new_turn", "parse_path"]

_OLDEST: Final = (3, 35)  # UPDATE ... RETURNING


def parse_path(url: str) -> str:
    """The file that ``sqlite:///relative`` or ``sqlite:////absolute`` names."""
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.unquote(parts.path)[1:]
    if parts.netloc or parts.query or parts.fragment or not path or path == ":memory:":
        raise ConfigurationError(
            "an SQLite URL names a file: sqlite:///bank.db in this folder, "
            "sqlite:////var/lib/bank.db anywhere"
        )
    return path


def new_turn() -> Any:
    """A lock for threads, which whoever waits for it is: gevent's own are slow between threads."""
    patches = sys.modules.get("gevent.monkey")
    if patches is None:
        return threading.Lock()
    return patches.get_original("_thread", "allocate_lock")()


class SqliteFile:
    """The file, and how a connection to it begins."""

    def __init__(self, path: str, *, lock_wait: float) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed")
        self.path = path
        self.turn = new_turn()
        self._lock_wait = lock_wait
        self._checked = False

    def connect(self, *, create: bool = False) -> SqliteConnection:
        """Opens the file; only `create` makes one."""
        mode = "rwc" if create else "rw"
        try:
            raw = sqlite3.connect(
                f"file:{urllib.parse.quote(os.fspath(self.path))}?mode={mode}",
                uri=True,
                timeout=self._lock_wait,
                isolation_level=None,
                check_same_thread=False,
            )
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA synchronous = FULL")
            if not self._checked and not create:
                self._check(raw)
                self._checked = True
        except sqlite3.OperationalError as error:
            missing = not create and not os.path.exists(self.path)  # noqa: PTH110 - of a str
            why = "there is no such file; make it with client.migrate()" if missing else str(error)
            raise ConnectionError(f"cannot open the SQLite file {self.path!r}: {why}") from None
        except sqlite3.DatabaseError as error:
            raise ConnectionError(f"cannot use the file {self.path!r}: {error}") from None
        return SqliteConnection(raw, self)

    def migrate(self) -> None:
        """Makes the file and the tables where there are none."""
        connection = self.connect(create=True)
        try:
            raw = connection.raw
            raw.execute("BEGIN IMMEDIATE")
            with raw:  # commits, or rolls back
                if not self._look(raw):
                    for statement in make_statements("sqlite"):
                        raw.execute(statement)
        except sqlite3.Error as error:
            raise ServerError(f"SQLite refused: {error}") from None
        finally:
            connection.close()

    def _check(self, raw: sqlite3.Connection) -> None:
        if not self._look(raw):
            raise missing_tables()

    @staticmethod
    def _look(raw: sqlite3.Connection) -> bool:
        """Tell whether the tables are there and of this version."""
        names = [
            name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        ]
        found = None
        if "redislock_schema" in names:
            found = [int(version) for (version,) in raw.execute("SELECT version FROM redislock_schema")]
        return check_version(found, [name for name in names if name in metadata.tables])


class SqliteConnection:
    """A connection that is open. Used by one caller at a time, from any thread."""

    def __init__(self, raw: sqlite3.Connection, file: SqliteFile) -> None:
        self.raw = raw
        self._file = file
        self.broken = False
        self.last_used = 0.0
        self.limits: tuple[int, int] | None = None

    @property
    def idle(self) -> bool:
        """Whether no transaction is open."""
        return not self.raw.in_transaction

    def set_limits(self, limits: tuple[int, int]) -> Generator[Any, Any, None]:
        """Says for how many milliseconds to wait for other writers; no transaction stays open here."""
        yield from ()
        self.raw.execute(f"PRAGMA busy_timeout = {limits[0]}")
        self.limits = limits

    def is_stale(self) -> bool:
        """A file has no way to say that it is gone."""
        return False

    def run(self, step: Step, values: Mapping[str, Any]) -> Generator[Any, Any, list[Rows]]:
        """The step in one transaction; its rows, a list for each statement. A generator that never yields."""
        yield from ()  # as a connection would that waits for a socket
        return self.execute(step, values)

    def execute(self, step: Step, values: Mapping[str, Any]) -> list[Rows]:
        """The step in one transaction; its rows, a list for each statement."""
        given = {**values, "now": time.time_ns() // 1_000_000}
        writes = any(each.writes for each in step.statements)
        try:
            if len(step.statements) == 1 and not writes:
                return [self._execute(step.statements[0], given)]
            with self._turn() if writes else contextlib.nullcontext():
                answers = self._transact("BEGIN IMMEDIATE" if writes else "BEGIN", step, given)
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error):
                raise DuplicateError(str(error)) from None
            raise RefusedError(str(error)) from None
        except sqlite3.OperationalError as error:
            text = str(error)  # SQLite has no codes for these
            if "locked" in text or "busy" in text:
                raise BusyError(text) from None
            raise RefusedError(text, UNDEFINED_TABLE if text.startswith("no such table") else "") from None
        except sqlite3.Error as error:
            raise RefusedError(str(error)) from None
        return answers

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Writers of this process go in turn: SQLite itself would look again after ever longer pauses."""
        limit = self.limits[0] / 1000 if self.limits is not None else -1
        turn = self._file.turn
        if not turn.acquire(timeout=limit):
            raise BusyError("database is locked")
        try:
            yield
        finally:
            turn.release()

    def _transact(self, begin: str, step: Step, values: Mapping[str, Any]) -> list[Rows]:
        self.raw.execute(begin)
        try:
            answers = [self._execute(each, values) for each in step.statements]
            self.raw.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.raw.execute("ROLLBACK")
            raise
        return answers

    def _execute(self, statement: Statement, values: Mapping[str, Any]) -> Rows:
        first, *others = statement.sqlite
        rows = self.raw.execute(first, values).fetchall()
        if rows and others:
            balance, version = rows[0]
            of_row = {**values, "balance": balance, "version": version}
            for each in others:
                self.raw.execute(each, of_row)
        return rows

    def close(self) -> None:
        """Closes the connection."""
        self.broken = True
        self.raw.close()
