"""Greenlets race for one account by WATCH: those who lose a race try again, and nothing is lost.

No monkey patching is needed: a call from a thread in which a hub runs waits cooperatively. Reads
REDIS_CONN, else looks at localhost:6379 (`redislock serve` runs a server there).
"""

import gevent

from redislock import Client

with Client(max_retries=1000) as client:
    client.init("alice", 1000)
    greenlets = [gevent.spawn(client.withdraw_watch, "alice", 3) for _ in range(64)]
    gevent.joinall(greenlets, raise_error=True)

    results = [greenlet.value for greenlet in greenlets]
    attempts = sum(result.attempts for result in results)
    print(f"{sum(map(bool, results))} paid, in {attempts} attempts")
    print(f"alice has {client.balance('alice')}")
