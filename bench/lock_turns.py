"""Processes that all want one lock, which each of them holds for a millisecond, and waits.

What is held is shared memory with a counter, that each holder reads before and writes after its
millisecond: had two of them been in there at once, the counter would miss a turn.
"""

from __future__ import annotations

import dataclasses
import mmap
import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from bench import lock_makers, work
from bench.job import Sample
from bench.loops import cpu_seconds

if TYPE_CHECKING:
    from bench.job import Job

HOLD: Final = 0.001
NAME: Final = "bench:lock"
LONGEST_START: Final = 60.0


@dataclasses.dataclass
class _Seen:
    """What one process has seen. Waits and turns of the measured window, but for `all_turns`."""

    turns: int = 0
    all_turns: int = 0
    held: float = 0.0
    cpu: float = 0.0
    waits: list[float] = dataclasses.field(default_factory=list)


class _NoLock:
    """Of a process that is alone."""

    def acquire(self) -> None:
        pass

    def release(self) -> None:
        pass


def _take_turns(lock: Any, counter: memoryview, begin: float, end: float) -> _Seen:
    seen, cpu = _Seen(), 0.0
    clock, sleep = time.monotonic, time.sleep
    now = clock()
    while now < end:
        asked = clock()
        lock.acquire()
        got = clock()
        count = counter[0]
        sleep(HOLD)
        counter[0] = count + 1
        left = clock()
        lock.release()
        now = clock()
        seen.all_turns += 1
        if now < begin:
            cpu = cpu_seconds()
            continue
        # A wait that outlasts the window counts as well: it may be the longest.
        seen.waits.append(got - asked)
        if now < end:
            seen.turns += 1
            seen.held += left - got
            seen.cpu = cpu_seconds() - cpu
    return seen


def _sample(job: Job, told: list[_Seen]) -> Sample:
    turns = [each.turns for each in told]
    total = sum(turns)
    waits = sorted(wait for each in told for wait in each.waits)
    held = sum(each.held for each in told)
    if not total:
        raise RuntimeError("nobody had a turn within the measured window")
    return Sample(
        ok=sum(each.all_turns for each in told),
        rate=total / job.duration,
        cpu=sum(each.cpu for each in told) / total * 1e6,
        p50=statistics.median(waits),
        p99=waits[int(len(waits) * 0.99)],
        spread=max(turns) / max(1, min(turns)),
        longest=waits[-1] / statistics.median(waits),
        extra={"turns": turns, "longest_seconds": waits[-1], "held_each": held / total},
    )


def run_alone(job: Job) -> Sample:
    """The ideal: one process, no lock, and a millisecond a turn as this machine measures it."""
    begin = time.monotonic() + job.warmup
    counter = memoryview(bytearray(8)).cast("Q")
    seen = _take_turns(_NoLock(), counter, begin, begin + job.duration)
    return Sample(ok=seen.all_turns, rate=seen.turns / seen.held, extra={"held_each": seen.held / seen.turns})


def run_turns(job: Job) -> Sample:
    """As many processes as users, each with a client of its own."""
    context = multiprocessing.get_context("fork")  # before any client was made
    gate = context.Barrier(job.users)
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    counter = memoryview(shared).cast("Q")

    def run(tell: Any) -> None:
        with lock_makers.blocking(job) as make:
            lock = make(NAME)
            lock.acquire()  # connects, and loads what it needs
            lock.release()
            gate.wait(LONGEST_START)
            begin = time.monotonic() + job.warmup
            tell.send(_take_turns(lock, counter, begin, begin + job.duration))

    pipes = [context.Pipe(duplex=False) for _ in range(job.users)]
    workers = [context.Process(target=run, args=(tell,)) for _, tell in pipes]
    for each in workers:
        each.start()
    for _, tell in pipes:
        tell.close()  # so that the end of a process is seen, also of one that has said nothing
    told = [hear.recv() for hear, _ in pipes]
    for each in workers:
        each.join(LONGEST_START)
    if counter[0] != sum(each.all_turns for each in told):
        raise work.BooksError(
            f"{sum(each.all_turns for each in told)} turns were taken, and {counter[0]} counted: "
            "two processes held the lock at once"
        )
    return _sample(job, told)
