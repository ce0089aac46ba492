"""The bank's plan by Locust: `locust -f locust/bank.py --headless -u 64 -r 64 --strategy lua`.

The users do the plan's deposits and withdrawals once, all together, and the run ends by itself; also
with --processes. It prints who should hold what and who holds it, then SUCCESS or FAIL, and ends with
exit code 0 or 1. `--host redis://…` comes before REDIS_CONN. The other arguments:

    --strategy     STRATEGY     lua (the default), lock, watch or naive
    --plan         PLAN         a plan in TOML, as for `redislock bank`
    --key-prefix   KEY_PREFIX   what all keys begin with, default redislock
    --max-retries  MAX_RETRIES  repetitions of a withdrawal by WATCH, default 10
"""

from locust import events

from redislock.locust import add_arguments
from redislock.locust.banking import PlanUser, add_bank_arguments, listen

events.init_command_line_parser.add_listener(add_arguments)
events.init_command_line_parser.add_listener(add_bank_arguments)
events.init.add_listener(listen)


class Customer(PlanUser):
    """Does the next operation of the plan."""
