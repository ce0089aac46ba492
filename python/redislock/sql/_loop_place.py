"""Where asyncio's tasks wait: each event loop has connections of its own, as each hub has in `_places`."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

from redislock._errors import ClosedError, ConnectionError, TimeoutError  # noqa: A004
from redislock.sql._faults import ExpiredError
from redislock.sql._operation import ACQUIRE, Operation, perform
from redislock.sql._places import AGAIN_AFTER, Backend, Keeper, is_starting, unknown_host
from redislock.sql._postgres import READ, PostgresConnection

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from redislock.sql._session import Session

__all__ = ["LoopPlace"]


class LoopPlace:
    """Runs operations in the tasks of one event loop."""

    def __init__(self, backend: Backend, where: Session, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._backend = backend
        self._where = where
        self._keeper = Keeper()
        self._room = asyncio.Semaphore(backend.most)

    async def run(self, operation: Operation) -> Any:
        deadline = time.monotonic() + operation.timeout
        working = perform(self._backend.do, operation, self._release, deadline)
        connection: Any = None
        try:
            asked = next(working)
            while True:
                if asked is ACQUIRE:
                    try:
                        connection = await self._acquire(deadline)
                    except Exception as error:  # noqa: BLE001 - the operation says what it means
                        asked = working.throw(error)
                    else:
                        asked = working.send(connection)
                elif type(asked) is int:
                    asked = working.send(await self._wait(connection, asked, deadline))
                else:
                    await asyncio.sleep(max(0.0, min(asked.seconds, deadline - time.monotonic())))
                    asked = working.send(None)
        except StopIteration as ended:
            return ended.value
        finally:
            working.close()

    async def migrate(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        connection = PostgresConnection()
        try:
            addresses = await self._resolve()
            await self._drive(connection, self._where.open(connection, addresses, check=False), deadline)
            await self._drive(connection, self._where.migrate(connection), deadline)
        except ExpiredError as expired:
            raise TimeoutError(expired.message) from None
        finally:
            if connection.opened:
                connection.close()

    def close(self) -> None:
        self._keeper.close()

    def abandon(self) -> None:
        self._keeper.abandon()

    async def _acquire(self, deadline: float) -> Any:
        if self._room.locked():
            try:
                await asyncio.wait_for(self._room.acquire(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                words = "all connections were in use until the deadline; nothing was applied"
                raise TimeoutError(words) from None
        else:
            await self._room.acquire()
        try:
            return await self._take_or_open(deadline)
        except BaseException:
            self._room.release()
            raise

    async def _take_or_open(self, deadline: float) -> Any:
        backend, keeper = self._backend, self._keeper
        while True:
            if keeper.closed:
                raise ClosedError("the client is closed; make a new one")
            if (found := keeper.take()) is not None:
                return found
            try:
                connection = await self._open(deadline)
            except ConnectionError as error:
                if (
                    not is_starting(error, reached=backend.reached)
                    or time.monotonic() + AGAIN_AFTER > deadline
                ):
                    raise
                await asyncio.sleep(AGAIN_AFTER)
                continue
            backend.reached = True
            keeper.all.add(connection)
            return connection

    async def _open(self, deadline: float) -> PostgresConnection:
        connection = PostgresConnection()
        by = min(deadline, time.monotonic() + self._backend.connect_timeout)
        try:
            await self._drive(connection, self._where.open(connection, await self._resolve()), by)
        except BaseException as error:
            if connection.opened:
                connection.close()
            if isinstance(error, ExpiredError):
                raise TimeoutError(f"{error.message}; nothing was applied") from None
            raise
        return connection

    async def _drive(
        self, connection: PostgresConnection, working: Generator[int, bool, Any], deadline: float
    ) -> Any:
        try:
            asked = next(working)
            while True:
                asked = working.send(await self._wait(connection, asked, deadline))
        except StopIteration as ended:
            return ended.value
        finally:
            working.close()

    def _release(self, connection: Any) -> None:
        self._keeper.give(connection)
        self._room.release()

    async def _resolve(self) -> Sequence[str]:
        host = self._where.host_to_resolve
        if host is None:
            return ()
        try:
            found = await self.loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise unknown_host(host, error) from None
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    async def _wait(self, connection: PostgresConnection, events: int, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        loop, fileno = self.loop, connection.fileno
        future: asyncio.Future[bool] = loop.create_future()
        loop.add_reader(fileno, _wake, future, True)
        if events != READ:
            loop.add_writer(fileno, _wake, future, True)
        timer = loop.call_later(left, _wake, future, False)
        try:
            return await future
        finally:
            timer.cancel()
            loop.remove_reader(fileno)
            if events != READ:
                loop.remove_writer(fileno)


def _wake(future: asyncio.Future[bool], ready: bool) -> None:
    if not future.done():
        future.set_result(ready)
