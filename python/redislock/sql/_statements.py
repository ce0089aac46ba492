"""The statements as text, for PostgreSQL and for SQLite, and the steps that strategies make of them.

A step is what goes to the database together: one round trip, and one transaction unless it begins or ends a
longer one. Parameters are written `:name` in both dialects. Where PostgreSQL changes a balance, writes the
history and keeps the record in one statement, SQLite runs three, the first of which says what the others
write.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

__all__ = ["MOST", "TRIM_EVERY", "Statement", "Statements", "Step"]

MOST: Final = 2**63 - 1
TRIM_EVERY: Final = 64
"""The history is cut to its limit with each change whose version is a multiple of this."""

_TYPES: Final = {
    "user": "text",
    "other": "text",
    "key": "text",
    "strategy": "text",
    "operation": "text",
    "status": "text",
    "amount": "bigint",
    "logged": "bigint",
    "balance": "bigint",
    "gained": "bigint",
    "seen": "bigint",
    "read": "bigint",
    "limit": "bigint",
    "ttl": "bigint",
    "wanted": "json",
}
_PARAMETER: Final = re.compile(r"(?<!:):([a-z]+)")
_NOW: Final = "(extract(epoch from clock_timestamp()) * 1000)::bigint"


@dataclasses.dataclass(frozen=True, eq=False)
class Statement:
    """One statement: its text for either database, and its parameters in PostgreSQL's order."""

    name: bytes
    postgres: bytes
    parameters: tuple[str, ...]
    sqlite: tuple[str, ...]
    writes: bool = False


class Step:
    """Statements that go together. `commits` says that a change is durable once they have succeeded."""

    def __init__(self, statements: tuple[Statement, ...], *, commits: bool = False) -> None:
        self.statements = statements
        self.commits = commits
        last = statements[-1]
        self.transactions = int(last not in (COMMIT, ROLLBACK))
        """How many it begins: its own, or a longer one."""
        self.harmless = len(statements) - (last is COMMIT)
        """While fewer of its statements than this were answered, nothing was committed."""


def _make(name: str, text: str, sqlite: tuple[str, ...] = (), *, writes: bool = False) -> Statement:
    order: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[1] not in order:
            order.append(found[1])
        return f"${order.index(found[1]) + 1}::{_TYPES[found[1]]}"

    numbered = _PARAMETER.sub(place, text.replace("{now}", _NOW))
    others = sqlite or (text,)
    return Statement(
        f"redislock_{name}".encode(),
        " ".join(numbered.split()).encode(),
        tuple(order),
        tuple(each.replace("{now}", ":now") for each in others),
        writes,
    )


_LOGGED_COLUMNS: Final = "user_id, version, amount, balance, time_ms, strategy, idempotency_key"
_KEPT_COLUMNS: Final = "user_id, idempotency_key, operation, amount, status, balance, expires_ms"


def _make_change(
    name: str,
    new: str,
    condition: str,
    *,
    keyed: bool,
    logs: bool,
    user: str = ":user",
    logged: str = ":logged",
) -> Statement:
    """A change of one balance, with its line in the history and, if `keyed`, its record."""
    update = (
        f"UPDATE accounts SET balance = {new}, version = version + 1 WHERE user_id = {user}{condition} "
        "RETURNING balance, version"
    )
    key = ":key" if keyed else "NULL"
    parts, sqlite = [f"WITH changed AS ({update})"], [update]
    if logs:
        parts.append(
            f", logged AS (INSERT INTO history ({_LOGGED_COLUMNS}) SELECT {user}, version, {logged}, "
            f"balance, {{now}}, :strategy, {key} FROM changed)"
        )
        sqlite.append(
            f"INSERT INTO history ({_LOGGED_COLUMNS}) VALUES ({user}, :version, {logged}, :balance, {{now}}, "
            f":strategy, {key})"
        )
    if keyed:
        parts.append(
            f", kept AS (INSERT INTO redislock_requests ({_KEPT_COLUMNS}) SELECT :user, :key, "
            ":operation, :amount, 'ok', balance, {now} + :ttl FROM changed)"
        )
        sqlite.append(
            f"INSERT INTO redislock_requests ({_KEPT_COLUMNS}) VALUES (:user, :key, :operation, :amount, "
            "'ok', :balance, {now} + :ttl)"
        )
    parts.append(" SELECT balance, version FROM changed")
    marks = ("_keyed" if keyed else "") + ("" if logs else "_unlogged")
    return _make(name + marks, "".join(parts), tuple(sqlite), writes=True)


BEGIN = _make("begin", "BEGIN")
BEGIN_SERIALIZABLE = _make("begin_serializable", "BEGIN ISOLATION LEVEL SERIALIZABLE")
COMMIT = _make("commit", "COMMIT")
ROLLBACK = _make("rollback", "ROLLBACK")

READ = _make("read", "SELECT balance FROM accounts WHERE user_id = :user")
READ_VERSION = _make("read_version", "SELECT balance, version FROM accounts WHERE user_id = :user")
READ_FOR_UPDATE = _make("read_for_update", "SELECT balance FROM accounts WHERE user_id = :user FOR UPDATE")
LOCK_OTHER = _make("lock_other", "SELECT balance FROM accounts WHERE user_id = :other FOR UPDATE")
RECORD = _make(
    "record",
    "SELECT operation, amount, status, balance FROM redislock_requests "
    "WHERE user_id = :user AND idempotency_key = :key AND expires_ms > {now}",
)
FORGET = _make(
    "forget",
    "DELETE FROM redislock_requests WHERE user_id = :user AND idempotency_key = :key AND expires_ms <= {now}",
    writes=True,
)
SWEEP = _make(
    "sweep",
    "DELETE FROM redislock_requests WHERE (user_id, idempotency_key) IN "
    "(SELECT user_id, idempotency_key FROM redislock_requests WHERE expires_ms <= {now} LIMIT 256)",
    writes=True,
)
KEEP = _make(
    "keep",
    f"INSERT INTO redislock_requests ({_KEPT_COLUMNS}) "
    "VALUES (:user, :key, :operation, :amount, :status, :balance, {now} + :ttl)",
    writes=True,
)
TRIM = _make(
    "trim",
    "DELETE FROM history WHERE user_id = :user AND version <= "
    "(SELECT version FROM accounts WHERE user_id = :user) - :limit",
    writes=True,
)
HISTORY = _make(
    "history",
    "SELECT amount, balance, time_ms, strategy, coalesce(idempotency_key, '') FROM history "
    "WHERE user_id = :user ORDER BY version DESC LIMIT :limit",
)
SET = _make(
    "set",
    "INSERT INTO accounts (user_id, balance) VALUES (:user, :balance) "
    "ON CONFLICT (user_id) DO UPDATE SET balance = excluded.balance, version = accounts.version + 1",
    writes=True,
)
OPEN = _make(
    "open",
    "INSERT INTO accounts (user_id, balance) VALUES (:user, :balance) ON CONFLICT (user_id) DO NOTHING",
    writes=True,
)
CLEAR = _make("clear", "DELETE FROM history WHERE user_id = :user", writes=True)
REMOVE = _make("remove", "DELETE FROM accounts WHERE user_id = :user RETURNING balance", writes=True)

_WANTED: Final = "json_to_recordset(:wanted) AS wanted (user_id text, balance bigint)"
_WANTED_SQLITE: Final = "json_each(:wanted)"
RESET = _make(
    "reset",
    "INSERT INTO accounts (user_id, balance) "
    f"SELECT wanted.user_id, wanted.balance FROM {_WANTED} ORDER BY 1 "
    "ON CONFLICT (user_id) DO UPDATE SET balance = excluded.balance, version = accounts.version + 1",
    (
        (
            "INSERT INTO accounts (user_id, balance) SELECT json_extract(value, '$.user_id'), "
            f"json_extract(value, '$.balance') FROM {_WANTED_SQLITE} WHERE true "
            "ON CONFLICT (user_id) DO UPDATE SET balance = excluded.balance, version = accounts.version + 1"
        ),
    ),
    writes=True,
)
CLEAR_THOSE = _make(
    "clear_those",
    f"DELETE FROM history WHERE user_id IN (SELECT wanted.user_id FROM {_WANTED})",
    (
        (
            "DELETE FROM history WHERE user_id IN "
            f"(SELECT json_extract(value, '$.user_id') FROM {_WANTED_SQLITE})"
        ),
    ),
    writes=True,
)
HEALTH = _make(
    "health",
    "SELECT current_setting('server_version'), "
    "CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END, "
    "current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes')",
    ("SELECT sqlite_version(), 'primary', (SELECT journal_mode FROM pragma_journal_mode())",),
)


class Statements:
    """The steps of one client. `logs` says whether it keeps a history."""

    def __init__(self, *, logs: bool) -> None:
        def change(name: str, new: str, condition: str = "") -> tuple[Statement, Statement]:
            made = [_make_change(name, new, condition, keyed=keyed, logs=logs) for keyed in (False, True)]
            return made[0], made[1]

        self.logs = logs
        # Of each pair the first is for a request without an idempotency key.
        write = change("write", ":balance")
        self.take = _each(change("take", "balance - :amount", " AND balance >= :amount"))
        self.add = _each(change("add", "balance + :amount", f" AND balance <= {MOST} - :amount"))
        # The version restarts where an account is deleted and opened again: hence the balance too.
        self.swap = _each(change("swap", ":balance", " AND version = :seen AND balance = :read"))
        self.overwrite = Step((write[0],), commits=True)
        self.commit_write = tuple(Step((each, COMMIT), commits=True) for each in write)
        # A transfer locks one account and then the other; which one first is for the caller to say.
        gain = _make_change("gain", ":gained", "", keyed=False, logs=logs, user=":other", logged="-:amount")
        self.lock_source = Step((READ_FOR_UPDATE,))
        self.lock_target = Step((LOCK_OTHER,))
        self.begin_source = Step((BEGIN, READ_FOR_UPDATE))
        self.begin_target = Step((BEGIN, LOCK_OTHER))
        self.commit_transfer = Step((write[0], gain, COMMIT), commits=True)
        self.read = _both((READ,))
        self.read_version = _both((READ_VERSION,))
        self.lock = _both((BEGIN, READ_FOR_UPDATE))
        self.begin_serializable = _both((BEGIN_SERIALIZABLE, READ))
        self.rollback = Step((ROLLBACK,))
        self.commit = Step((COMMIT,))
        self.commit_keep = Step((KEEP, COMMIT), commits=True)
        self.keep = Step((KEEP,), commits=True)
        self.record = Step((RECORD,))
        self.forget = Step((FORGET,))
        self.trim = Step((TRIM,))
        self.sweep = Step((SWEEP,))
        self.history = Step((HISTORY,))
        self.init = Step((SET, CLEAR), commits=True)
        self.open = Step((OPEN, READ), commits=True)
        self.remove = Step((REMOVE, CLEAR), commits=True)
        self.reset = Step((RESET, CLEAR_THOSE), commits=True)
        self.health = Step((HEALTH,))


def _each(pair: tuple[Statement, Statement]) -> tuple[Step, ...]:
    return tuple(Step((each,), commits=True) for each in pair)


def _both(statements: tuple[Statement, ...]) -> tuple[Step, Step]:
    return Step(statements), Step((*statements, RECORD))
