"""A Locust user whose requests are withdrawals: `RedisLockUser`.

    from locust import task
    from redislock.locust import RedisLockUser

    class Buyer(RedisLockUser):
        @task
        def buy(self):
            self.client.withdraw_lua("alice", 3)

It knows Locust and the blocking client, and nothing of what a task does. The users of a process
share one client, so that those who wait at the same moment share one write and one read; each
waits in its own greenlet. Nothing is opened before the first user exists, so ``--processes`` may
fork after importing the locustfile.

Users of `RedisLockSwarmUser` have their withdrawals made by the native load generator: many times
as many a second, in the same statistics.

A run prints what its requests came to and their percentiles, and the web UI shows both in the tab
"Withdrawals" while it lasts. Where a class names its `accounts`, the money is judged at the end.
"""

from __future__ import annotations

from redislock.locust import events
from redislock.locust.measured import MeasuredClient, RefusedError, StoppedError
from redislock.locust.swarm import RedisLockSwarmUser
from redislock.locust.user import RedisLockUser
from redislock.locust.workload import Workload, add_arguments

__all__ = [
    "MeasuredClient",
    "RedisLockSwarmUser",
    "RedisLockUser",
    "RefusedError",
    "StoppedError",
    "Workload",
    "add_arguments",
]

events.listen()
