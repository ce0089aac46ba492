"""The measures: who runs in each, in which order, and the goals that redislock sets itself."""

from __future__ import annotations

from typing import Any, Final

from bench import lock_rows, report, sql_rows
from bench.row import Contestant, Goal, Row

SWARM: Final = "redislock swarm"
NATIVE: Final = "native generator"
REDIS_PY: Final = ("redis", "hiredis")
KIB: Final = 1024.0
MIB: Final = KIB * KIB


def _benchmark(users: int, pipeline: int = 1) -> Contestant:
    tail = f" -P {pipeline}" if pipeline > 1 else ""
    options = {"pipeline": pipeline}
    name = f"redis-benchmark -c {users}{tail}"
    return Contestant(name, "redis_benchmark", "benchmark", options, users=users)


def _ours(kind: str, name: str = "redislock", **options: Any) -> Contestant:
    needs = [module for module in ("gevent", "uvloop") if module == kind or options.get(module)]
    return Contestant(name, "ours", kind, options, tuple(needs))


def _redis_py(kind: str, name: str = "redis-py", **options: Any) -> Contestant:
    needs = [module for module in ("gevent", "uvloop") if module == kind or options.get(module)]
    return Contestant(name, "redis_py", kind, options, (*REDIS_PY, *needs))


def _glide(kind: str) -> Contestant:
    module = "glide" if kind in ("asyncio", "latency") else "glide_sync"
    return Contestant("GLIDE", "glide", kind, needs=(module,))


def _locust(name: str) -> Contestant:
    return Contestant(name, "locust_run", "locust", {"client": name}, (*REDIS_PY, "locust"))


def _memory(name: str, kind: str) -> Contestant:
    return Contestant(name, "memory", kind)


# One call under way: what the kernel takes for sending, waking and receiving is most of it, and a
# bare socket shows how much.
_ONE_AT_A_TIME: Final = (
    _ours("sync"),
    _redis_py("sync"),
    _glide("sync"),
    _benchmark(1),
    Contestant(report.FLOOR, "bare_socket", "sync"),
)
_GOALS_ONE_AT_A_TIME: Final = (
    Goal("cpu", 1 / 3, "redis-py"),
    Goal("cpu", 1 / 5, "GLIDE"),
    Goal("rate", 0.85, "redis-benchmark -c 1"),
    Goal("rate", 1.5, "redis-py"),
)

ROWS: Final = (
    Row(
        "sync",
        "sync, one thread",
        1,
        _ONE_AT_A_TIME,
        _GOALS_ONE_AT_A_TIME,
    ),
    Row(
        "sync-together",
        "sync, one thread, on the server's core",
        1,
        _ONE_AT_A_TIME,
        _GOALS_ONE_AT_A_TIME,
        together=True,
    ),
    Row(
        "threads",
        "16 threads, one client",
        16,
        (_ours("threads"), _redis_py("threads"), _glide("threads")),
        (
            Goal("cpu", 1 / 3.5, "redis-py"),
            Goal("cpu", 1 / 3, "GLIDE"),
            Goal("rate", 3.5, "redis-py"),
            Goal("rate", 2, "GLIDE"),
        ),
    ),
    Row(
        "asyncio",
        "asyncio, 64 tasks",
        64,
        (
            _ours("asyncio"),
            _redis_py("asyncio"),
            _glide("asyncio"),
            _ours("asyncio", "redislock, uvloop", uvloop=True),
            _redis_py("asyncio", "redis-py, uvloop", uvloop=True),
        ),
        (
            Goal("cpu", 1 / 10, "redis-py"),
            Goal("cpu", 1 / 8, "GLIDE"),
            Goal("rate", 4.5, "redis-py"),
            Goal("rate", 3, "GLIDE"),
        ),
    ),
    Row(
        "gevent",
        "gevent, 64 greenlets",
        64,
        (_ours("gevent"), _redis_py("gevent")),
        (Goal("cpu", 1 / 15, "redis-py"), Goal("rate", 8, "redis-py")),
    ),
    Row(
        "locust",
        "Locust, one process, 64 users",
        64,
        (_locust("redislock"), _locust("redis-py")),
        (Goal("rate", 5, "redis-py"),),
    ),
    Row(
        "swarm",
        "Locust, one process, 64 users of the native swarm",
        64,
        (_locust(SWARM), _ours("native", NATIVE), _locust("redis-py")),
        (Goal("rate", 0.8, NATIVE, who=SWARM), Goal("rate", 8, "redis-py", who=SWARM)),
    ),
    Row(
        "native",
        "native load generator, 64 in flight",
        64,
        (_ours("native"), _benchmark(1, 64), _benchmark(64), _benchmark(64, 16)),
        (
            Goal("rate", 0.85, "redis-benchmark -c 1 -P 64"),
            Goal("rate", 1.5, "redis-benchmark -c 64"),
        ),
    ),
    Row(
        "watch",
        "watch, 64 greenlets on 64 accounts",
        64,
        (
            _ours("gevent", strategy="watch"),
            _redis_py("gevent", strategy="watch"),
            _redis_py("gevent", "redis-py, bare", strategy="bare_watch"),
        ),
        (Goal("cpu", 1 / 5, "redis-py"), Goal("rate", 5, "redis-py")),
        accounts=64,
    ),
    Row(
        "watch-hot",
        "watch, 64 greenlets on one hot account",
        64,
        (
            _ours("gevent", strategy="watch"),
            _redis_py("gevent", strategy="watch"),
            _redis_py("gevent", "redis-py, bare", strategy="bare_watch"),
        ),
        (Goal("rate", 10, "redis-py"),),
    ),
    Row(
        "lock",
        "lock, 64 greenlets on 64 accounts",
        64,
        (
            _ours("gevent", strategy="lock"),
            _redis_py("gevent", strategy="lock"),
            _redis_py("gevent", "redis-py, bare", strategy="bare_lock"),
        ),
        (Goal("cpu", 1 / 10, "redis-py"), Goal("rate", 20, "redis-py")),
        accounts=64,
    ),
    Row(
        "idempotency",
        "an idempotency key on every call (asyncio, 64 tasks)",
        64,
        (_ours("asyncio", "with", idempotency_key=True), _ours("asyncio", "without")),
        (Goal("rate", 0.5, "without", who="with"),),
    ),
    Row(
        "flash-sale",
        "a flash sale of {orders:,} orders by lua, 3 processes",
        64,
        (
            Contestant("redislock", "sale", "sale"),
            Contestant("redis-py", "sale", "redis_py", needs=REDIS_PY),
        ),
        (Goal("rate", 5, "redis-py"),),
        books=False,
        count="orders",
    ),
    Row(
        "memory",
        "`memory://`, native, by lua, one core",
        64,
        (_ours("memory"),),
        (Goal("rate", 500_000),),
    ),
    Row(
        "in-flight",
        "memory per operation, {in_flight:,} in flight",
        1,
        (_memory("core", "in_flight_core"), _memory("asyncio", "in_flight_asyncio")),
        (
            Goal("bytes_per_operation", 3 * KIB, who="core"),
            Goal("bytes_per_operation", 3 * KIB, who="asyncio"),
        ),
        count="in_flight",
    ),
    Row(
        "flat",
        "growth of resident memory over {flat:,} operations",
        64,
        (_memory("asyncio", "flat_asyncio"), _memory("native", "flat_native")),
        (Goal("growth", MIB, who="asyncio"), Goal("growth", MIB, who="native")),
        once=True,
        count="flat",
    ),
    Row(
        "latency",
        "latency at {rate:,.0f} calls/s, asyncio",
        1,
        (_ours("latency"), _redis_py("latency"), _glide("latency")),
        (Goal("p50", 1, "redis-py"), Goal("p99", 1, "redis-py"), Goal("p99", 1, "GLIDE")),
    ),
    *lock_rows.ROWS,
    *sql_rows.ROWS,
)
