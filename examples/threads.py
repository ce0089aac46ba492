"""Sixteen threads, one client, one account: it pays out what it holds, and not a cent more.

Reads REDIS_CONN, else looks at localhost:6379 (`redislock serve` runs a server there).
"""

from concurrent.futures import ThreadPoolExecutor

from redislock import Client

with Client() as client, ThreadPoolExecutor(16) as threads:
    client.init("alice", 1000)
    results = list(threads.map(lambda _: client.withdraw_lua("alice", 3), range(400)))

    paid = sum(map(bool, results))  # a result is true where its status is ok
    print(f"{paid} paid, {len(results) - paid} refused")
    print(f"alice has {client.balance('alice')}")
    for entry in client.history("alice", limit=2):
        print(f"{entry.strategy} took {entry.amount}, left {entry.balance}")
