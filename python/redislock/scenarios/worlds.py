"""Which strategies there are, and on what each one runs: Redis, or a SQL database. Opens nothing.

`redislock.sql` is imported where it is used: it needs the extra of that name.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

from redislock._errors import ConfigurationError

if TYPE_CHECKING:
    import redislock.sql.asyncio

__all__ = [
    "ALL",
    "ON_REDIS",
    "ON_SQL",
    "UNSAFE",
    "check_strategy",
    "is_sql",
    "is_sql_url",
    "named",
    "open_sql",
    "require_sql",
]

UNSAFE: Final = "naive"
ON_REDIS: Final = ("lua", "lock", "watch", UNSAFE)
ON_SQL: Final = ("for_update", "version", "atomic", "serializable", UNSAFE)
_ON_SQLITE: Final = ("version", "atomic", UNSAFE)
ALL: Final = (*ON_REDIS[:-1], *ON_SQL)


def named(strategies: tuple[str, ...] = ALL) -> str:
    """Return them as a sentence names them: ``lua, lock or naive``."""
    return f"{', '.join(strategies[:-1])} or {strategies[-1]}"


def is_sql_url(url: str | None) -> bool:
    """Whether the URL is of a SQL database."""
    return url is not None and url.startswith(("postgresql:", "postgres:", "sqlite:"))


def is_sql(strategy: str, url: str | None) -> bool:
    """Whether that strategy is to run on a SQL database; naive exists in both worlds."""
    return is_sql_url(url) or strategy in set(ON_SQL) - set(ON_REDIS)


def check_strategy(strategy: str, url: str | None) -> None:
    """Raise ConfigurationError where there is no such strategy, or not on what the URL names."""
    if strategy not in ALL:
        raise ConfigurationError(f"must be {named()}, not {strategy!r}")
    if url is None:
        return
    what, known = _known_on(url)
    if strategy not in known:
        raise ConfigurationError(f"there is no {strategy} on {what}, which the URL names: {named(known)}")


def _known_on(url: str) -> tuple[str, tuple[str, ...]]:
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("", "redis", "rediss", "unix", "memory", "postgresql", "postgres", "sqlite"):
        raise ConfigurationError(
            f"the URL's scheme must be redis, rediss, unix, memory, postgresql or sqlite, not {scheme!r}"
        )
    if not is_sql_url(url):
        return "Redis", ON_REDIS
    return ("SQLite", _ON_SQLITE) if url.startswith("sqlite:") else ("PostgreSQL", ON_SQL)


def require_sql() -> None:
    """Raise ConfigurationError where the extra `sql` is not installed."""
    if missing := [each for each in ("psycopg", "sqlalchemy") if importlib.util.find_spec(each) is None]:
        raise ConfigurationError(
            f"SQL databases need {' and '.join(missing)}; install it with: pip install 'redislock[sql]'"
        )


def open_sql(url: str, **options: Any) -> redislock.sql.asyncio.Client:
    """Return a client of the database, for asyncio."""
    require_sql()
    from redislock.sql.asyncio import Client

    return Client(url, **options)
