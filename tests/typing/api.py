"""Uses of the public API that mypy --strict must accept, and some that it must refuse.

Never run. A line that must be refused carries the code of its error; mypy reports it as unused
where the line is accepted after all.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

import redislock
import redislock.asyncio
from redislock import Client, Health, HistoryEntry, Result, Status, Stock, StockResult, StockStatus
from redislock.testing import AsyncStrategyCheck, StrategyCheck, StrategyReport, check_strategy


def results(client: Client) -> dict[str, Any]:
    result = client.withdraw_lua("alice", 3)
    assert_type(result, Result)
    assert_type(result.status, Status)
    assert_type(result.balance, int | None)
    assert_type(result.attempts, int)
    assert_type(result.elapsed, float)
    assert_type(result.replayed, bool)
    if result and result.balance is not None:
        left: int = result.balance + 1
        return {f"{result.status:>10}": left}
    if result.status == "ok":
        return {result.status.upper(): hash(result)}
    result.balance + 1  # type: ignore[operator]
    result.balance = 5  # type: ignore[misc]
    result.status = Status.ok  # type: ignore[misc]
    _, _ = result  # type: ignore[misc]
    return result.as_dict()


def threads() -> None:
    with Client("redis://localhost", prefix="shop", timeout=1.5, max_retries=3, lock_wait=0, db=1) as client:
        assert_type(client, Client)
        assert_type(client.init("alice", 100, if_missing=True), Result)
        assert_type(client.balance(7), int | None)
        assert_type(client.deposit("alice", 5, idempotency_key="k", timeout=2), Result)
        assert_type(client.withdraw("watch", "alice", 5, max_retries=1, lock_wait=1.0), Result)
        assert_type(client.withdraw_lock("alice", 5, lock_wait=1, lock_lease=2.5), Result)
        assert_type(client.withdraw_watch("alice", 5, idempotency_key=None, max_retries=0), Result)
        assert_type(client.withdraw_naive("alice", 5), Result)
        assert_type(client.deposit_naive("alice", 5), Result)
        assert_type(client.history("alice", 10), list[HistoryEntry])
        assert_type(client.outcome("alice", "k"), Result | None)
        assert_type(client.delete("alice"), Result)
        assert_type(client.health(), Health)
        assert_type(client.keys("alice"), dict[str, str])
        assert_type(client.url, str)
    Client.from_url("unix:///run/redis.sock", db=1)
    Client(balance_key="acct:{user}:bal", waiter="thread").close()

    client.withdraw_lua("alice", 1.5)  # type: ignore[arg-type]
    client.withdraw_lua("alice", "5")  # type: ignore[arg-type]
    client.withdraw_lua(b"alice", 5)  # type: ignore[arg-type]
    client.withdraw_lua("alice")  # type: ignore[call-arg]
    client.withdraw_lua("alice", 5, "k")  # type: ignore[call-arg]
    client.withdraw_lua("alice", 5, lock_wait=1)  # type: ignore[call-arg]
    client.withdraw_naive("alice", 5, idempotency_key="k")  # type: ignore[call-arg]
    client.init("alice", None)  # type: ignore[arg-type]
    client.outcome("alice")  # type: ignore[call-arg]
    client.borrow("alice", 5)  # type: ignore[attr-defined]


def entries(client: Client) -> list[tuple[int, int, str | None]]:
    told = []
    for each in client.history("alice"):
        assert_type(each.time_ms, int)
        assert_type(each.strategy, str)
        assert_type(each.idempotency_key, str | None)
        told.append((each.amount, each.balance, each.idempotency_key))
    return told


def reports(client: Client) -> list[str]:
    report = client.health()
    assert_type(report.reachable, bool)
    assert_type(report.latency, float)
    assert_type(report.details, dict[str, str])
    return report.warnings


async def tasks() -> None:
    async with redislock.asyncio.Client("redis://localhost") as client:
        assert_type(client, redislock.asyncio.Client)
        assert_type(await client.withdraw_watch("alice", 5, max_retries=1), Result)
        assert_type(await client.balance("alice"), int | None)
        assert_type(await client.history("alice"), list[HistoryEntry])
        assert_type(await client.outcome("alice", "k"), Result | None)
        assert_type(await client.health(), Health)
        client.balance("alice").bit_length()  # type: ignore[attr-defined]
        await client.withdraw_lua("alice", 1.5)  # type: ignore[arg-type]
    await client.aclose()


def stock(client: Client) -> None:
    shirts = client.stock("tee", hold=1.5, outbox=True, backlog=10)
    assert_type(shirts, Stock)
    assert_type(shirts.set(10, if_missing=True), StockResult)
    assert_type(shirts.level(), int | None)
    result = shirts.reserve(1, "o1", strategy="watch", user=7, limit=2, timeout=1)
    assert_type(result.status, StockStatus)
    assert_type(result.level, int | None)
    assert_type(result.state, str | None)
    assert_type(shirts.order(1, 5), StockResult)
    assert_type(shirts.confirm("o1"), StockResult)
    assert_type(shirts.outcome("o1"), StockResult | None)
    assert_type(shirts.sweep(), int)
    shirts.order("1", "o1")  # type: ignore[arg-type]
    result.level = 5  # type: ignore[misc]


async def awaited_stock(client: redislock.asyncio.Client) -> None:
    shirts = client.stock("tee")
    assert_type(shirts, redislock.asyncio.Stock)
    assert_type(await shirts.cancel("o1", timeout=1), StockResult)
    assert_type(await shirts.backlog(), int)


def functions() -> None:
    assert_type(redislock.withdraw_lua("alice", 3, idempotency_key="k"), Result)
    assert_type(redislock.balance("alice"), int | None)
    assert_type(redislock.history("alice", limit=3), list[HistoryEntry])
    assert_type(redislock.outcome("alice", "k"), Result | None)
    assert_type(redislock.default_client(), Client)
    assert_type(redislock.__version__, str)
    redislock.withdraw_lua("alice", 1.5)  # type: ignore[arg-type]


def errors(client: Client) -> str:
    try:
        client.withdraw_lua("alice", 3)
    except redislock.OutcomeUnknownError as error:
        assert_type(error, redislock.OutcomeUnknownError)
        return str(error)
    except (redislock.ConnectionError, redislock.TimeoutError) as error:
        if isinstance(error, OSError):
            return "an OSError as well"
    except redislock.Error as error:
        return type(error).__name__
    return Status("ok")


def strategies(client: Client, fixture: StrategyCheck) -> int:
    assert_type(check_strategy(client.withdraw_lua, bank=client, users=4, duration=1), StrategyReport)
    report = fixture(client.withdraw_watch, users=64, amount=5)
    assert_type(report.verdict.held, bool)
    assert_type(report.latency.p99, float)
    assert_type(report.throughput, float)
    check_strategy(client.withdraw_lua)  # type: ignore[call-arg]
    check_strategy(client.withdraw_lua, bank=3)  # type: ignore[arg-type]
    return report.lost


async def strategies_in_a_loop(client: redislock.asyncio.Client, fixture: AsyncStrategyCheck) -> None:
    assert_type(await fixture(client.withdraw_lua, users=64), StrategyReport)


def entities(client: Client) -> None:
    entity = client.entity("user:1", codec="bytes", ttl=60)
    assert_type(entity, redislock.Entity)
    value, etag = entity.get()
    assert_type(etag, str | None)
    assert_type(entity.put(value, if_match=etag), str)
    assert_type(entity.put(value, if_match=redislock.ANYTHING), str)
    assert_type(entity.create(b"x"), str)
    assert_type(entity.delete(if_match=None, timeout=1), bool)
    assert_type(entity.update(lambda old: old or b"", retries=3), redislock.Versioned)
    entity.put(value, if_match=b"x")  # type: ignore[arg-type]
    client.entity("k", codec="pickle")  # type: ignore[arg-type]


def rates(client: Client) -> str:
    limit = client.rate_limit(b"login", 5, 60, burst=0)
    said = limit.acquire(2, wait=None)
    assert_type(said, redislock.RateLimitResult)
    assert_type(said.retry_after, float)
    assert_type(limit.wait(5, cost=2).allowed, bool)
    assert_type(limit.peek().remaining, int)
    limit.reset()

    @limit
    def send(text: str, *, loud: bool = False) -> str:
        return text.upper() if loud else text

    with limit as entered:
        assert_type(entered, redislock.RateLimit)
    send(5)  # type: ignore[arg-type]
    client.rate_limit("login", "5", 60)  # type: ignore[arg-type]
    return send("a", loud=True)


async def coordination_in_a_loop(client: redislock.asyncio.Client) -> None:
    entity = client.entity("user:1")
    assert_type(await entity.put([1]), str)

    async def longer(value: list[int] | None) -> list[int]:
        return [*(value or []), 1]

    assert_type(await entity.update(longer), redislock.Versioned)
    limit = client.rate_limit("login", 5, 60)
    assert_type(await limit.acquire(), redislock.RateLimitResult)

    @limit
    async def send(text: str) -> int:
        return len(text)

    assert_type(await send("a"), int)
    async with limit:
        pass


def once(client: Client, order: int) -> int:
    assert_type(client.once("k", ttl=None, lease=10, wait=5).run(len, "abc"), redislock.OnceResult)
    assert_type(client.once("k", ttl=60).forget(), bool)
    assert_type(client.once(b"k", ttl=60, codec="bytes").peek(), redislock.OnceResult | None)

    @client.once("charge:{order}", ttl=86400)
    def charge(order: int, *, amount: float = 1.5) -> int:
        return round(order * amount)

    with client.once("migrate", ttl=None) as turn:
        assert_type(turn, redislock.OnceTurn)
        assert_type(turn.mine, bool)
        assert_type(turn.fence, int | None)
        turn.result = 5
    client.once("k")  # type: ignore[call-arg]
    charge("5")  # type: ignore[arg-type]
    return charge(order, amount=2)


async def once_in_a_loop(client: redislock.asyncio.Client) -> None:
    @client.once("charge:{order}", ttl=86400)
    async def charge(order: int) -> int:
        return order

    assert_type(await charge(5), int)
    assert_type(await client.once("k", ttl=60).run(charge, 5), redislock.OnceResult)
    async with client.once("migrate", ttl=None) as turn:
        turn.result = None
