"""Measures what one withdrawal costs on Redis and on PostgreSQL, by the same callers, for docs/article.md.

    python docs/figures/make_databases.py       measure, on private servers; keeps databases.json
    python docs/figures/make_strategies.py      then writes the tables

One process with 16 tasks of asyncio withdraws in a closed loop, through the clients that a program would
use: `redislock.asyncio.Client` and `redislock.sql.asyncio.Client`. Servers: Redis without persistence,
Redis that waits for the disk with each write (`appendfsync always`), and PostgreSQL as it is delivered,
which does so as well. After each run the money is counted. Measure on a machine that does nothing else, or
with `chrt -f 1`.
"""

import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from make_compare import scheduling

from redislock import asyncio as on_redis
from redislock._server import PrivateServer
from redislock.sql import PrivatePostgres
from redislock.sql import asyncio as on_sql

FIGURES = Path(__file__).with_name("databases.json")
CALLERS, ROUNDS, WARM_UP, DURATION = 16, 3, 0.2, 1.0
SETTINGS = {"one account": 1, "1000 accounts": 1000}
BALANCE, AMOUNT = 10**9, 3

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}
WORLDS = {
    "Redis, in memory only": ("lua", "lock", "watch"),
    "Redis, appendfsync always": ("lua", "lock", "watch"),
    "PostgreSQL": ("atomic", "for_update", "version", "serializable"),
}


class Load:
    """What the callers of one run do, and what they were told."""

    def __init__(self, client: Any, strategy: str, users: list[str]) -> None:
        self._client = client
        self._strategy = strategy
        self._users = users
        self._draw = random.Random(1)
        self.began = 0.0
        self.ended = False
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.attempts = 0
        self.paid = 0

    async def call(self) -> None:
        """One caller: begins its next withdrawal when the last one has ended."""
        while not self.ended:
            user = self._draw.choice(self._users)
            since = time.perf_counter()
            answer = await self._client.withdraw(self._strategy, user, AMOUNT)
            if answer:
                self.paid += AMOUNT
            if since >= self.began and not self.ended:
                self.statuses[answer.status.value] += 1
                self.attempts += answer.attempts
                if answer:
                    self.latencies.append(time.perf_counter() - since)

    async def run(self) -> dict[str, Any]:
        """Run for a while; return the figures."""
        await asyncio.gather(*(self._client.init(each, BALANCE) for each in self._users))
        self.began = time.perf_counter() + WARM_UP
        callers = [asyncio.create_task(self.call()) for _ in range(CALLERS)]
        await asyncio.sleep(WARM_UP + DURATION)
        self.ended = True
        await asyncio.gather(*callers)
        left = [await self._client.balance(each) for each in self._users]
        if sum(left) != BALANCE * len(self._users) - self.paid:
            sys.exit(f"{self._strategy} lost money: {self.paid} were paid, {sum(left)} are left")
        percentiles = statistics.quantiles(self.latencies, n=100)
        return {
            "throughput": len(self.latencies) / DURATION,
            "p50": percentiles[49],
            "p99": percentiles[98],
            "attempts_per_success": self.attempts / len(self.latencies),
            "statuses": dict(self.statuses),
        }


async def measure_once(url: str, strategy: str, accounts: int) -> dict[str, Any]:
    make = on_sql.Client if url.startswith("postgresql:") else on_redis.Client
    async with make(url) as client:
        if make is on_sql.Client:
            await client.migrate()
        return await Load(client, strategy, [f"user-{number}" for number in range(accounts)]).run()


def median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the middle of each figure, and all statuses together."""
    names = ("throughput", "p50", "p99", "attempts_per_success")
    statuses: Counter[str] = Counter()
    for each in rounds:
        statuses.update(each["statuses"])
    middle = {name: statistics.median(each[name] for each in rounds) for name in names}
    return {**middle, "spread": sorted(round(each["throughput"]) for each in rounds), "statuses": statuses}


def measure(urls: dict[str, str]) -> list[dict[str, Any]]:
    """Measure everything in turns, so that a drift of the machine meets all alike."""
    cells = [
        (world, strategy, setting)
        for world, strategies in WORLDS.items()
        for strategy, setting in itertools.product(strategies, SETTINGS)
    ]
    rounds: dict[tuple[str, str, str], list[dict[str, Any]]] = {each: [] for each in cells}
    for number in range(ROUNDS):
        for world, strategy, setting in cells:
            print(f"{number + 1}: {strategy} on {world}, {setting}", file=sys.stderr)
            told = asyncio.run(measure_once(urls[world], strategy, SETTINGS[setting]))
            rounds[world, strategy, setting].append(told)
    return [
        {"world": world, "strategy": strategy, "setting": setting, **median_of(told)}
        for (world, strategy, setting), told in rounds.items()
    ]


def main() -> None:
    with (
        PrivateServer(port=0) as memory,
        PrivateServer(port=0, config=ALWAYS) as disk,
        PrivatePostgres(durable=True) as postgres,
    ):
        urls = dict(zip(WORLDS, (memory.url, disk.url, postgres.url), strict=True))
        figures = {
            "command": "python docs/figures/make_databases.py",
            "when": time.strftime("%Y-%m-%d"),
            "servers": [memory.name.split(" (")[0], postgres.name.split(" (")[0]],
            "callers": CALLERS,
            "seconds": DURATION,
            "rounds": ROUNDS,
            "scheduling": scheduling(),
            "runs": measure(urls),
        }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
