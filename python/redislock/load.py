"""Puts a strategy under load, natively, and proves afterwards that no money was lost.

    >>> from redislock import load
    >>> report = load.run("redis://localhost", strategy="lua", users=64, duration=5.0)
    >>> report.throughput, report.latency.p99, report.verdict.word
    (110836.4, 0.000795, 'held')

The accounts are made for the run under a prefix with a random part, and deleted after it. The
calling thread is busy meanwhile; the GIL is released but for a moment every 50 ms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import secrets
from typing import TYPE_CHECKING, Any, Final

from redislock import _core
from redislock._client import Client
from redislock._fleet import Fleet
from redislock._load_run import HISTORY_LIMIT, NO_CONFLICT, SLOWEST, Interrupted, Run, logger
from redislock._report import Latency, Progress, Report
from redislock._settings import environment_prefix, environment_retries

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NO_CONFLICT",
    "SLOWEST",
    "Interrupted",
    "Latency",
    "Progress",
    "Report",
    "default_balance",
    "logger",
    "run",
]

STRATEGIES: Final = ("naive", "lua", "lock", "watch")
SQL_STRATEGIES: Final = ("for_update", "version", "atomic", "serializable")
"""They run on a database that `url` names, and are driven by Python threads."""
SPREADS: Final = ("hot", "uniform", "zipf")
LARGEST: Final = 2**63 - 1
MOST_ACCOUNTS: Final = 1_000_000
MOST_PROCESSES: Final = 256
_SQL_CONNECTIONS: Final = 64
_BY_THREADS: Final = (
    "driven by Python threads, where Redis' strategies are driven natively: "
    "what it costs the server can be compared, its rate not"
)
FASTEST: Final = 3_000_000  # withdrawals a second that no machine exceeds: for default balances


def default_balance(amount: int, jitter: int, *, seconds: float, count: int | None = None) -> int:
    """Return a round balance from which a run of that size cannot take everything."""
    operations = max(1.0, seconds) * FASTEST + (count or 0)
    needed = math.ceil(operations) * (amount + jitter)
    return min(LARGEST, int(10 ** len(str(needed))))


def run(
    url: str | None = None,
    *,
    strategy: str = "lua",
    users: int = 64,
    accounts: int = 1,
    keys: str = "hot",
    amount: int = 3,
    jitter: int = 0,
    balance: int | None = None,
    duration: float = 5.0,
    warmup: float = 1.0,
    count: int | None = None,
    seed: int | None = None,
    processes: int = 1,
    prefix: str | None = None,
    max_retries: int | None = None,
    lock_wait: float = 1.0,
    lock_lease: float = 5.0,
    timeout: float = 5.0,
    rtt: float = 0.0,
    rate: float | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    **options: Any,
) -> Report:
    """Run one strategy under a load of virtual users, and judge the books.

    `users` withdrawals are in flight, each user begins its next one when the last has ended.
    `keys` spreads them over `accounts` accounts: ``hot`` (all on the first), ``uniform`` or
    ``zipf`` (s = 0.99, the first is the hottest). Each takes `amount`, off by a uniform integer
    within ±`jitter` and at least 1. `balance` is what each account starts with; by default more
    than can be taken. After `warmup` seconds, which are not measured, the run lasts `duration`
    seconds, or `count` withdrawals where that is given. The same `seed` draws the same accounts
    and amounts.

    `rtt` seconds are added to each round trip, inside the core: so much farther away the server
    seems to be. With a `rate` the loop is open: so many withdrawals are to begin a second, at
    constant intervals, with at most `users` of them in flight. `latency` then counts from when
    each was due, so that a stall is not hidden by the calls that it kept from beginning
    (coordinated omission), and `service` from when it began.

    `processes` share the users, each with a core and connections of its own, on the same accounts.

    A strategy of `SQL_STRATEGIES` runs on the database that `url` names, like ``postgresql://...``,
    whose tables must be there (`redislock.sql`). Python threads drive it, and `processes` must be 1.

    Keys begin with `prefix` (default: ``KEY_PREFIX``, else ``redislock``) and a random part.
    Further options are those of `Client`.

    `on_progress` is called about 20 times a second. Raises ValueError, TypeError or
    OverflowError for a wrong argument before anything is sent, an `Error` where the server
    cannot be used, and `Interrupted`, with the report so far, after Ctrl-C; a second Ctrl-C
    does not wait for what is under way. The keys are deleted in any case.
    """
    settings: dict[str, Any] = {
        "strategy": strategy,
        "users": users,
        "keys": keys,
        "amount": amount,
        "jitter": jitter,
        "duration": duration,
        "warmup": warmup,
        "count": count,
        "seed": random.getrandbits(32) if seed is None else _whole(seed, "seed", -LARGEST, LARGEST),
        "max_retries": environment_retries() if max_retries is None else max_retries,
        "lock_wait": lock_wait,
        "lock_lease": lock_lease,
        "history_limit": HISTORY_LIMIT,
        "rtt": rtt,
        "rate": rate,
    }
    base = environment_prefix() if prefix is None else prefix
    working_prefix = f"{base}:load-{secrets.token_hex(6)}"
    names = [str(each) for each in range(1, _whole(accounts, "accounts", 1, MOST_ACCOUNTS) + 1)]
    _whole(processes, "processes", 1, MOST_PROCESSES)
    options["timeout"] = timeout
    how = _on_database if strategy in SQL_STRATEGIES else _on_redis
    with contextlib.ExitStack() as stack:
        this = how(stack, _Asked(url, options, working_prefix, names, settings, processes))
        if balance is None:
            balance = default_balance(amount, jitter, seconds=warmup + duration, count=count)
        report = this.through(balance, on_progress)
    if report.interrupted:
        raise Interrupted(report)
    return report


@dataclasses.dataclass
class _Asked:
    """What a run is made from."""

    url: str | None
    options: dict[str, Any]
    prefix: str
    names: list[str]
    settings: dict[str, Any]
    processes: int


def _on_redis(stack: contextlib.ExitStack, asked: _Asked) -> Run:
    prefix, names, settings = asked.prefix, asked.names, asked.settings
    client = stack.enter_context(Client(asked.url, prefix=prefix, **asked.options))
    core = client._options  # noqa: SLF001 - the very server of the client, also a nameless memory://
    # Checks the arguments; opens nothing.
    generator = _core.LoadGenerator(
        core, prefix=prefix, accounts=names, **{**settings, "seed": settings["seed"] % 2**64}
    )
    this = Run(client, generator, prefix, names, settings, lanes=core.max_connections)
    if asked.processes > 1:
        _check_shares(client, settings, asked.processes)
        this.share(
            Fleet(
                asked.url,
                asked.options,
                prefix=prefix,
                accounts=len(names),
                settings=settings,
                processes=asked.processes,
            ),
            asked.processes,
        )
    return this


def _check_shares(client: Client, settings: dict[str, Any], processes: int) -> None:
    count, rate = settings["count"], settings["rate"]
    if client.url.startswith("memory:"):
        raise ValueError("processes must be 1 for memory://, which is inside of this one")
    if settings["users"] < processes or (count is not None and count < processes):
        raise ValueError("users and count must not be less than processes")
    if rate is not None and rate / processes < SLOWEST:
        raise ValueError(f"rate must be from {SLOWEST} a second in each of the processes")


def _on_database(stack: contextlib.ExitStack, asked: _Asked) -> Run:
    url, options, names, settings = asked.url, asked.options, asked.names, asked.settings
    from redislock import sql
    from redislock.sql._load import Accounts, SqlGenerator

    if url is None or not sql.is_sql_url(url):
        raise ValueError(f"strategy {settings['strategy']!r} needs a url like postgresql://host/database")
    if asked.processes > 1:
        raise ValueError("processes must be 1 for the strategies of databases")
    told = {name: settings[name] for name in ("max_retries", "lock_wait", "lock_lease", "history_limit")}
    lanes = options.setdefault("max_connections", _SQL_CONNECTIONS)
    client = stack.enter_context(sql.connect(url, **told, **options))
    if settings["strategy"] not in client.strategies:
        raise ValueError(f"there is no strategy {settings['strategy']!r} on {client.dialect}")
    accounts = Accounts(client, asked.prefix)
    notes = [_BY_THREADS]
    if settings["users"] > lanes:
        notes.append(f"{settings['users']} users shared {lanes} connections to the database")
    generator = SqlGenerator(client, accounts, names, **settings)
    return Run(accounts, generator, asked.prefix, names, settings, lanes=lanes, notes=notes)


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}")
    return value
