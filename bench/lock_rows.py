"""The rows of locks: who takes part in each, and the goals."""

from __future__ import annotations

from typing import Any, Final

from bench import report
from bench.row import Contestant, Goal, Row

_NEEDS: Final = {
    "redis-py": ("redis", "hiredis"),
    "python-redis-lock": ("redis", "hiredis", "redis_lock"),
    "pottery": ("redis", "hiredis", "pottery"),
}
IDEAL: Final = "one process, no lock"
WITH_LEASE: Final = "redislock, not renewed"


def _who(family: str, kind: str, library: str, name: str = "", **options: Any) -> Contestant:
    needs = (*_NEEDS.get(library, ()), *(("gevent",) if options.get("gevent") else ()))
    return Contestant(name or library, family, kind, {"library": library, **options}, needs)


def _pairs(kind: str, library: str, name: str = "", **options: Any) -> Contestant:
    return _who("lock_pairs", kind, library, name, **options)


def _turns(library: str, name: str = "", **options: Any) -> Contestant:
    return _who("lock_turns", "turns", library, name, **options)


def _waiting(library: str, **options: Any) -> Contestant:
    return _who("lock_crowds", "waiting", library, gevent=True, **options)


_ALONE: Final = (
    _pairs("sync", "redislock"),
    _pairs("sync", "redislock", WITH_LEASE, plain=True),
    _pairs("sync", "redis-py"),
    _pairs("sync", "python-redis-lock"),
    _pairs("sync", "pottery"),
    _pairs("sync", "socket", report.FLOOR),
)
_GOALS_ALONE: Final = (
    Goal("rate", 2.5, "redis-py"),
    Goal("rate", 2, "python-redis-lock"),
    Goal("rate", 2.5, "redis-py", who=WITH_LEASE),
)

ROWS: Final = (
    Row("lock-pairs", "lock and unlock, nothing held, one thread", 1, _ALONE, _GOALS_ALONE, books=False),
    Row(
        "lock-pairs-together",
        "lock and unlock, nothing held, one thread, on the server's core",
        1,
        _ALONE,
        _GOALS_ALONE,
        together=True,
        books=False,
    ),
    Row(
        "lock-tasks",
        "lock and unlock, asyncio, 64 tasks with 64 locks",
        64,
        (
            _pairs("asyncio", "redislock"),
            _pairs("asyncio", "redislock", WITH_LEASE, plain=True),
            _pairs("asyncio", "redis-py"),
        ),
        (Goal("rate", 6, "redis-py"), Goal("rate", 6, "redis-py", who=WITH_LEASE)),
        books=False,
    ),
    Row(
        "lock-turns",
        "8 processes, one lock, held 1 ms",
        8,
        (
            _turns("redislock"),
            _who("lock_turns", "alone", "", IDEAL),
            _turns("redis-py"),
            _turns("redis-py", "redis-py, sleep=0.001", sleep=0.001),
            _turns("python-redis-lock"),
            _turns("pottery"),
        ),
        (Goal("rate", 0.8, IDEAL), Goal("spread", 1.1), Goal("longest", 3)),
        books=False,
    ),
    Row(
        "lock-waiting",
        "{waiters:,} greenlets that wait for one lock",
        1,
        (_waiting("redislock"), _waiting("redis-py", polls=True), _waiting("python-redis-lock")),
        (Goal("subscriptions", 1), Goal("connections", 5), Goal("load", 0.01)),
        books=False,
        count="waiters",
    ),
    Row(
        "lock-renewal",
        "{leases:,} locks with a lease of {lease:g} s, renewed",
        1,
        (_who("lock_crowds", "renewed", "redislock"),),
        (Goal("load", 0.05), Goal("batch", 500)),
        books=False,
        count="leases",
    ),
    Row(
        "lock-memory",
        "lock and unlock by `with`, within one process",
        1,
        (
            _pairs("with", "redislock", url="memory://bench"),
            _pairs("with", "redislock", WITH_LEASE, url="memory://bench", plain=True),
            _pairs("with", "threading", "threading.Lock"),
        ),
        (
            Goal("rate", 1 / 10, "threading.Lock"),
            Goal("rate", 1 / 10, "threading.Lock", who=WITH_LEASE),
        ),
        books=False,
    ),
)
