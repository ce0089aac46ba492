"""Load one account natively: `locust -f locust/swarm.py LuaSwarm --headless -u 64 -r 64 -t 30s`.

Each user is one withdrawal in flight, made by the load generator in redislock's core, which reports
to Locust every second. Name the class of the strategy: LuaSwarm, LockSwarm or WatchSwarm. Arguments
and environment variables are those of `locustfile.py` beside it.
"""

from locust import events

from redislock.locust import RedisLockSwarmUser, add_arguments

events.init_command_line_parser.add_listener(add_arguments)


class LuaSwarm(RedisLockSwarmUser):
    strategy = "lua"


class LockSwarm(RedisLockSwarmUser):
    strategy = "lock"


class WatchSwarm(RedisLockSwarmUser):
    strategy = "watch"
