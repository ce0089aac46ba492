"""Load one account by every strategy: `locust -f locust/locustfile.py --headless -u 64 -t 30s`.

`--tags lua` runs one strategy alone (lua, lock, watch); balance and health are tagged reads. What to
do is said by arguments, by the environment or in the web UI; `--host redis://…` comes before
REDIS_CONN, which names the server as everywhere in redislock. The others:

    --user-id          USER_ID          whose account, default 123
    --withdraw-amount  WITHDRAW_AMOUNT  how much to take each time, default 3
    --amount-jitter    AMOUNT_JITTER    a whole number that is added or taken off at random, up to
                                        this; default 0. At least 1 is withdrawn in any case.
    --init-balance     INIT_BALANCE     what the account starts each run with. Without it an account
                                        that exists is left alone, and a missing one gets 1000000000.
    --key-prefix       KEY_PREFIX       what all keys begin with, default redislock
    --max-retries      MAX_RETRIES      repetitions of a withdrawal by WATCH, default 10

The run ends with what became of the money, and with exit code 1 if some of it was lost.
"""

from collections.abc import Mapping

from locust import events, tag, task
from locust.env import Environment

from redislock.locust import RedisLockUser, Workload, add_arguments

events.init_command_line_parser.add_listener(add_arguments)


class Buyer(RedisLockUser):
    """Withdraws from the one account, without pause."""

    @classmethod
    def accounts(cls, environment: Environment) -> Mapping[str, int | None]:
        return Workload.of(environment).accounts()

    def on_start(self) -> None:
        self.work = Workload.of(self.environment)

    @tag("lua")
    @task(3)
    def withdraw_lua(self) -> None:
        self.client.withdraw_lua(self.work.user, self.work.draw())

    @tag("lock")
    @task(3)
    def withdraw_lock(self) -> None:
        self.client.withdraw_lock(self.work.user, self.work.draw())

    @tag("watch")
    @task(3)
    def withdraw_watch(self) -> None:
        self.client.withdraw_watch(self.work.user, self.work.draw())

    @tag("reads")
    @task(2)
    def balance(self) -> None:
        self.client.balance(self.work.user)

    @tag("reads")
    @task(1)
    def health(self) -> None:
        self.client.health()
