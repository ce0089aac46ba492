"""The contestant redis-py, with the parser of hiredis: by the script, by WATCH and by its `Lock`.

Where redis-py leaves a choice, the faster way is taken: EVALSHA at once rather than a registered
script, replies as bytes, one lock object per user.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.exceptions import LockError

from bench.work import AMOUNT, HISTORY, keys_of, user_name, withdraw_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.job import Job

    Call = Callable[[], Any]

CONNECTIONS = 64
QUEUE_SECONDS = 60
LEASE = 5.0
PATIENCE = 1.0
LARGEST = 2**63 - 1


def is_ok(reply: bytes) -> bool:
    """Whether the money was taken."""
    return reply.startswith(b"ok")


def _by_script(client: Any, user: str) -> Call:
    _, sha, count, *words = withdraw_command(user)
    return functools.partial(client.evalsha, sha, int(count), *words)


def _to_balance(text: bytes | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(rb"0|[1-9][0-9]{0,18}", text) or int(text) > LARGEST:
        raise ValueError("the balance is no whole number of 64 bits")
    return int(text)


def _commit(pipe: Any, user: str, left: int, time_ms: int, strategy: str, *, full: bool) -> None:
    keys = keys_of(user)
    pipe.decrby(keys.balance, AMOUNT)
    pipe.lpush(keys.history, f"{AMOUNT} {left} {time_ms} {strategy}")
    if full:
        pipe.ltrim(keys.history, 0, HISTORY - 1)


def _by_watch(client: Any, user: str) -> Call:
    """What redislock does, through `transaction()`: it asks for balance, length and server time."""
    keys = keys_of(user)

    def look_and_commit(pipe: Any) -> bytes:
        balance = _to_balance(pipe.get(keys.balance))
        full = pipe.llen(keys.history) >= HISTORY  # raises where the key is no list
        seconds, micros = pipe.time()
        if balance is None or balance < AMOUNT:
            return b"refused"
        pipe.multi()
        time_ms = seconds * 1000 + micros // 1000
        _commit(pipe, user, balance - AMOUNT, time_ms, "watch", full=full)
        return b"ok"

    def withdraw() -> Any:
        return client.transaction(look_and_commit, keys.balance, keys.history, value_from_callable=True)

    return withdraw


def _by_bare_watch(client: Any, user: str) -> Call:
    """The least that takes money by `transaction()`: no check of the history, the client's time."""
    keys = keys_of(user)

    def look_and_commit(pipe: Any) -> bytes:
        balance = int(pipe.get(keys.balance))
        if balance < AMOUNT:
            return b"refused"
        pipe.multi()
        _commit(pipe, user, balance - AMOUNT, time.time_ns() // 1_000_000, "watch", full=True)
        return b"ok"

    def withdraw() -> Any:
        return client.transaction(look_and_commit, keys.balance, value_from_callable=True)

    return withdraw


def _by_lock(client: Any, user: str) -> Call:
    """The same reads and writes under `Lock`, in one pipeline each."""
    keys = keys_of(user)
    lock = client.lock(keys.lock, timeout=LEASE, blocking_timeout=PATIENCE)

    def withdraw() -> bytes:
        try:
            with lock:
                look = client.pipeline(transaction=False)
                look.get(keys.balance)
                look.llen(keys.history)
                look.time()
                text, length, (seconds, micros) = look.execute()
                balance = _to_balance(text)
                if balance is None or balance < AMOUNT:
                    return b"refused"
                commit = client.pipeline()
                time_ms = seconds * 1000 + micros // 1000
                full = length >= HISTORY
                _commit(commit, user, balance - AMOUNT, time_ms, "lock", full=full)
                commit.execute()
                return b"ok"
        except LockError:
            return b"busy"

    return withdraw


def _by_bare_lock(client: Any, user: str) -> Call:
    """The least that takes money under `Lock`: the script, one round trip between two."""
    lock = client.lock(keys_of(user).lock, timeout=LEASE, blocking_timeout=PATIENCE)
    script = _by_script(client, user)

    def withdraw() -> Any:
        try:
            with lock:
                return script()
        except LockError:
            return b"busy"

    return withdraw


_STRATEGIES = {
    "lua": _by_script,
    "watch": _by_watch,
    "bare_watch": _by_bare_watch,
    "lock": _by_lock,
    "bare_lock": _by_bare_lock,
}


@contextlib.contextmanager
def blocking(job: Job) -> Iterator[Callable[[int], Call]]:
    """Calls for a thread or a greenlet, all on one client with its pool."""
    strategy = _STRATEGIES[job.options.get("strategy", "lua")]
    with redis.Redis.from_url(job.url) as client:
        yield lambda index: strategy(client, user_name(index % job.accounts))


@contextlib.asynccontextmanager
async def cooperative(job: Job) -> AsyncIterator[Callable[[int], Call]]:
    """Calls for tasks, all on one client with its pool.

    The pool queues callers beyond the connections it has; the default one refuses them, which an
    open loop meets whenever the machine pauses.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        job.url, max_connections=CONNECTIONS, timeout=QUEUE_SECONDS
    )
    async with redis.asyncio.Redis.from_pool(pool) as client:
        yield lambda index: _by_script(client, user_name(index % job.accounts))
