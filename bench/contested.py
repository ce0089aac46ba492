"""The contestants of `python -m bench.attempts`: `watch` on one account, by each way to call it.

Every way counts the attempts of all its calls. The last one, threads that wait for each other
outside of redislock, shows what a front end would look like that serializes its callers.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import redislock
from bench import loops, ours
from bench.job import Sample
from bench.work import AMOUNT, PREFIX, user_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bench.job import Job

USER: Final = user_name(0)
LONGEST_START: Final = 60.0


class _Attempts:
    """Adds up what results tell; also from several threads, where only appending is atomic."""

    def __init__(self) -> None:
        self.each: list[int] = []

    def note(self, result: redislock.Result) -> bool:
        self.each.append(result.attempts)
        return bool(result)

    def into(self, sample: Sample) -> Sample:
        sample.extra["attempts"] = sum(self.each)
        return sample


def _settings(job: Job) -> dict[str, Any]:
    return {"prefix": PREFIX, "timeout": ours.LONGEST_WAIT, "max_retries": job.options["retries"]}


def _run_blocking(job: Job, run: Callable[..., Sample], mutex: threading.Lock | None = None) -> Sample:
    seen = _Attempts()
    with redislock.Client(job.url, **_settings(job)) as client:

        def call() -> Any:
            if mutex is None:
                return client.withdraw_watch(USER, AMOUNT)
            with mutex:
                return client.withdraw_watch(USER, AMOUNT)

        return seen.into(run(lambda _: call, seen.note, job))


def _threads(job: Job) -> Sample:
    return _run_blocking(job, loops.run_threads)


def _one_at_a_time(job: Job) -> Sample:
    return _run_blocking(job, loops.run_threads, threading.Lock())


def _gevent(job: Job) -> Sample:
    return _run_blocking(job, loops.run_gevent)


@contextlib.asynccontextmanager
async def _cooperative(job: Job) -> AsyncIterator[Callable[[int], Any]]:
    import redislock.asyncio

    async with redislock.asyncio.Client(job.url, **_settings(job)) as client:
        yield lambda _: functools.partial(client.withdraw_watch, USER, AMOUNT)


def _asyncio(job: Job) -> Sample:
    seen = _Attempts()
    return seen.into(loops.run_asyncio(_cooperative, seen.note, job))


def _native(job: Job) -> Sample:
    generator = ours.make_generator(job.url, job, strategy="watch", max_retries=job.options["retries"])
    ours.step_for(generator, job.warmup + job.duration)
    report = ours.finish(generator)
    generator.close()
    ok = report["statuses"].get("ok", 0)
    extra = {"attempts": report["attempts"]}
    return Sample(ok=ok, rate=ok / (job.warmup + job.duration), extra=extra)


def _processes(job: Job) -> Sample:
    """As many processes as users, each with a client and a caller of its own."""
    context = multiprocessing.get_context("fork")  # before any client was made
    gate, answers = context.Barrier(job.users), context.SimpleQueue()
    seconds = job.warmup + job.duration

    def work() -> None:
        seen = _Attempts()
        ok = 0
        with redislock.Client(job.url, **_settings(job)) as client:
            client.balance(USER)
            gate.wait(LONGEST_START)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                ok += seen.note(client.withdraw_watch(USER, AMOUNT))
        answers.put((ok, sum(seen.each)))

    workers = [context.Process(target=work) for _ in range(job.users)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(LONGEST_START + seconds)
    if any(each.exitcode != 0 for each in workers):
        raise RuntimeError("a process did not come back")
    told = [answers.get() for _ in workers]
    ok = sum(each for each, _ in told)
    return Sample(ok=ok, rate=ok / seconds, extra={"attempts": sum(each for _, each in told)})


_WAYS: Final = {
    "processes": _processes,
    "threads": _threads,
    "asyncio": _asyncio,
    "gevent": _gevent,
    "native": _native,
    "one at a time": _one_at_a_time,
}


def run_contested(job: Job) -> Sample:
    """Run one way."""
    return _WAYS[job.options["way"]](job)
