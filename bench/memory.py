"""What redislock needs in memory: per operation in flight, and over millions of operations.

In flight means: asked for, and held by the server, which is stopped (SIGSTOP) meanwhile. The
bytes that the stalled socket does not take are therefore part of the figure, and so is the
allocator's own waste, since it is resident memory that is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import ours
from bench.job import Sample
from bench.loops import cpu_seconds, run_in_loop
from bench.work import AMOUNT, PREFIX, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.job import Job

TASKS = 64
LOOKS = 100
SETTLE = 0.3


def resident() -> int:
    """Bytes of this process that are in memory."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import psutil

    size: int = psutil.Process().memory_info().rss
    return size


def _settle() -> None:
    """Give back what is free, so that the next figure begins from nothing left over."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def stalled(pid: int) -> Iterator[None]:
    """The server takes no step."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def run_in_flight_core(job: Job) -> Sample:
    """Operations of the core alone, as every front end submits them, without tasks around them."""
    from redislock import _core

    options = _core.Options(job.url, [("timeout", str(ours.LONGEST_WAIT))])
    accounts = _core.Accounts(options, prefix=PREFIX, balance_key="", max_retries=10, **_RULES)
    driver = _core.LoopDriver(options)
    user = user_name(0)

    def submit(count: int) -> list[Any]:
        operations = [
            accounts.withdraw("lua", user, AMOUNT, None, None, None, None, None) for _ in range(count)
        ]
        for operation in operations:
            driver.submit(operation, operation)
        return operations

    def pump(seconds: float) -> list[Any]:
        ended, until = [], time.perf_counter() + seconds
        while driver.in_flight and time.perf_counter() < until:
            ended += [value for _, value, failed in driver.pump() if value and not failed]
            time.sleep(0.001)
        return ended

    def burst(count: int) -> tuple[int, int]:
        before = resident()
        with stalled(job.server_pid):
            operations = submit(count)
            early = len(pump(SETTLE))
            held = resident() - before
        operations.clear()
        return held, early + len(pump(ours.LONGEST_WAIT))

    submit(TASKS)
    warm = len(pump(ours.LONGEST_WAIT))
    _settle()
    held, ok = burst(job.operations)
    _settle()
    again, more = burst(job.operations)
    driver.close()
    return _in_flight_sample(job, warm + ok + more, held, again)


_RULES = {"history_limit": 1000, "idempotency_ttl": 86400.0, "lock_wait": 1.0, "lock_lease": 5.0}


def run_in_flight_asyncio(job: Job) -> Sample:
    """Tasks of asyncio, each of which awaits one withdrawal: what a program has in fact."""

    async def main() -> Sample:
        async with ours.cooperative(job) as make:
            call = make(0)

            async def burst(count: int) -> tuple[int, int]:
                before = resident()
                with stalled(job.server_pid):
                    tasks = [asyncio.ensure_future(call()) for _ in range(count)]
                    await asyncio.sleep(SETTLE)
                    held = resident() - before
                return held, sum(map(bool, await asyncio.gather(*tasks)))

            warm = sum(map(bool, await asyncio.gather(*[call() for _ in range(TASKS)])))
            _settle()
            bare = await _bare_tasks(job.operations)
            _settle()
            held, ok = await burst(job.operations)
            _settle()
            again, more = await burst(job.operations)
            sample = _in_flight_sample(job, warm + ok + more, held, again)
            sample.extra["of which asyncio's task and future"] = bare / job.operations
            return sample

    return run_in_loop(main, job)


async def _bare_tasks(count: int) -> int:
    """What as many tasks cost that await a future and know nothing of redislock."""
    loop = asyncio.get_running_loop()

    async def wait(future: asyncio.Future[None]) -> None:
        await future

    before = resident()
    futures = [loop.create_future() for _ in range(count)]
    tasks = [asyncio.ensure_future(wait(future)) for future in futures]
    await asyncio.sleep(0.01)
    held = resident() - before
    for future in futures:
        future.set_result(None)
    await asyncio.gather(*tasks)
    return held


def _in_flight_sample(job: Job, ok: int, first: int, again: int) -> Sample:
    return Sample(
        ok=ok,
        bytes_per_operation=max(first, again) / job.operations,
        extra={"operations": job.operations, "first": first, "again": again},
    )


class Growth:
    """Resident memory, looked at a hundred times. The first tenth of the run is warm-up."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def look(self) -> None:
        self.sizes.append(resident())

    def sample(self, ok: int, seconds: float, cpu: float) -> Sample:
        warm = self.sizes[len(self.sizes) // 10]
        return Sample(
            ok=ok,
            rate=ok / seconds,
            cpu=cpu / ok * 1e6,
            growth=float(self.sizes[-1] - warm),
            extra={"resident": self.sizes[:: max(1, len(self.sizes) // 20)]},
        )


def run_flat_asyncio(job: Job) -> Sample:
    """Millions of operations by tasks, each through the bindings and asyncio."""

    async def main() -> Sample:
        async with ours.cooperative(job) as make:
            call = make(0)
            growth = Growth()

            async def user(count: int) -> int:
                return sum([bool(await call()) for _ in range(count)])

            share = job.operations // (TASKS * LOOKS)
            ok, at, cpu = 0, time.perf_counter(), cpu_seconds()
            for _ in range(LOOKS):
                ok += sum(await asyncio.gather(*[user(share) for _ in range(TASKS)]))
                growth.look()
            return growth.sample(ok, time.perf_counter() - at, cpu_seconds() - cpu)

    return run_in_loop(main, job)


def run_flat_native(job: Job) -> Sample:
    """Millions of operations by the load generator."""
    generator = ours.make_generator(job.url, job, count=job.operations)
    growth = Growth()
    at, cpu = time.perf_counter(), cpu_seconds()
    look_at = 0.0
    while generator.step(0.02):
        if generator.snapshot()["progress"] >= look_at:
            growth.look()
            look_at += 1 / LOOKS
    report = ours.finish(generator)
    taken = sum(account["taken_count"] for account in report["accounts"])
    return growth.sample(taken, time.perf_counter() - at, cpu_seconds() - cpu)
