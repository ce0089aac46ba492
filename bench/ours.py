"""The contestant redislock: its public clients, its native load generator, its memory server."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from typing import TYPE_CHECKING, Any

import redislock
from bench.job import Sample
from bench.loops import MOST_WINDOWS, cpu_seconds
from bench.work import AMOUNT, PREFIX, user_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.job import Job

LONGEST_WAIT = 60.0
SLICE = 0.05

is_ok = bool  # a result is true for ok only


def _call_maker(client: Any, job: Job) -> Callable[[int], Callable[[], Any]]:
    withdraw = getattr(client, f"withdraw_{job.options.get('strategy', 'lua')}")
    if job.options.get("idempotency_key"):
        numbers = itertools.count()

        def make(index: int) -> Callable[[], Any]:
            user = user_name(index % job.accounts)
            return lambda: withdraw(user, AMOUNT, idempotency_key=f"request-{next(numbers)}")

        return make
    return lambda index: functools.partial(withdraw, user_name(index % job.accounts), AMOUNT)


@contextlib.contextmanager
def blocking(job: Job) -> Iterator[Callable[[int], Callable[[], Any]]]:
    """Calls for a thread or a greenlet, all on one client."""
    with redislock.Client(job.url, prefix=PREFIX, timeout=LONGEST_WAIT) as client:
        yield _call_maker(client, job)


@contextlib.asynccontextmanager
async def cooperative(job: Job) -> AsyncIterator[Callable[[int], Callable[[], Any]]]:
    """Calls for tasks, all on one client."""
    import redislock.asyncio

    async with redislock.asyncio.Client(job.url, prefix=PREFIX, timeout=LONGEST_WAIT) as client:
        yield _call_maker(client, job)


def make_generator(url: str, job: Job, **settings: Any) -> Any:
    """The native load generator on the first accounts; it runs until it is stopped."""
    from redislock import _core

    given = {
        "prefix": PREFIX,
        "accounts": [user_name(index) for index in range(job.accounts)],
        "strategy": job.options.get("strategy", "lua"),
        "users": job.users,
        "keys": "hot",
        "amount": AMOUNT,
        "jitter": 0,
        "warmup": 0,
        "duration": 3600,
        "count": None,
        "seed": 1,
    }
    timeout = str(LONGEST_WAIT)
    return _core.LoadGenerator(_core.Options(url, [("timeout", timeout)]), **{**given, **settings})


def step_for(generator: Any, seconds: float) -> None:
    """Let the generator run for about this long, in slices."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0 and generator.step(min(left, SLICE)):
        pass


def finish(generator: Any) -> dict[str, Any]:
    """Let what is under way end, and return the report."""
    generator.stop()
    step_for(generator, 30)
    report: dict[str, Any] = generator.report()
    if report["fatal"] is not None:
        raise report["fatal"]
    return report


def _withdrawn(generator: Any) -> int:
    done: int = generator.snapshot()["statuses"].get("ok", 0)
    return done


def _run_generator(url: str, job: Job) -> Sample:
    generator = make_generator(url, job)
    step_for(generator, job.warmup)
    at, cpu, before = time.perf_counter(), cpu_seconds(), _withdrawn(generator)
    done = 0
    for _ in range(MOST_WINDOWS):
        step_for(generator, job.duration)
        if (done := _withdrawn(generator) - before) > 0:
            break
    seconds, cpu = time.perf_counter() - at, cpu_seconds() - cpu
    report = finish(generator)
    taken = sum(account["taken_count"] for account in report["accounts"])
    generator.close()
    return Sample(ok=taken, rate=done / seconds, cpu=cpu / done * 1e6)


def run_native(job: Job) -> Sample:
    """The load generator on the server."""
    return _run_generator(job.url, job)


def run_memory(job: Job) -> Sample:
    """The load generator on memory://: client and server on one core, in one process."""
    url = "memory://bench"
    with redislock.Client(url, prefix=PREFIX) as client:
        before = 10**15
        client.init(user_name(0), before)
        sample = _run_generator(url, job)
        if client.balance(user_name(0)) != before - AMOUNT * sample.ok:
            raise RuntimeError("the books of memory:// do not balance")
    sample.ok = 0  # nothing was taken from the server
    return sample
