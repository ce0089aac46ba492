"""Fifty tasks ask for the same payment at once, as impatient callers do: it is made once.

Reads REDIS_CONN, else looks at localhost:6379 (`redislock serve` runs a server there).
"""

import asyncio
import uuid

from redislock.asyncio import Client


async def main() -> None:
    order = f"order-{uuid.uuid4()}"
    async with Client() as client:
        await client.init("alice", 100)
        results = await asyncio.gather(
            *(client.withdraw_lua("alice", 3, idempotency_key=order) for _ in range(50))
        )
        first = sum(not result.replayed for result in results)
        print(f"{len(results)} answers, {first} of them the first, the others a replay of it")
        print(f"alice has {await client.balance('alice')}")
        recorded = await client.outcome("alice", order)  # asks, and never pays
        print(f"on record: {recorded.status if recorded else 'nothing'}")


asyncio.run(main())
