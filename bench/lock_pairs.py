"""Locks that nobody else wants: taken and given back, over and over, each user with a lock of its own."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from bench import lock_makers
from bench.job import Sample
from bench.loops import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.job import Job

    Call = Callable[[], Any]

PAIRS_BETWEEN_LOOKS: Final = 1000

is_ok = bool  # `acquire` says whether the lock was taken


def _pair(lock: Any) -> Call:
    acquire, release = lock.acquire, lock.release

    def call() -> Any:
        taken = acquire()
        release()
        return taken

    return call


def _awaited_pair(lock: Any) -> Call:
    acquire, release = lock.acquire, lock.release

    async def call() -> Any:
        taken = await acquire()
        await release()
        return taken

    return call


@contextlib.contextmanager
def blocking(job: Job) -> Iterator[Callable[[int], Call]]:
    """Calls for a thread or a greenlet."""
    with lock_makers.blocking(job) as make:
        yield lambda index: _pair(make(f"bench:lock:{index}"))


@contextlib.asynccontextmanager
async def cooperative(job: Job) -> AsyncIterator[Callable[[int], Call]]:
    """Calls for tasks."""
    async with lock_makers.cooperative(job) as make:
        yield lambda index: _awaited_pair(make(f"bench:lock:{index}"))


def run_with(job: Job) -> Sample:
    """One thread and `with`, with nothing around it: where a pair may take less than a call in Python."""
    with lock_makers.blocking(job) as make:
        lock = make("bench:lock")

        def run_for(seconds: float) -> int:
            looks, until = 0, time.perf_counter() + seconds
            while time.perf_counter() < until:
                looks += 1
                for _ in range(PAIRS_BETWEEN_LOOKS):
                    with lock:
                        pass
            return looks * PAIRS_BETWEEN_LOOKS

        before = run_for(job.warmup)
        at, cpu = time.perf_counter(), cpu_seconds()
        pairs = run_for(job.duration)
        seconds, cpu = time.perf_counter() - at, cpu_seconds() - cpu
        return Sample(ok=before + pairs, rate=pairs / seconds, cpu=cpu / pairs * 1e6)
