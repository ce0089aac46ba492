"""Load one account by every strategy: `locust -f locust/locustfile.py --headless -u 64 -t 30s`.

`--tags lua` runs one strategy alone (lua, lock, watch); balance and health are tagged reads. The
environment says what to do, REDIS_CONN, KEY_PREFIX and MAX_RETRIES as everywhere in redislock
(`--host redis://…` comes before REDIS_CONN), and

    USER_ID          whose account, default 123
    WITHDRAW_AMOUNT  how much to take each time, default 3
    AMOUNT_JITTER    a whole number that is added or taken off at random, up to this; default 0.
                     At least 1 is withdrawn in any case.
    INIT_BALANCE     what the account starts each run with. Without it an account that exists is
                     left alone, and a missing one gets 1000000000.
"""

import logging
import os
import random
import sys

from locust import events, tag, task
from locust.env import Environment
from locust.runners import WorkerRunner

import redislock
from redislock.locust import RedisLockUser

logger = logging.getLogger("redislock.locust")

LARGEST = 2**63 - 1


def whole_number(name: str, default: int, smallest: int) -> int:
    """Read an environment variable; end the program with one sentence if it is none."""
    text = os.environ.get(name) or str(default)
    if text.isascii() and text.isdigit() and smallest <= int(text[:20]) <= LARGEST:
        return int(text)
    sys.exit(
        f"redislock: environment variable {name} must be a whole number "
        f"from {smallest} to {LARGEST}, not {text!r}"
    )


USER_ID = os.environ.get("USER_ID") or "123"
WITHDRAW_AMOUNT = whole_number("WITHDRAW_AMOUNT", 3, 1)
AMOUNT_JITTER = whole_number("AMOUNT_JITTER", 0, 0)
INIT_BALANCE = whole_number("INIT_BALANCE", 1_000_000_000, 0)
KEEP_BALANCE = not os.environ.get("INIT_BALANCE")


def draw_amount() -> int:
    """Return how much to take this time."""
    if not AMOUNT_JITTER:
        return WITHDRAW_AMOUNT
    drawn = WITHDRAW_AMOUNT + random.randint(-AMOUNT_JITTER, AMOUNT_JITTER)
    return min(max(1, drawn), LARGEST)


class Buyer(RedisLockUser):
    """Withdraws from the one account, without pause."""

    @tag("lua")
    @task(3)
    def withdraw_lua(self) -> None:
        self.client.withdraw_lua(USER_ID, draw_amount())

    @tag("lock")
    @task(3)
    def withdraw_lock(self) -> None:
        self.client.withdraw_lock(USER_ID, draw_amount())

    @tag("watch")
    @task(3)
    def withdraw_watch(self) -> None:
        self.client.withdraw_watch(USER_ID, draw_amount())

    @tag("reads")
    @task(2)
    def balance(self) -> None:
        self.client.balance(USER_ID)

    @tag("reads")
    @task(1)
    def health(self) -> None:
        self.client.health()


@events.test_start.add_listener
def open_account(environment: Environment, **_: object) -> None:
    """Give the account its balance: once, by the master or the only process."""
    if isinstance(environment.runner, WorkerRunner):
        return
    try:
        with Buyer.make_client(environment) as client:
            client.init(USER_ID, INIT_BALANCE, if_missing=KEEP_BALANCE)
    except redislock.Error as error:
        environment.process_exit_code = 1
        # One sentence says it; a traceback would not say more.
        logger.error("the account %s could not be opened: %s", USER_ID, error)  # noqa: TRY400
