"""A thousand greenlets that wait for one lock, and ten thousand locks that are renewed.

What is measured is what they cost while nothing happens: connections and subscriptions, as the server
counts them, and processor time.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from bench import lock_makers
from bench.job import Sample
from bench.loops import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.job import Job

LONGEST_DRAIN: Final = 60
SETTLE: Final = 1.0  # at least, between the last caller's first step and the measured window


@contextlib.contextmanager
def _observer(job: Job) -> Iterator[Any]:
    """A connection that sees what the server has of others."""
    import redis

    with redis.Redis.from_url(job.url, single_connection_client=True) as server:
        yield server


def _subscriptions(server: Any) -> int:
    return sum(count for _, count in server.pubsub_numsub(*server.pubsub_channels()))


def _connections(server: Any) -> int:
    return len(server.client_list())


def run_waiting(job: Job) -> Sample:
    """As many greenlets as operations, each with a lock object of its own for the one name."""
    import gevent

    got: list[float] = []
    begun = [0]

    with _observer(job) as server:
        before = _connections(server)
        with lock_makers.blocking(job) as make:

            def wait() -> None:
                lock = make("bench:lock")
                begun[0] += 1
                lock.acquire()
                got.append(time.monotonic())
                lock.release()

            held = make("bench:lock")
            held.acquire()
            users = [gevent.spawn(wait) for _ in range(job.operations)]
            while begun[0] < job.operations:
                gevent.sleep(0.01)
            gevent.sleep(max(SETTLE, job.warmup))
            at, cpu = time.monotonic(), cpu_seconds()
            gevent.sleep(job.duration)
            load = (cpu_seconds() - cpu) / (time.monotonic() - at)
            subscriptions, connections = _subscriptions(server), _connections(server) - before
            early = len(got)
            released = time.monotonic()
            held.release()
            if job.options.get("polls"):  # a crowd of them keeps each holder from giving it back
                gevent.killall(users)
            else:
                gevent.joinall(users, timeout=LONGEST_DRAIN, raise_error=True)
    if early or (len(got) != job.operations and not job.options.get("polls")):
        raise RuntimeError(f"{early} got a lock that was held, and {len(got)} of {job.operations} in all")
    return Sample(
        ok=len(got),
        load=load,
        subscriptions=subscriptions,
        connections=connections,
        extra={"drained_in": got[-1] - released} if got else {},
    )


def _calls(server: Any) -> tuple[int, int]:
    """Scripts that were called, and leases that scripts set."""
    seen = server.info("commandstats")
    scripts = sum(seen.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))
    return scripts, seen.get("cmdstat_pexpire", {}).get("calls", 0)


def run_renewed(job: Job) -> Sample:
    """As many locks as operations, held by one thread, over two renewals of each."""
    with _observer(job) as server, lock_makers.blocking(job) as make:
        locks = [make(f"bench:lock:{index}") for index in range(job.operations)]
        at = time.monotonic()
        for lock in locks:
            lock.acquire()
        taken_in = time.monotonic() - at
        time.sleep(job.lease / 30)
        (scripts, leases), at, cpu = _calls(server), time.monotonic(), cpu_seconds()
        time.sleep(job.lease * 2 / 3)
        load = (cpu_seconds() - cpu) / (time.monotonic() - at)
        calls, renewals = (now - then for now, then in zip(_calls(server), (scripts, leases), strict=True))
        lost = sum(lock.lost.is_set() for lock in locks)
        for lock in locks:
            lock.release()
    if lost or renewals < job.operations:
        raise RuntimeError(f"{renewals} renewals of {job.operations} locks, and {lost} lost")
    return Sample(
        ok=len(locks),
        load=load,
        batch=renewals / calls,
        extra={"renewals": renewals, "script_calls": calls, "taken_in": taken_in},
    )
