"""One connection to PostgreSQL: what is written and read for a step. It waits for nothing.

It stands on `psycopg.pq`, psycopg's face of libpq, rather than on psycopg's cursors: a step is one round
trip, its statements are prepared once a connection, and who waits for the socket (a thread, a greenlet, an
event loop) is not decided here. Its generators yield what they wait for, `READ` or `READ_WRITE`, and are
sent False once the deadline has passed.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from psycopg import errors as psycopg_errors
from psycopg import pq

from redislock._errors import (
    AuthenticationError,
    ConnectionError,  # noqa: A004
)
from redislock.sql._faults import (
    AgainError,
    BusyError,
    CutError,
    DuplicateError,
    ExpiredError,
    LostError,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from psycopg.pq.abc import PGconn, PGresult

    from redislock.sql._statements import Statement, Step
    from redislock.sql._strategies import Rows

    Waiting = Generator[int, bool, list[Rows]]

__all__ = ["READ", "READ_WRITE", "PostgresConnection"]

READ: Final = 1
READ_WRITE: Final = 3

_OK: Final = int(pq.ExecStatus.COMMAND_OK)
_TUPLES: Final = int(pq.ExecStatus.TUPLES_OK)
_ABORTED: Final = int(pq.ExecStatus.PIPELINE_ABORTED)
_SYNC: Final = int(pq.ExecStatus.PIPELINE_SYNC)
_STATE: Final = pq.DiagnosticField.SQLSTATE
_SEVERITY: Final = pq.DiagnosticField.SEVERITY_NONLOCALIZED

_LEASE_ENDED: Final = "25P03"
_IDLE: Final = int(pq.TransactionStatus.IDLE)
_ONE_ANSWER: Final[tuple[bytes | None]] = (None,)
_KINDS: Final[dict[str, type[RefusedError]]] = {
    "23505": DuplicateError,
    "40001": AgainError,
    "40P01": AgainError,
    "55P03": BusyError,
    _LEASE_ENDED: LostError,
}
_CUT_WORDS: Final = "the connection to PostgreSQL ended"

_LIMITS: Final = (
    b"SELECT set_config('lock_timeout', $1, false), "
    b"set_config('idle_in_transaction_session_timeout', $2, false)"
)


class PostgresConnection:
    """A connection, open after `open`. Used by one caller at a time."""

    pgconn: PGconn

    def __init__(self) -> None:
        self.fileno = -1
        self.opened = False
        self.broken = False
        self.last_used = 0.0
        self.limits: tuple[int, int] | None = None
        self.waiter: Any = None
        self._prepared: set[bytes] = set()
        self._farewell: tuple[str, str] | None = None

    def open(self, conninfo: bytes) -> Generator[int, bool, None]:
        """Connects. Until it has returned, `fileno` may change from one wait to the next."""
        pgconn = self.pgconn = pq.PGconn.connect_start(conninfo)
        try:
            yield from self._await_connected()
        except BaseException:
            self.close()
            raise
        self.fileno = pgconn.socket
        self.opened = True
        pgconn.nonblocking = 1
        pgconn.notice_handler = self._notice

    def _await_connected(self) -> Generator[int, bool, None]:
        pgconn = self.pgconn
        while pgconn.status != pq.ConnStatus.BAD:
            polled = pgconn.connect_poll()
            if polled == pq.PollingStatus.OK:
                return
            if polled == pq.PollingStatus.FAILED:
                break
            self.fileno = pgconn.socket
            if not (yield READ if polled == pq.PollingStatus.READING else READ_WRITE):
                raise ExpiredError("no connection to PostgreSQL came about in time", unknown=False)
        raise _not_connected(pgconn)

    def run(self, step: Step, values: Mapping[str, Any]) -> Waiting:
        """One round trip: all statements of the step; their rows, a list each."""
        try:
            answers, refused = yield from self._exchange(step, values)
        except psycopg_errors.Error as error:
            raise self._cut(_clean(error), unknown=step.commits) from None
        if refused is None:
            return answers
        if not self.broken and self.pgconn.transaction_status != _IDLE:
            yield from self._roll_back()
            refused.rolled_back = True
        raise refused

    def _exchange(  # noqa: C901 - each function more is a generator more for each withdrawal
        self, step: Step, values: Mapping[str, Any]
    ) -> Generator[int, bool, tuple[list[Rows], RefusedError | None]]:
        """Sends a step and reads its answers to the end. It is what runs most, and so is one function."""
        pgconn, commits, statements = self.pgconn, step.commits, step.statements
        is_busy, get_result = pgconn.is_busy, pgconn.get_result
        awaited = self._send(statements, values)
        if pgconn.flush():
            yield from self._flush(commits=commits)
        if not (yield READ):
            raise self._expired(unknown=commits)
        try:  # noqa: SIM105 - here suppress() would be a tenth of the price
            pgconn.consume_input()
        except psycopg_errors.OperationalError:
            pass  # as in `_next`
        answers: list[Rows] = []
        refused: RefusedError | None = None
        for prepared in awaited:
            # The transaction has ended only with the message behind the last result, which is waited for.
            while (
                result := (yield from self._next(commits=commits)) if is_busy() else get_result()
            ) is not None:
                status = result.status
                if status == _TUPLES:
                    answers.append(_rows(result))
                elif status == _OK:
                    if prepared is None:
                        answers.append([])
                    else:
                        self._prepared.add(prepared)  # no rollback undoes it
                elif status != _ABORTED:
                    committed = commits and len(answers) >= step.harmless
                    refused = refused or self._refusal(result, commits=commits, committed=committed)
                    if self.broken:
                        return answers, refused  # nothing follows
        if awaited is not _ONE_ANSWER:
            yield from self._end_pipeline(commits=commits)
        return answers, refused

    def _end_pipeline(self, *, commits: bool) -> Generator[int, bool, None]:
        result = yield from self._next(commits=commits)
        if result is None or result.status != _SYNC:
            raise self._cut("PostgreSQL answered out of turn", unknown=commits)
        self.pgconn.exit_pipeline_mode()

    def _send(self, statements: Sequence[Statement], values: Mapping[str, Any]) -> Sequence[bytes | None]:
        """Sends, as far as it goes. Says what answers will come: a name where a statement is prepared."""
        pgconn, known = self.pgconn, self._prepared
        if len(statements) == 1 and statements[0].name in known:
            pgconn.send_query_prepared(statements[0].name, _encode(statements[0], values))
            return _ONE_ANSWER
        pgconn.enter_pipeline_mode()
        awaited: list[bytes | None] = []
        for each in statements:
            if each.name not in known and each.name not in awaited:
                pgconn.send_prepare(each.name, each.postgres)
                awaited.append(each.name)
            pgconn.send_query_prepared(each.name, _encode(each, values) if each.parameters else None)
            awaited.append(None)
        pgconn.pipeline_sync()
        return awaited

    def _next(self, *, commits: bool) -> Generator[int, bool, PGresult | None]:
        pgconn = self.pgconn
        while pgconn.is_busy():
            if not (yield READ):
                raise self._expired(unknown=commits)
            try:
                pgconn.consume_input()
            except psycopg_errors.OperationalError:
                break  # the connection has ended; what came before is a result all the same, or says why
        return pgconn.get_result()

    def _flush(self, *, commits: bool) -> Generator[int, bool, None]:
        pgconn = self.pgconn
        while pgconn.flush():
            if not (yield READ_WRITE):
                raise self._expired(unknown=commits)
            with contextlib.suppress(psycopg_errors.OperationalError):
                pgconn.consume_input()

    def _refusal(self, result: PGresult, *, commits: bool, committed: bool) -> RefusedError:
        """Why a statement was refused. Raises CutError where the connection ended.

        What was answered says whether it may have `committed`, unless answers were lost on their way.
        """
        state = (result.error_field(_STATE) or b"").decode("ascii", "replace")
        words = _words(result)
        if (
            not state
        ):  # libpq itself speaks: the connection is gone, and what the server said before is a notice
            if self._farewell is not None and self._farewell[1] == _LEASE_ENDED:
                self.broken = True
                return LostError(*self._farewell)
            raise self._cut(words, unknown=commits)
        if result.error_field(_SEVERITY) in (b"FATAL", b"PANIC"):
            self.broken = True
            if state == _LEASE_ENDED:
                return LostError(words, state)
            raise CutError(words, unknown=committed)
        return _KINDS.get(state, RefusedError)(words, state)

    def _roll_back(self) -> Generator[int, bool, None]:
        """Ends the transaction that a refusal left open. Where that fails, the connection is given up."""
        try:
            self.pgconn.send_query(b"ROLLBACK")
            yield from self._flush(commits=False)
            while (yield from self._next(commits=False)) is not None:
                pass
        except (CutError, psycopg_errors.Error):
            self.broken = True

    def ask(self, text: bytes, arguments: Sequence[bytes | None] = ()) -> Generator[int, bool, Rows]:
        """One statement that is not prepared."""
        rows: Rows = []
        refused: RefusedError | None = None
        try:
            self.pgconn.send_query_params(text, arguments)
            yield from self._flush(commits=False)
            while (result := (yield from self._next(commits=False))) is not None:
                if result.status == _TUPLES:
                    rows = _rows(result)
                elif result.status != _OK:
                    refused = refused or self._refusal(result, commits=False, committed=False)
        except psycopg_errors.Error as error:
            raise self._cut(_clean(error), unknown=False) from None
        if refused is not None:
            raise refused
        return rows

    @property
    def idle(self) -> bool:
        """Whether no transaction is open and no answer awaited."""
        pgconn = self.pgconn
        return (
            pgconn.transaction_status == pq.TransactionStatus.IDLE
            and pgconn.pipeline_status == pq.PipelineStatus.OFF
        )

    def set_limits(self, limits: tuple[int, int]) -> Generator[int, bool, None]:
        """Says for how many milliseconds to wait for a row's lock, and for a transaction's next statement."""
        yield from self.ask(_LIMITS, [str(each).encode() for each in limits])
        self.limits = limits

    def is_stale(self) -> bool:
        """Whether the idle connection has something to say, which can only be a farewell."""
        try:
            self.pgconn.consume_input()
            self.pgconn.is_busy()  # looks at what was read
        except psycopg_errors.Error:
            return True
        return self._farewell is not None or self.pgconn.status != pq.ConnStatus.OK

    def close(self) -> None:
        """Closes the connection. PostgreSQL rolls back what was not committed."""
        self.broken = True
        self.pgconn.finish()

    def _notice(self, result: PGresult) -> None:
        if result.error_field(_SEVERITY) in (b"FATAL", b"PANIC"):
            self._farewell = _words(result), (result.error_field(_STATE) or b"").decode("ascii", "replace")

    def _cut(self, words: str, *, unknown: bool) -> CutError:
        self.broken = True
        return CutError(words or _CUT_WORDS, unknown=unknown)

    def _expired(self, *, unknown: bool) -> ExpiredError:
        self.broken = True
        return ExpiredError("the deadline passed before PostgreSQL answered", unknown=unknown)


def _not_connected(pgconn: PGconn) -> Exception:
    words = re.sub(r"^connection (to server .*?)?failed: ", "", _first_line(_text(pgconn.error_message)))
    where = _where(pgconn)
    if pgconn.needs_password or "authentication failed" in words or "no pg_hba.conf entry" in words:
        return AuthenticationError(f"PostgreSQL at {where} refused the user name or password: {words}")
    return ConnectionError(f"cannot connect to PostgreSQL at {where}: {words or 'no reason was given'}")


def _where(pgconn: PGconn) -> str:
    with contextlib.suppress(psycopg_errors.Error):
        return f"{_text(pgconn.host)}:{_text(pgconn.port)}"
    return "the address given"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _rows(result: PGresult) -> Rows:
    get = result.get_value
    if result.ntuples == 1 and result.nfields == 2:  # noqa: PLR2004 - what a change answers
        return [(get(0, 0), get(0, 1))]
    width = range(result.nfields)
    return [tuple([get(row, column) for column in width]) for row in range(result.ntuples)]


def _encode(statement: Statement, values: Mapping[str, Any]) -> list[bytes | None]:
    return [str(values[name]).encode() for name in statement.parameters]


def _words(result: PGresult) -> str:
    """The server's sentence, without what it quotes of rows."""
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    if primary is not None:
        return primary.decode("utf-8", "replace")
    return _first_line(result.error_message.decode("utf-8", "replace"))


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else ""


def _clean(error: BaseException) -> str:
    return re.sub(r"^\w+ failed: ", "", _first_line(str(error)))
