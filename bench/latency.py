"""An open loop: calls begin at a fixed rate, whether or not earlier ones have ended.

Latency counts from the moment a call was meant to begin, so that a client which falls behind
cannot hide it. The pace comes from a kernel timer where there is one (Linux): asyncio's own clock
rounds to whole milliseconds, and turning in circles would take the core from clients that have
threads of their own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.job import Sample
from bench.loops import cpu_seconds, run_in_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.job import Job

BILLION = 1_000_000_000
TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
FALLBACK_TICK = 0.001


class Pace:
    """Calls back whenever a call is due, possibly several at once."""

    def __init__(self, interval: float, tick: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._tick = tick
        self._timer: int | None = None
        self._handle: asyncio.TimerHandle | None = None
        if sys.platform == "linux":
            self._timer = _periodic_timer(interval)
            self._loop.add_reader(self._timer, self._on_timer)
        else:
            self._on_fallback()

    def _on_timer(self) -> None:
        assert self._timer is not None
        os.read(self._timer, 8)
        self._tick()

    def _on_fallback(self) -> None:
        self._tick()
        self._handle = self._loop.call_later(FALLBACK_TICK, self._on_fallback)

    def stop(self) -> None:
        if self._timer is not None:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
        if self._handle is not None:
            self._handle.cancel()


def _periodic_timer(interval: float) -> int:
    """A timerfd that becomes readable every `interval` seconds (`os` has them from 3.13 on)."""
    libc = ctypes.CDLL(None, use_errno=True)
    timer: int = libc.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK_CLOEXEC)
    if timer < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    each = divmod(round(interval * BILLION), BILLION)
    if libc.timerfd_settime(timer, 0, struct.pack("@4l", *each, *each), None) != 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")
    return timer


class OpenLoop:
    """Begins calls at their time and keeps how late each one ended."""

    def __init__(self, call: Callable[[], Any], is_ok: Callable[[Any], bool], job: Job) -> None:
        self._call = call
        self._is_ok = is_ok
        self._interval = 1 / job.rate
        self._warm = round(job.rate * job.warmup)
        self._wanted = self._warm + round(job.rate * job.duration)
        self._begun = 0
        self._from = 0.0
        self._cpu = 0.0
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.latencies: list[float] = []
        self.ok = 0
        self.over = asyncio.Event()

    def tick(self) -> None:
        """Begin all that is due."""
        now = time.perf_counter()
        if not self._begun:
            self._from = now
        while self._begun < self._wanted:
            due = self._from + self._begun * self._interval
            if due > now:
                return
            task = asyncio.ensure_future(self._one(due, self._begun >= self._warm))
            self._tasks.add(task)
            task.add_done_callback(self._forget)
            self._begun += 1
            if self._begun == self._warm:
                self._cpu = cpu_seconds()
        self.over.set()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self.over.set()

    async def _one(self, due: float, measured: bool) -> None:
        reply = await self._call()
        if measured:
            self.latencies.append(time.perf_counter() - due)
        self.ok += self._is_ok(reply)

    async def finish(self) -> Sample:
        """Wait for the calls that have not ended; the figures."""
        if self._tasks:
            await asyncio.wait_for(asyncio.gather(*self._tasks), 60)
        if self._failure is not None:
            raise self._failure
        cpu = (cpu_seconds() - self._cpu) / len(self.latencies) * 1e6
        took = sorted(self.latencies)
        p50, p99 = (took[int(len(took) * share)] for share in (0.50, 0.99))
        return Sample(ok=self.ok, cpu=cpu, p50=p50, p99=p99, extra={"max": took[-1]})


def run_latency(family: Any, job: Job) -> Sample:
    """One open loop on one client."""

    async def main() -> Sample:
        async with family.cooperative(job) as make:
            call = make(0)
            first = family.is_ok(await call())
            loop = OpenLoop(call, family.is_ok, job)
            pace = Pace(1 / job.rate, loop.tick)
            try:
                await asyncio.wait_for(loop.over.wait(), job.warmup + job.duration + 60)
            finally:
                pace.stop()
            sample = await loop.finish()
            sample.ok += first
            return sample

    return run_in_loop(main, job)
