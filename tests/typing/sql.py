"""Uses of redislock.sql that mypy --strict must accept, and some that it must refuse. Never run."""

from __future__ import annotations

from typing_extensions import assert_type

from redislock import Health, HistoryEntry, Result, sql
from redislock.sql import asyncio as async_sql


def blocking() -> None:
    with sql.connect("postgresql://shop@localhost/shop", timeout=1.0, lock_wait=0.5) as client:
        assert_type(client, sql.Client)
        client.migrate()
        assert_type(client.init("alice", 100, if_missing=True), Result)
        assert_type(client.balance(1), int | None)
        assert_type(client.withdraw_for_update("alice", 3, lock_wait=1.0), Result)
        assert_type(client.withdraw_version("alice", 3, max_retries=3), Result)
        assert_type(client.withdraw_atomic("alice", 3, idempotency_key="k"), Result)
        assert_type(client.withdraw_serializable("alice", 3), Result)
        assert_type(client.withdraw_naive("alice", 3), Result)
        assert_type(client.withdraw("atomic", "alice", 3), Result)
        assert_type(client.transfer("alice", "bob", 3, in_order=False), Result)
        assert_type(client.deposit("alice", 3), Result)
        assert_type(client.history("alice", 10), list[HistoryEntry])
        assert_type(client.outcome("alice", "k"), Result | None)
        assert_type(client.health(), Health)
        assert_type(client.strategies, tuple[str, ...])
        client.reset({1: 1000, 2: 1000})
        named: dict[str, int] = {"alice": 1}
        client.reset(named)
        client.withdraw_naive("alice", 3, idempotency_key="k")  # type: ignore[call-arg]
        client.withdraw_atomic("alice", "3")  # type: ignore[arg-type]


async def awaited() -> None:
    async with async_sql.connect("sqlite:///bank.db") as client:
        await client.migrate()
        assert_type(await client.withdraw_atomic("alice", 3), Result)
        assert_type(await client.balance("alice"), int | None)
        assert_type(await client.history("alice"), list[HistoryEntry])


def private() -> str:
    with sql.PrivatePostgres(durable=True, config={"max_connections": 50}) as server:
        return server.url
