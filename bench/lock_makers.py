"""The contestants of the rows of locks: a client of each library, and the locks that it makes.

All of these locks have `acquire` and `release` without arguments, those of asyncio to be awaited. As
with redis-py's client, where a library leaves a choice, its faster way is taken.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.job import Job

    Make = Callable[[str], Any]

LEASE: Final = 30.0
CONNECTIONS: Final = 64
QUEUE_SECONDS: Final = 60
PATIENCE: Final = 60.0


@contextlib.contextmanager
def _redislock(job: Job) -> Iterator[Make]:
    """The client's own locks, which are renewed, or `redislock.Lock` with just a lease."""
    import redislock

    with redislock.Client(job.options.get("url", job.url), timeout=PATIENCE) as client:
        if job.options.get("plain"):
            yield lambda name: redislock.Lock(client, name, LEASE)
        else:
            yield lambda name: client.lock(name, job.lease)


@contextlib.contextmanager
def _redis_py(job: Job) -> Iterator[Make]:
    import redis

    sleep = job.options.get("sleep", 0.1)
    connections = max(CONNECTIONS, job.operations + 1)
    with redis.Redis.from_url(job.url, max_connections=connections) as client:
        yield lambda name: client.lock(name, timeout=LEASE, sleep=sleep)


@contextlib.contextmanager
def _python_redis_lock(job: Job) -> Iterator[Make]:
    import redis
    import redis_lock

    connections = max(CONNECTIONS, job.operations + 1)
    with redis.Redis.from_url(job.url, max_connections=connections) as client:
        yield lambda name: redis_lock.Lock(client, name, expire=int(LEASE))


@contextlib.contextmanager
def _pottery(job: Job) -> Iterator[Make]:
    import pottery
    import redis

    with redis.Redis.from_url(job.url) as client:
        yield lambda name: pottery.Redlock(key=name, masters={client}, auto_release_time=LEASE)


class _SocketLock:
    """Two prepared requests: SET with NX, and a script that deletes what is its own. No fence, no queue."""

    _GIVE_BACK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"
    _ENOUGH: Final = 4096

    def __init__(self, line: socket.socket, name: str) -> None:
        self._line = line
        token = "0" * 32  # as long as a real one
        sha1 = self._ask(_request("SCRIPT", "LOAD", self._GIVE_BACK)).split(b"\r\n")[1].decode()
        self._take = _request("SET", name, token, "NX", "PX", str(int(LEASE * 1000)))
        self._give = _request("EVALSHA", sha1, "1", name, token)

    def _ask(self, request: bytes) -> bytes:
        self._line.sendall(request)
        return self._line.recv(self._ENOUGH)

    def acquire(self) -> bool:
        return self._ask(self._take) == b"+OK\r\n"

    def release(self) -> None:
        self._ask(self._give)


def _request(*words: str) -> bytes:
    said = [b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words]
    return b"*%d\r\n" % len(words) + b"".join(said)


@contextlib.contextmanager
def _socket(job: Job) -> Iterator[Make]:
    path, port = job.address
    with socket.socket(socket.AF_INET if path is None else socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(("127.0.0.1", port) if path is None else path)
        if path is None:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield lambda name: _SocketLock(line, name)


@contextlib.contextmanager
def _threading(_job: Job) -> Iterator[Make]:
    yield lambda _name: threading.Lock()


@contextlib.asynccontextmanager
async def _redislock_tasks(job: Job) -> AsyncIterator[Make]:
    import redislock.asyncio

    async with redislock.asyncio.Client(job.url, timeout=PATIENCE) as client:
        if job.options.get("plain"):
            yield lambda name: redislock.asyncio.Lock(client, name, LEASE)
        else:
            yield lambda name: client.lock(name, job.lease)


@contextlib.asynccontextmanager
async def _redis_py_tasks(job: Job) -> AsyncIterator[Make]:
    import redis.asyncio

    pool = redis.asyncio.BlockingConnectionPool.from_url(
        job.url, max_connections=CONNECTIONS, timeout=QUEUE_SECONDS
    )
    async with redis.asyncio.Redis.from_pool(pool) as client:
        yield lambda name: client.lock(name, timeout=LEASE)


_BLOCKING: Final = {
    "redislock": _redislock,
    "redis-py": _redis_py,
    "python-redis-lock": _python_redis_lock,
    "pottery": _pottery,
    "socket": _socket,
    "threading": _threading,
}
_COOPERATIVE: Final = {"redislock": _redislock_tasks, "redis-py": _redis_py_tasks}


def blocking(job: Job) -> contextlib.AbstractContextManager[Make]:
    """What makes locks for threads, greenlets and processes, all on one client."""
    return _BLOCKING[job.options["library"]](job)


def cooperative(job: Job) -> contextlib.AbstractAsyncContextManager[Make]:
    """What makes locks for tasks, all on one client."""
    return _COOPERATIVE[job.options["library"]](job)
