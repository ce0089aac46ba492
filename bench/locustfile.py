"""The same users on redis-py, on redislock and as its native swarm; BENCH_CLIENT says which.

`bench.locust_run` starts it. A listener opens the measured window once all users run, and leaves
the figures in the file that BENCH_RESULT names.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import gevent
import redis
from locust import User, events

from bench.loops import MOST_WINDOWS, cpu_seconds
from bench.redis_py import is_ok
from bench.work import AMOUNT, user_name, withdraw_command

WARMUP = float(os.environ.get("BENCH_WARMUP", "1"))
DURATION = float(os.environ.get("BENCH_DURATION", "3"))
RESULT = os.environ.get("BENCH_RESULT", "")
USER = user_name(0)
SECONDS_TO_SPAWN = 30
SECONDS_TO_DRAIN = 10
SLEEP = 0.02


class Gate:
    """Closed before the end of the run: Locust kills users in the midst of a call, and what
    becomes of those calls nobody can tell, so the books could not be checked."""

    closed = False
    inside = 0


def withdraw(user: Any) -> None:
    """The task, for both."""
    if Gate.closed:
        gevent.sleep(SLEEP)
        return
    Gate.inside += 1
    user.client.withdraw_lua(USER, AMOUNT)
    Gate.inside -= 1


class MeasuredRedis:
    """What a user of redis-py writes: a call, timed, and one event for it."""

    def __init__(self, environment: Any, client: Any) -> None:
        self._fire = environment.events.request.fire
        self._client = client
        _, self._sha, count, *self._words = withdraw_command(USER)
        self._count = int(count)

    def withdraw_lua(self, _user: str, _amount: int) -> None:
        begin = time.perf_counter()
        failure: Exception | None = None
        reply = None
        try:
            reply = self._client.evalsha(self._sha, self._count, *self._words)
            if not is_ok(reply):
                failure = RuntimeError(reply)
        except redis.RedisError as error:
            failure = error
        self._fire(
            request_type="redis",
            name="withdraw_lua",
            response_time=(time.perf_counter() - begin) * 1000,
            response_length=0,
            response=reply,
            context={},
            exception=failure,
        )


if os.environ.get("BENCH_CLIENT") == "redis-py":

    class RedisPyBuyer(User):
        """All users of the process share one client and its pool, as redislock's do."""

        tasks = [withdraw]  # noqa: RUF012  # as Locust declares it
        shared: ClassVar[Any] = None

        def __init__(self, environment: Any) -> None:
            super().__init__(environment)
            if RedisPyBuyer.shared is None:
                RedisPyBuyer.shared = redis.Redis.from_url(str(self.host))
            self.client = MeasuredRedis(environment, RedisPyBuyer.shared)

elif os.environ.get("BENCH_CLIENT") == "redislock swarm":
    from redislock.locust import RedisLockSwarmUser, Workload

    class RedisLockSwarm(RedisLockSwarmUser):
        @classmethod
        def workload(cls, environment: Any) -> Workload:
            del environment
            return Workload(user=USER, amount=AMOUNT)

else:
    from redislock.locust import RedisLockUser

    class RedisLockBuyer(RedisLockUser):
        tasks = [withdraw]  # noqa: RUF012


def until_reported(total: Any) -> None:
    """Wait for the next figures: a swarm has them once a second, all others at any moment."""
    before, give_up = total.num_requests, time.monotonic() + SECONDS_TO_DRAIN
    while total.num_requests == before and time.monotonic() < give_up:
        gevent.sleep(SLEEP)


def measure(environment: Any) -> None:
    """Wait for all users, then for the warm-up, and take the figures of the window."""
    wanted = environment.parsed_options.num_users
    give_up = time.monotonic() + SECONDS_TO_SPAWN
    while environment.runner.user_count < wanted and time.monotonic() < give_up:
        gevent.sleep(SLEEP)
    gevent.sleep(WARMUP)
    total = environment.stats.total
    until_reported(total)
    at, cpu, done = time.perf_counter(), cpu_seconds(), total.num_requests - total.num_failures
    for _ in range(MOST_WINDOWS):
        gevent.sleep(DURATION)
        until_reported(total)
        if total.num_requests - total.num_failures > done:
            break
    seconds, cpu = time.perf_counter() - at, cpu_seconds() - cpu
    done = total.num_requests - total.num_failures - done
    figures = {"rate": done / seconds, "cpu": cpu / max(1, done) * 1e6}

    Gate.closed = True
    give_up = time.monotonic() + SECONDS_TO_DRAIN
    while Gate.inside and time.monotonic() < give_up:
        gevent.sleep(SLEEP)

    def leave_figures(**_: Any) -> None:
        figures["ok"] = total.num_requests - total.num_failures
        Path(RESULT).write_text(json.dumps(figures), encoding="ascii")

    environment.events.quitting.add_listener(leave_figures)
    environment.runner.quit()


def watch(environment: Any, **_: Any) -> None:
    gevent.spawn(measure, environment)


events.test_start.add_listener(watch)  # type: ignore[no-untyped-call]
