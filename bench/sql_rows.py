"""The rows of SQL: what a withdrawal costs beside the same statements under pgbench, and the goals."""

from __future__ import annotations

from typing import Final

from bench.row import Contestant, Goal, Row

PGBENCH: Final = "pgbench"
CALLERS: Final = 16


def _row(strategy: str, bound: float, *, durable: bool) -> Row:
    options = {"strategy": strategy, "durable": durable}
    disk = "each commit waits for the disk" if durable else "no commit waits for the disk"
    return Row(
        f"sql-{strategy.replace('_', '-')}{'-disk' if durable else ''}",
        f"PostgreSQL, {strategy}, {CALLERS} callers, {disk}",
        CALLERS,
        (
            Contestant("redislock", "sql", "redislock", options, ("psycopg",)),
            Contestant(PGBENCH, "sql", "pgbench", options, ("psycopg",)),
        ),
        (Goal("rate", bound, PGBENCH),),
        books=False,  # those of Redis; the runs look at their own
    )


ROWS: Final = (
    _row("for_update", 0.6, durable=False),
    _row("atomic", 0.6, durable=False),
    _row("for_update", 0.9, durable=True),
    _row("atomic", 0.9, durable=True),
)
