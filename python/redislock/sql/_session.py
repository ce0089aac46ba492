"""Where a PostgreSQL is, how a connection to it begins, and the tables: found, checked, made."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from psycopg import errors as psycopg_errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from redislock._errors import (
    ConfigurationError,
    ConnectionError,  # noqa: A004
)
from redislock.sql._faults import CutError, ExpiredError, RefusedError, missing_tables, to_server_error
from redislock.sql._schema import check_version, make_statements, metadata

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from redislock.sql._postgres import PostgresConnection

__all__ = ["Session", "parse_url"]

# The isolation level is the strategy's business, and not that of a database's settings.
_GREETING: Final = (
    b"SELECT set_config('default_transaction_isolation', 'read committed', false), "
    b"set_config('default_transaction_read_only', 'off', false), "
    b"set_config('lock_timeout', $1, false), "
    b"set_config('idle_in_transaction_session_timeout', $2, false), "
    b"set_config('application_name', $3, false)"
)
_MIGRATION_LOCK: Final = str(int.from_bytes(b"relock", "big")).encode()  # an advisory lock's number
_FIND_TABLES: Final = (
    b"SELECT relname::text FROM pg_class "
    b"WHERE relkind IN ('r', 'p', 'v') AND pg_table_is_visible(oid) AND relname = ANY($1::text[])"
)


def parse_url(url: str) -> dict[str, Any]:
    """The parameters that the URL names. An error repeats nothing of it: it may be a password."""
    try:
        found: dict[str, Any] = dict(conninfo_to_dict(url))
        for port in str(found.get("port", "")).split(","):
            int(port or 0)  # a password with a / in it is taken for one
    except (psycopg_errors.Error, ValueError):
        raise ConfigurationError(
            "the postgresql:// URL cannot be read; it looks like "
            "postgresql://user:password@host:5432/database, "
            "with / @ : ? # and % in a password written as %2F %40 %3A %3F %23 %25"
        ) from None
    return found


class Session:
    """Where to connect and how a connection begins, from a URL that was checked."""

    def __init__(self, parameters: Mapping[str, Any], *, limits: tuple[int, int], name: str) -> None:
        self._parameters = {"client_encoding": "UTF8", **parameters}
        self.limits = limits
        self._name = name
        self.checked = False

    @property
    def host_to_resolve(self) -> str | None:
        """The name to look up before connecting, since libpq would block for it; or None."""
        host = self._parameters.get("host") or os.environ.get("PGHOST") or ""
        named = (
            not host.startswith(("/", "@"))
            and "," not in host
            and re.fullmatch(r"[\d.]+|.*:.*", host) is None
        )
        return host if host and named and "hostaddr" not in self._parameters else None

    def open(
        self, connection: PostgresConnection, addresses: Sequence[str], *, check: bool = True
    ) -> Generator[int, bool, None]:
        """Connects, greets, and with `check` looks at the tables' version, the first time."""
        parameters = dict(self._parameters)
        if addresses and (host := self.host_to_resolve) is not None:
            parameters["host"] = ",".join([host] * len(addresses))
            parameters["hostaddr"] = ",".join(addresses)
            if port := parameters.get("port"):
                parameters["port"] = ",".join([str(port)] * len(addresses))
        yield from connection.open(make_conninfo("", **parameters).encode())
        lock, lease = (str(each).encode() for each in self.limits)
        try:
            yield from connection.ask(_GREETING, (lock, lease, self._name.encode()))
            connection.limits = self.limits
            if check and not self.checked:
                yield from self._check(connection)
                self.checked = True
        except RefusedError as refused:
            raise to_server_error(refused) from None
        except CutError as cut:
            if isinstance(cut, ExpiredError):
                raise
            raise ConnectionError(f"the connection was lost: {cut.message}; nothing was applied") from None

    def migrate(self, connection: PostgresConnection) -> Generator[int, bool, None]:
        """Makes the tables where there are none, one caller at a time."""
        try:
            yield from connection.ask(b"BEGIN")
            yield from connection.ask(b"SELECT pg_advisory_xact_lock($1::bigint)", (_MIGRATION_LOCK,))
            if not (yield from self._look(connection)):
                for statement in make_statements("postgresql"):
                    yield from connection.ask(statement.encode())
            yield from connection.ask(b"COMMIT")
        except RefusedError as refused:
            raise to_server_error(refused) from None
        except CutError as cut:
            raise ConnectionError(f"the connection was lost: {cut.message}") from None

    def _check(self, connection: PostgresConnection) -> Generator[int, bool, None]:
        if not (yield from self._look(connection)):
            raise missing_tables()

    @staticmethod
    def _look(connection: PostgresConnection) -> Generator[int, bool, bool]:
        """Tell whether the tables are there and of this version."""
        rows = yield from connection.ask(_FIND_TABLES, (f"{{{','.join(metadata.tables)}}}".encode(),))
        tables = [row[0].decode() for row in rows]
        found = None
        if "redislock_schema" in tables:
            found = [
                int(row[0]) for row in (yield from connection.ask(b"SELECT version FROM redislock_schema"))
            ]
        return check_version(found, tables)
