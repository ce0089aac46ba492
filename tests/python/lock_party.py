"""A process that takes locks, and waits for them, as it is told on its standard input.

Each line there is a JSON object: the arguments of `take`. Each line that it prints is one too: which
owner holds what it asked for now.
"""

import json
import sys
import threading

from redislock import _core
from redislock._settings import make_options
from redislock._waiters import BlockingWaiter

options = make_options(sys.argv[1], {"timeout": 30.0})
waiter = BlockingWaiter(options, "thread")
locks = _core.Locks(options)
kept = []


def take(name, who, *, kind="m", lease=60.0, wait=0.0, limit=1, client_name="", detect=True):
    """Take a lock for an owner and keep it. A name is Latin-1 on its way here, for any bytes."""
    token = _core.make_token(who, client_name)
    name = name.encode("latin-1")
    hold = waiter.run(locks.acquire([name], kind, token, lease, wait, limit=limit, detect=detect))
    kept.append(hold)
    sys.stdout.write(json.dumps({"who": who, "held": hold is not None}) + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("wait"):
        threading.Thread(target=take, kwargs=asked, daemon=True).start()
    else:
        take(**asked)
