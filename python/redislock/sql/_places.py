"""Where blocking callers wait: the threads of a process share one place, and each gevent hub has its own.

A place keeps connections, at most so many, and drives operations over them. It is chosen at each call, as for
Redis (`redislock._waiters`): a thread in which a gevent hub runs waits cooperatively, any other blocks with
the GIL released.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from redislock._errors import ClosedError, ConnectionError, TimeoutError  # noqa: A004
from redislock.sql._faults import ExpiredError
from redislock.sql._operation import ACQUIRE, Operation, perform
from redislock.sql._postgres import READ, PostgresConnection
from redislock.sql._sqlite import SqliteFile, new_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from redislock.sql._session import Session
    from redislock.sql._statements import Statements

__all__ = ["AGAIN_AFTER", "Backend", "HubPlace", "Keeper", "ThreadPlace", "is_starting", "unknown_host"]

AGAIN_AFTER: Final = 0.05
_FRESH: Final = 0.01  # seconds for which an idle connection is taken to stand
_abandoned: list[Any] = []  # what a parent opened is not closed in its forked child


class Backend:
    """The database of a client: where it is, what its statements are, how many connections it may have."""

    def __init__(
        self, where: Session | SqliteFile, do: Statements, *, most: int, connect_timeout: float
    ) -> None:
        self.where = where
        self.do = do
        self.most = most
        self.connect_timeout = connect_timeout
        self.reached = False


class Keeper:
    """The connections of one place that nobody uses at the moment, and those that somebody does."""

    def __init__(self) -> None:
        self.idle: list[Any] = []
        self.all: set[Any] = set()
        self.closed = False

    def take(self) -> Any:
        """An idle connection that still stands, or None."""
        while True:
            try:
                connection = self.idle.pop()
            except IndexError:
                return None
            if time.monotonic() - connection.last_used < _FRESH or not connection.is_stale():
                return connection
            self.drop(connection)

    def give(self, connection: Any) -> None:
        """Takes a connection back."""
        if connection.broken or self.closed:
            self.drop(connection)
        else:
            connection.last_used = time.monotonic()
            self.idle.append(connection)

    def drop(self, connection: Any) -> None:
        """Closes a connection."""
        self.all.discard(connection)
        connection.close()

    def close(self) -> None:
        """Closes what is idle, and wakes those who wait for an answer."""
        self.closed = True
        for connection in list(self.all):
            shut_down(connection)
        while self.idle:
            self.drop(self.idle.pop())

    def abandon(self) -> None:
        """In a forked child: forgets all of them."""
        _abandoned.append((self.idle, self.all))
        self.idle, self.all = [], set()


class _Room:
    """A semaphore whose quick ways take no lock, unlike `threading.Semaphore`'s."""

    def __init__(self, most: int) -> None:
        self._tokens = deque([None] * most)
        self._waiting = 0
        self._changed = threading.Condition()

    def acquire(self, timeout: float) -> bool:
        """Take a token, waiting for one if need be."""
        try:
            self._tokens.pop()
        except IndexError:
            return self._wait(timeout)
        return True

    def _wait(self, timeout: float) -> bool:
        give_up = time.monotonic() + timeout
        with self._changed:
            self._waiting += 1  # before it looks again: whoever gives one back looks here afterwards
            try:
                while True:
                    with contextlib.suppress(IndexError):
                        self._tokens.pop()
                        return True
                    left = give_up - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        return False
            finally:
                self._waiting -= 1

    def release(self) -> None:
        """Give a token back."""
        self._tokens.append(None)
        if self._waiting:
            with self._changed:
                self._changed.notify()


class ThreadPlace:
    """Runs operations in the threads that ask for them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._keeper = Keeper()
        self._room = self._make_room(backend.most)

    def _make_room(self, most: int) -> Any:
        return _Room(most)

    def run(self, operation: Operation) -> Any:
        """Carry the operation out, by its deadline."""
        deadline = time.monotonic() + operation.timeout
        working = perform(self._backend.do, operation, self._release, deadline)
        connection: Any = None
        try:
            asked = next(working)
            while True:
                if asked is ACQUIRE:
                    try:
                        connection = self._acquire(deadline)
                    except Exception as error:  # noqa: BLE001 - the operation says what it means
                        asked = working.throw(error)
                    else:
                        asked = working.send(connection)
                elif type(asked) is int:
                    asked = working.send(self._wait(connection, asked, deadline))
                else:
                    self._sleep(max(0.0, min(asked.seconds, deadline - time.monotonic())))
                    asked = working.send(None)
        except StopIteration as ended:
            return ended.value
        finally:
            working.close()

    def migrate(self, timeout: float) -> None:
        """Make the tables where there are none."""
        where = self._backend.where
        if isinstance(where, SqliteFile):
            return where.migrate()
        deadline = time.monotonic() + timeout
        connection = PostgresConnection()
        try:
            self._drive(connection, where.open(connection, self._resolve(where), check=False), deadline)
            self._drive(connection, where.migrate(connection), deadline)
        except ExpiredError as expired:
            raise TimeoutError(expired.message) from None
        finally:
            if connection.opened:
                connection.close()
        return None

    def close(self) -> None:
        """Ends what is under way."""
        self._keeper.close()

    def abandon(self) -> None:
        """In a forked child: forgets the parent's connections without a word on them."""
        self._keeper.abandon()
        self._room = self._make_room(self._backend.most)
        if isinstance(self._backend.where, SqliteFile):
            self._backend.where.turn = new_turn()  # whoever held it does not exist here

    def _acquire(self, deadline: float) -> Any:
        if not self._room.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError("all connections were in use until the deadline; nothing was applied")
        try:
            connection = self._take_or_open(deadline)
        except BaseException:
            self._room.release()
            raise
        return connection

    def _take_or_open(self, deadline: float) -> Any:
        backend, keeper = self._backend, self._keeper
        while True:
            if keeper.closed:
                raise ClosedError("the client is closed; make a new one")
            if (found := keeper.take()) is not None:
                return found
            try:
                connection = self._open(deadline)
            except ConnectionError as error:
                if (
                    not is_starting(error, reached=backend.reached)
                    or time.monotonic() + AGAIN_AFTER > deadline
                ):
                    raise
                self._sleep(AGAIN_AFTER)
                continue
            backend.reached = True
            keeper.all.add(connection)
            return connection

    def _open(self, deadline: float) -> Any:
        where = self._backend.where
        if isinstance(where, SqliteFile):
            return where.connect()
        connection = PostgresConnection()
        by = min(deadline, time.monotonic() + self._backend.connect_timeout)
        try:
            self._drive(connection, where.open(connection, self._resolve(where)), by)
        except BaseException as error:
            if connection.opened:
                connection.close()
            if isinstance(error, ExpiredError):
                raise TimeoutError(f"{error.message}; nothing was applied") from None
            raise
        return connection

    def _drive(
        self, connection: PostgresConnection, working: Generator[int, bool, Any], deadline: float
    ) -> Any:
        try:
            asked = next(working)
            while True:
                asked = working.send(self._wait(connection, asked, deadline))
        except StopIteration as ended:
            return ended.value
        finally:
            working.close()

    def _release(self, connection: Any) -> None:
        self._keeper.give(connection)
        self._room.release()

    def _resolve(self, where: Session) -> Sequence[str]:
        host = where.host_to_resolve
        return addresses_of(host, socket.getaddrinfo) if host is not None else ()

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _wait(self, connection: PostgresConnection, events: int, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        poller = connection.waiter
        if poller is None or events != READ:
            poller = select.poll()
            poller.register(
                connection.fileno, select.POLLIN if events == READ else select.POLLIN | select.POLLOUT
            )
            if connection.opened and events == READ:
                connection.waiter = poller
        return bool(poller.poll(math.ceil(left * 1000)))


class HubPlace(ThreadPlace):
    """Runs operations in the greenlets of one hub, and lets the others go on meanwhile."""

    def __init__(self, backend: Backend, hub: Any) -> None:
        super().__init__(backend)
        self.hub = hub

    @property
    def orphaned(self) -> bool:
        """Whether the hub's thread has ended."""
        return self.hub.loop is None or self.hub.dead

    def _make_room(self, most: int) -> Any:
        from gevent.lock import Semaphore

        return Semaphore(most)

    def _sleep(self, seconds: float) -> None:
        import gevent

        gevent.sleep(seconds)

    def _resolve(self, where: Session) -> Sequence[str]:
        from gevent.socket import getaddrinfo

        host = where.host_to_resolve
        return addresses_of(host, getaddrinfo) if host is not None else ()

    def _wait(self, connection: PostgresConnection, events: int, deadline: float) -> bool:
        import gevent

        left = deadline - time.monotonic()
        if left <= 0:
            return False
        io = self.hub.loop.io(connection.fileno, events)
        try:
            with gevent.Timeout(left) as timer:
                try:
                    self.hub.wait(io)
                except gevent.Timeout as passed:
                    if passed is not timer:
                        raise
                    return False
        finally:
            io.close()
        return True


def addresses_of(host: str, look_up: Callable[..., Any]) -> list[str]:
    """The addresses of a host's name, each once."""
    try:
        found = look_up(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise unknown_host(host, error) from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def unknown_host(host: str, error: OSError) -> ConnectionError:
    """What a failed look-up is to the caller."""
    return ConnectionError(f"cannot connect to PostgreSQL: the host {host!r} is not known ({error.strerror})")


def is_starting(error: ConnectionError, *, reached: bool) -> bool:
    """Whether to try again to connect: a wrong address should not cost the whole timeout."""
    return reached or "starting up" in str(error)


def shut_down(connection: Any) -> None:
    """Wakes whoever waits for this connection's answer."""
    if isinstance(connection, PostgresConnection) and connection.opened and not connection.broken:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno)) as line:
            line.shutdown(socket.SHUT_RDWR)
