"""Closed loops: users who begin the next call when the last one has ended, and a measured window.

The same for every contestant: a family gives a call and a test for its answer, and nothing else
of a client is known here.
"""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from typing import TYPE_CHECKING, Any

from bench.job import Sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from bench.job import Job

    Call = Callable[[], Any]
    IsOk = Callable[[Any], bool]

CALLS_BETWEEN_LOOKS = 32
MOST_WINDOWS = 100  # one is enough, unless nothing at all has ended in it


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """User and system time so far, of this process or of its children."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


class Tally:
    """What the users of a run have counted, and where its measured window begins and ends."""

    def __init__(self, users: int) -> None:
        self.ok = [0] * users
        self.refused = [0] * users
        self.stopped = False
        self._from = (0.0, 0.0, 0, 0)
        self._until = (0.0, 0.0, 0, 0)

    def _look(self) -> tuple[float, float, int, int]:
        return time.perf_counter(), cpu_seconds(), sum(self.ok), sum(self.refused)

    def begin(self) -> None:
        """The warm-up is over."""
        self._from = self._look()

    def idle(self) -> bool:
        """Whether nothing has ended yet in the measured window: it may be short, or others busy."""
        return sum(self.ok) == self._from[2]

    def end(self) -> None:
        """The measured window is over; users stop after their call."""
        self._until = self._look()
        self.stopped = True

    def sample(self) -> Sample:
        """The figures, once all users have stopped."""
        seconds, cpu, ok, refused = (b - a for a, b in zip(self._from, self._until, strict=True))
        return Sample(
            ok=sum(self.ok),
            rate=ok / seconds,
            cpu=cpu / ok * 1e6 if ok else None,
            refused=int(refused),
        )


def user_loop(call: Call, is_ok: IsOk, index: int, tally: Tally) -> None:
    """One blocking user."""
    ok, refused = tally.ok, tally.refused
    while not tally.stopped:
        if is_ok(call()):
            ok[index] += 1
        else:
            refused[index] += 1


async def async_user_loop(call: Call, is_ok: IsOk, index: int, tally: Tally) -> None:
    """One user of asyncio."""
    ok, refused = tally.ok, tally.refused
    while not tally.stopped:
        if is_ok(await call()):
            ok[index] += 1
        else:
            refused[index] += 1


def run_sync(make: Callable[[int], Call], is_ok: IsOk, job: Job) -> Sample:
    """One user, in the main thread, with no other thread beside it."""
    tally = Tally(1)
    call, ok, refused = make(0), tally.ok, tally.refused

    def run_for(seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for _ in range(CALLS_BETWEEN_LOOKS):
                if is_ok(call()):
                    ok[0] += 1
                else:
                    refused[0] += 1

    run_for(job.warmup)
    tally.begin()
    for _ in range(MOST_WINDOWS):
        run_for(job.duration)
        if not tally.idle():
            break
    tally.end()
    return tally.sample()


def run_threads(make: Callable[[int], Call], is_ok: IsOk, job: Job) -> Sample:
    """As many threads as users."""
    tally = Tally(job.users)
    threads = [
        threading.Thread(target=user_loop, args=(make(index), is_ok, index, tally), daemon=True)
        for index in range(job.users)
    ]
    for thread in threads:
        thread.start()
    time.sleep(job.warmup)
    tally.begin()
    for _ in range(MOST_WINDOWS):
        time.sleep(job.duration)
        if not tally.idle():
            break
    tally.end()
    for thread in threads:
        thread.join(30)
    if any(thread.is_alive() for thread in threads):
        raise RuntimeError("a thread did not come back")
    return tally.sample()


def run_gevent(make: Callable[[int], Call], is_ok: IsOk, job: Job) -> Sample:
    """As many greenlets as users."""
    import gevent

    tally = Tally(job.users)
    users = [gevent.spawn(user_loop, make(index), is_ok, index, tally) for index in range(job.users)]
    gevent.sleep(job.warmup)
    tally.begin()
    for _ in range(MOST_WINDOWS):
        gevent.sleep(job.duration)
        if not tally.idle():
            break
    tally.end()
    gevent.joinall(users, timeout=30, raise_error=True)
    if not all(user.dead for user in users):
        raise RuntimeError("a greenlet did not come back")
    return tally.sample()


def run_asyncio(
    family: Callable[[Job], AbstractAsyncContextManager[Callable[[int], Call]]],
    is_ok: IsOk,
    job: Job,
) -> Sample:
    """As many tasks as users, in asyncio's loop or uvloop's."""

    async def main() -> Sample:
        async with family(job) as make:
            tally = Tally(job.users)
            users = [
                asyncio.ensure_future(async_user_loop(make(index), is_ok, index, tally))
                for index in range(job.users)
            ]
            await asyncio.sleep(job.warmup)
            tally.begin()
            for _ in range(MOST_WINDOWS):
                await asyncio.sleep(job.duration)
                if not tally.idle():
                    break
            tally.end()
            await asyncio.wait_for(asyncio.gather(*users), 30)
            return tally.sample()

    return run_in_loop(main, job)


def run_in_loop(main: Callable[[], Any], job: Job) -> Sample:
    """Run a coroutine function in a fresh event loop of the kind that the job names."""
    if job.options.get("uvloop"):
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        sample: Sample = loop.run_until_complete(main())
        return sample
    finally:
        loop.close()
