"""A Locust user whose withdrawals are made by the native load generator: `RedisLockSwarmUser`.

Each user stands for one withdrawal in flight. A worker has one generator for all its users of a
class, in a thread that needs the GIL for a moment every 20 ms; what it counted goes into Locust's
statistics, and into the books, every second.
"""

from __future__ import annotations

import secrets
from collections import deque
from time import monotonic, time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gevent
import gevent.threadpool
import locust
import locust.stats
from locust.stats import StatsEntry, StatsError

from redislock import _core
from redislock._settings import environment_prefix, environment_retries
from redislock.locust.measured import REQUEST_TYPE, refusal_of
from redislock.locust.outcomes import ERROR, UNKNOWN
from redislock.locust.run import run_of
from redislock.locust.user import RedisLockUser
from redislock.locust.workload import Workload, client_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.env import Environment

    import redislock

__all__ = ["RedisLockSwarmUser"]

_STEP: Final = 0.02  # seconds; stopped and new users are heeded in between
_INTERVAL: Final = 1.0  # seconds between two reports
_FOR_EVER: Final = 1e8  # seconds: the users decide how long
_MAYBE_APPLIED: Final = ("outcome_unknown", "protocol")


class RedisLockSwarmUser(RedisLockUser):
    """One withdrawal in flight, begun anew as soon as it has ended, without Python in between.

    A run with a hundred of them has a hundred in flight; users that are stopped or spawned change
    that. No task is needed, and no request event fires: results go to the statistics in bulk. A
    withdrawal under way when its user is stopped is awaited and counted.
    """

    abstract = True

    strategy: ClassVar[str] = "lua"
    """How they withdraw: lua, lock, watch or naive."""
    keys: ClassVar[str] = "hot"
    """How they choose one of the `accounts`: hot (always the first), uniform or zipf."""

    # Stopped while it waits, a user is gone at once, also where Locust stops gently.
    wait_time = locust.constant(_FOR_EVER)
    tasks = []  # noqa: RUF012  # as Locust declares it; filled below

    @classmethod
    def workload(cls, environment: Environment) -> Workload:
        """Return what they withdraw; by default, what the arguments say."""
        return Workload.of(environment)

    @classmethod
    def accounts(cls, environment: Environment) -> Mapping[str, int | None]:
        """Return the accounts to withdraw from, and what each starts with; at least one."""
        return cls.workload(environment).accounts()

    @classmethod
    def check_settings(cls, environment: Environment) -> None:
        """Raise ValueError or TypeError for what this class says and cannot work; asks no server."""
        super().check_settings(environment)
        with cls.make_client(environment) as client:
            accounts = [str(each) for each in cls.accounts(environment)]
            _make_generator(cls, environment, client, accounts).close()

    def on_start(self) -> None:
        """Be one more."""
        self._swarm = _swarm_of(self)
        self._swarm.users.add(self)

    def on_stop(self) -> None:
        """Be one less."""
        self._swarm.users.discard(self)
        super().on_stop()


def _stay(_: RedisLockSwarmUser) -> None:
    """Do nothing: the generator does it all."""


RedisLockSwarmUser.tasks.append(_stay)


class _Swarm:
    """The generator for all users of one class in this process."""

    def __init__(self, user: RedisLockSwarmUser) -> None:
        environment = user.environment
        self.users: set[RedisLockSwarmUser] = set()
        self._environment = environment
        self._owner = type(user).__name__
        self._name = f"withdraw_{user.strategy}"
        self._failures = frozenset(user.failure_statuses)
        self._accounts = [str(each) for each in user.accounts(environment)]
        # The very server of the client.
        self._generator = _make_generator(type(user), environment, user._shared.client, self._accounts)  # noqa: SLF001
        self._pieces: deque[dict[str, Any]] = deque()
        self._stopping = False
        # A real thread: the generator keeps it, and Locust's greenlets go on.
        self._pool = gevent.threadpool.ThreadPool(1)
        self._running = self._pool.spawn(self._drive)
        self._reporter = gevent.spawn(self._report)

    def stop(self) -> None:
        """Await what is under way, and count it."""
        self._stopping = True
        try:
            self._running.get()
        finally:
            self._reporter.kill()
            self._flush()
            self._pool.kill()
            self._generator.close()

    def _drive(self) -> None:
        """Run in the thread, the only place that touches the generator."""
        generator = self._generator
        more, next_at = True, monotonic() + _INTERVAL
        while more:
            if self._stopping:
                generator.stop()
            else:
                generator.set_users(len(self.users))
            more = generator.step(_STEP)
            if not more or monotonic() >= next_at:
                self._pieces.append(generator.take())
                next_at += _INTERVAL

    def _report(self) -> None:
        while True:
            gevent.sleep(_INTERVAL / 4)
            self._flush()

    def _flush(self) -> None:
        while self._pieces:
            piece = self._pieces.popleft()
            statuses, faults = piece["statuses"], piece["faults"]
            counts = dict(statuses)
            for kind, seen in faults.items():
                word = UNKNOWN if kind in _MAYBE_APPLIED else ERROR
                counts[word] = counts.get(word, 0) + seen["count"]
            if not counts:
                continue
            recorder = run_of(self._environment).recorder
            recorder.add(self._name, counts, piece["latency"])
            for account, money in zip(self._accounts, piece["accounts"], strict=True):
                if money["taken_count"] or money["unknown_count"]:
                    done = recorder.money(self._owner, account)
                    done.ok += money["taken"]
                    done.unknown += money["unknown"]
                    done.unknown_count += money["unknown_count"]
            self._log(counts, piece)

    def _log(self, counts: dict[str, int], piece: dict[str, Any]) -> None:
        """Enter all of it into Locust's statistics, as if it had been logged one by one."""
        failed: dict[str, tuple[Exception | str, int]] = {
            status: (refusal_of(status), number)
            for status, number in piece["statuses"].items()
            if status in self._failures
        }
        for kind, seen in piece["faults"].items():
            failed[kind] = (f"{kind}: {seen['first']}", seen["count"])
        stats = self._environment.stats
        for error, number in failed.values():
            key = StatsError.create_key(REQUEST_TYPE, self._name, error)
            entry = stats.errors.setdefault(key, StatsError(REQUEST_TYPE, self._name, error))
            entry.occurrences += number - 1
            entry.occurred()
        latency = _core.Histogram()
        latency.merge(piece["latency"])
        failures = sum(number for _, number in failed.values())
        bulk = _make_entry(stats, self._name, sum(counts.values()), failures, latency)
        stats.entries[self._name, REQUEST_TYPE].extend(bulk)
        stats.total.extend(bulk)


def _make_generator(
    user: type[RedisLockSwarmUser], environment: Environment, client: redislock.Client, accounts: list[str]
) -> _core.LoadGenerator:
    work = user.workload(environment)
    options = {**client_options(environment), **user.client_options}
    given = {name: options[name] for name in ("history_limit", "lock_wait", "lock_lease") if name in options}
    return _core.LoadGenerator(
        client._options,  # noqa: SLF001  # its very server
        prefix=options.get("prefix", environment_prefix()),
        accounts=accounts,
        strategy=user.strategy,
        users=1,
        keys=user.keys,
        amount=work.amount,
        jitter=work.jitter,
        warmup=0,
        duration=_FOR_EVER,
        count=None,
        seed=secrets.randbits(64),
        max_retries=options.get("max_retries", environment_retries()),
        **given,
    )


def _make_entry(
    stats: locust.stats.RequestStats, name: str, number: int, failures: int, latency: _core.Histogram
) -> StatsEntry:
    summary, now = latency.summary(), time()
    entry = StatsEntry(stats, name, REQUEST_TYPE)
    entry.start_time = entry.last_request_timestamp = now
    entry.num_requests = number
    entry.num_failures = failures
    entry.num_none_requests = number - summary["count"]
    if summary["count"]:
        entry.total_response_time = summary["mean"] * summary["count"] * 1000
        entry.min_response_time = summary["min"] * 1000
        entry.max_response_time = summary["max"] * 1000
    for seconds, times in latency.counts():
        entry.response_times[_bucket(seconds * 1000)] += times
    entry.num_reqs_per_sec[int(now)] = number
    if failures:
        entry.num_fail_per_sec[int(now)] = failures
    return entry


def _bucket(milliseconds: float) -> Any:
    """Round as Locust does; its own function can be replaced, and older versions have none."""
    own = getattr(locust.stats, "bucket_response_time", None)
    if own is not None:
        return own(milliseconds)
    whole = round(milliseconds)
    return round(whole, min(0, 2 - len(str(whole))) if whole >= 100 else None)  # noqa: PLR2004  # two digits


_swarms: dict[tuple[int, type[RedisLockSwarmUser]], _Swarm] = {}


def _swarm_of(user: RedisLockSwarmUser) -> _Swarm:
    """Return the swarm that this user belongs to; the first one of a run makes it."""
    key = (id(user.environment), type(user))
    if key not in _swarms:
        swarm = _swarms[key] = _Swarm(user)

        def stop() -> None:
            del _swarms[key]
            swarm.stop()

        run_of(user.environment).before_close.append(stop)
    return _swarms[key]
