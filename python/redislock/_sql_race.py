"""A race in slow motion on PostgreSQL: the buyers of `_race`, led through one interleaving.

The withdrawals are the strategies of `redislock.sql` themselves. Each buyer has a connection of its own and
is held before every round trip; one that waits for a row which another has locked is passed over until then.
Who has not begun is too, meanwhile: which of two gets a row that was changed while they waited, PostgreSQL
does not promise (each looks for the row's new version anew).
The account is made under a name with a random part, and deleted after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import select
import time
from typing import TYPE_CHECKING, Any, Final

from redislock import _verdict, sql
from redislock._errors import Error, TimeoutError  # noqa: A004 - ours derives from the builtin
from redislock._race import Race, Step, logger, name_buyers
from redislock._sql_race_words import Moment
from redislock.sql._base import to_result
from redislock.sql._faults import RefusedError
from redislock.sql._postgres import READ, PostgresConnection
from redislock.sql._session import Session
from redislock.sql._strategies import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from redislock._core import Result
    from redislock.sql._statements import Step as Sent
    from redislock.sql._strategies import Rows

__all__ = ["run"]

_HISTORY_LIMIT: Final = 1000
_LOOK: Final = 0.005  # seconds between two looks at whether a buyer waits for a lock
_PATIENCE: Final = 3600.0  # seconds; who waits for a row here stands still most of the time
_BLOCKED: Final = b"SELECT cardinality(pg_blocking_pids($1::int)) > 0"


def run(
    url: str,
    *,
    strategy: str,
    balance: int = 5,
    amount: int = 1,
    buyers: int = 2,
    timeout: float = 5.0,
    on_broken_off: Callable[[Race], object] | None = None,
) -> Race:
    """Lead `buyers` withdrawals of `amount` from one balance through a race, as `_race.run` does on Redis."""
    names = name_buyers(buyers)
    user = f"race-{secrets.token_hex(6)}"
    client = sql.connect(
        url, timeout=_PATIENCE, lock_wait=_PATIENCE, lock_lease=_PATIENCE, history_limit=_HISTORY_LIMIT
    )
    race = Race(strategy, balance, amount, names, (), {}, None, None)
    with client:
        led: _Led | None = None
        try:
            client.init(user, balance, timeout=timeout)
            led = _Led(client, user, race, timeout)
            led.to_the_end()
            return led.concluded()
        except (KeyboardInterrupt, Error) as why:
            if led is not None and on_broken_off is not None:
                on_broken_off(led.broken_off(str(why) if isinstance(why, Error) else "Ctrl-C"))
            raise
        finally:
            if led is not None:
                led.close()
            _remove(client, user)


class _Buyer:
    """One withdrawal, held before each round trip."""

    def __init__(self, client: sql.Client, name: str, operation: Any, connection: PostgresConnection) -> None:
        self.name = name
        self.operation = operation
        self.connection = connection
        self.begun = False
        self.waiting = False
        self.result: Result | None = None
        self.step: Sent
        self._work = operation.work(client._backend.do, operation.request)  # noqa: SLF001 - a friend
        self._exchange: Generator[int, bool, list[Rows]] | None = None
        self._go(lambda: next(self._work))

    def answered(self, seconds: float) -> list[Rows] | RefusedError | None:
        """Send what is held, wait for that long, and return the answer, or None where there is none yet."""
        try:
            if self._exchange is None:
                self.begun = True
                self._exchange = self.connection.run(self.step, self.operation.request.values)
                next(self._exchange)
            while _readable(self.connection, seconds):
                self._exchange.send(True)
        except StopIteration as ended:
            rows: list[Rows] = ended.value
            return rows
        except RefusedError as refused:
            return refused
        return None

    def go_on(self, answer: list[Rows] | RefusedError) -> None:
        """Give the strategy the answer, up to its next round trip or its end."""
        self._exchange = None
        if isinstance(answer, RefusedError):
            self._go(lambda: self._work.throw(answer))
        else:
            self._go(lambda: self._work.send(answer))

    def _go(self, on: Callable[[], Sent | Pause]) -> None:
        try:
            found = on()
            while isinstance(found, Pause):
                found = self._work.send([])
            self.step = found
        except StopIteration as ended:
            self.result = to_result(self.operation, ended.value, 0)
        except RefusedError as refused:
            raise _as_error(refused) from None


class _Led:
    """The buyers, and whose turn it is."""

    def __init__(self, client: sql.Client, user: str, race: Race, timeout: float) -> None:
        self._client = client
        self._user = user
        self._race = race
        self._timeout = timeout
        self._steps: list[Step] = []
        self._wrote = ""
        self._lanes: list[PostgresConnection] = []
        self._observer = self._connect()
        self._buyers = [self._make(name) for name in race.buyers]

    def to_the_end(self) -> None:
        """Give each its turn until all have ended."""
        while any(each.result is None for each in self._buyers):
            for buyer in self._buyers:
                behind = not buyer.begun and any(each.waiting for each in self._buyers)
                if buyer.result is None and not behind:
                    self._turn(buyer)

    def concluded(self) -> Race:
        """Return the race with all that was seen, and judged."""
        race = dataclasses.replace(self._race, steps=tuple(self._steps), results=dict(self._results()))
        end = self._client.balance(self._user, timeout=self._timeout)
        unknown = sum(each.result is None for each in self._buyers) * bool(race.broken_off)
        books = _verdict.Books(
            user="stock",  # as the buyers call it; the name has a random part
            start=race.balance,
            end=end,
            ok=race.sold,
            unknown=race.amount * unknown,
            unknown_count=unknown,
            entries=self._client.history(self._user, timeout=self._timeout),
            history_limit=_HISTORY_LIMIT,
        )
        return dataclasses.replace(race, end=end, verdict=_verdict.conclude([_verdict.judge(books)]))

    def broken_off(self, cause: str) -> Race:
        """Return it as far as it went."""
        self.close()
        self._race = dataclasses.replace(self._race, broken_off=cause)
        with contextlib.suppress(Error):
            return self.concluded()
        return dataclasses.replace(self._race, steps=tuple(self._steps), results=dict(self._results()))

    def close(self) -> None:
        """Hang up: PostgreSQL rolls back whatever was not committed."""
        while self._lanes:
            self._lanes.pop().close()

    def _results(self) -> Iterator[tuple[str, Result]]:
        for each in self._buyers:
            if each.result is not None:
                yield each.name, each.result

    def _connect(self) -> PostgresConnection:
        where = self._client._backend.where  # noqa: SLF001 - a friend
        if not isinstance(where, Session):
            raise TypeError("a race is led on PostgreSQL, where rows can be locked")
        connection = PostgresConnection()
        _finish(connection, where.open(connection, ()), self._timeout)
        self._lanes.append(connection)
        return connection

    def _make(self, name: str) -> _Buyer:
        race = self._race
        operation = self._client._withdraw(  # noqa: SLF001 - a friend
            race.strategy, self._user, race.amount, None, None, max_retries=len(race.buyers)
        )
        return _Buyer(self._client, name, operation, self._connect())

    def _turn(self, buyer: _Buyer) -> None:
        before = self._balance()
        answer = self._answer(buyer)
        if answer is not None:
            self._note(buyer, answer, before)
            buyer.waiting = False
        elif not buyer.waiting:
            self._note(buyer, None, before)
            buyer.waiting = True

    def _answer(self, buyer: _Buyer) -> list[Rows] | RefusedError | None:
        """The answer to a buyer's round trip; None where it waits for a lock."""
        give_up = time.monotonic() + self._timeout
        while (answer := buyer.answered(_LOOK)) is None:
            pid = str(buyer.connection.pgconn.backend_pid).encode()
            [[blocked]] = _finish(self._observer, self._observer.ask(_BLOCKED, (pid,)), self._timeout)
            if blocked == b"t":
                return None
            if time.monotonic() > give_up:
                raise TimeoutError(f"buyer {buyer.name} got no answer within {self._timeout:g} s")
        return answer

    def _note(self, buyer: _Buyer, answer: list[Rows] | RefusedError | None, before: int | None) -> None:
        step, values = buyer.step, dict(buyer.operation.request.values)
        if answer is not None:
            buyer.go_on(answer)
        after = self._balance()
        moment = Moment(buyer.name, step, answer, values, before, after, self._wrote, buyer.waiting)
        if before != after:
            self._wrote = buyer.name
        self._steps.append(
            Step(
                number=len(self._steps) + 1,
                buyer=buyer.name,
                asks=moment.asks,
                sent=moment.sent,
                received=moment.received,
                balance=after,
                ended="" if buyer.result is None else str(buyer.result.status),
                **moment.told(),
            )
        )

    def _balance(self) -> int | None:
        return self._client.balance(self._user, timeout=self._timeout)


def _readable(connection: PostgresConnection, seconds: float) -> bool:
    return bool(select.select([connection.fileno], [], [], seconds)[0])


def _finish(connection: PostgresConnection, working: Generator[int, bool, Any], seconds: float) -> Any:
    """Drive a generator of a connection to its end."""
    until = time.monotonic() + seconds
    try:
        events = next(working)
        while True:
            writes = [connection.fileno] if events != READ else []
            left = max(0.0, until - time.monotonic())
            ready = select.select([connection.fileno], writes, [], left)
            events = working.send(bool(ready[0] or ready[1]))
    except StopIteration as ended:
        return ended.value


def _as_error(refused: RefusedError) -> Error:
    from redislock.sql._faults import to_server_error

    return to_server_error(refused)


def _remove(client: sql.Client, user: str) -> None:
    try:
        client.delete(user, timeout=5.0)
    except Error as error:
        logger.warning("account %s: could not be deleted: %s", user, error)
