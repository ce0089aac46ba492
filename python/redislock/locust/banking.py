"""The bank's plan as a Locust scenario: a `PlanUser` does one operation of it a task, until all are done."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from locust import task

import redislock
from redislock import ConfigurationError
from redislock.locust import course
from redislock.locust.user import RedisLockUser
from redislock.scenarios.bank_report import BankReport, BankUser
from redislock.scenarios.plan import BUILT_IN, read_plan
from redislock.scenarios.worlds import ON_REDIS, UNSAFE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment

    from redislock.scenarios.plan import Plan, PlannedUser

__all__ = ["PlanUser", "add_bank_arguments", "listen"]


def add_bank_arguments(parser: LocustArgumentParser, **_: object) -> None:
    """Declare --strategy and --plan; a listener for Locust's ``init_command_line_parser``."""
    known = ", ".join(ON_REDIS)
    parser.add_argument("--strategy", env_var="STRATEGY", type=str, default="lua", help=f"One of {known}")
    parser.add_argument(
        "--plan", env_var="PLAN", type=str, default="", help="A plan in TOML; empty: the built-in one"
    )


class PlanUser(RedisLockUser):
    """Takes the next operation of the plan and does it, again where another was quicker."""

    abstract = True

    @classmethod
    def accounts(cls, environment: Environment) -> Mapping[str, int | None]:
        """Return the plan's accounts."""
        return {each.name: each.start for each in bank_of(environment).plan.users}

    @classmethod
    def check_settings(cls, environment: Environment) -> None:
        """Refuse a strategy or a plan that is none."""
        bank_of(environment).owner = cls
        super().check_settings(environment)

    @task
    def operate(self) -> None:
        """Do one operation; ends the user where none is left."""
        bank = bank_of(self.environment)
        user, is_deposit, amount = bank.operations[bank.draw(self._shared.client)]

        def call() -> str:
            if not is_deposit:
                answer = self.client.withdraw(bank.strategy, user, amount)
            elif bank.strategy == UNSAFE:
                answer = self.client.deposit_naive(user, amount)
            else:
                answer = self.client.deposit(user, amount)
            return course.UNKNOWN if answer is None else str(answer.status)

        bank.do(self, call)


class Bank(course.Course):
    """The plan, and what became of it."""

    name = "bank"
    again = ("lock_busy", "conflict", "lock_lost")

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        self.strategy = str(getattr(options, "strategy", None) or "lua")
        if self.strategy not in ON_REDIS:
            raise ConfigurationError(
                f"--strategy (STRATEGY) must be one of {', '.join(ON_REDIS)}, not {self.strategy!r}"
            )
        self.plan = _read(str(getattr(options, "plan", None) or ""))
        self.operations = self.plan.operations()
        super().__init__(environment, len(self.operations))

    def report(self, client: redislock.Client) -> tuple[bool, Iterable[str]]:
        """Hold what the accounts hold against the plan."""
        known = {*self.again, "ok", course.UNKNOWN}
        report = BankReport(
            name=self.strategy,
            users=tuple(_look(client, each) for each in self.plan.users),
            operations=self.count,
            ok=self.total["ok"],
            refused={word: count for word, count in self.total.items() if word not in known},
            errors={},
            unknown=self.total[course.UNKNOWN],
            repeated=self.repeated,
            overlap=self.overlap,
            elapsed=self.elapsed,
            unsafe=self.strategy == UNSAFE,
        )
        return bool(report), report.lines()


def _read(path: str) -> Plan:
    if not path:
        return BUILT_IN
    try:
        return read_plan(path)
    except ValueError as error:
        raise ConfigurationError(f"--plan (PLAN): {path}: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"--plan (PLAN): {path}: {error.strerror}") from None


def _look(client: redislock.Client, planned: PlannedUser) -> BankUser:
    try:
        return BankUser(planned, client.balance(planned.name), planned.end)
    except redislock.Error as error:
        return BankUser(planned, None, planned.end, str(error))


_banks: weakref.WeakKeyDictionary[Any, Bank] = weakref.WeakKeyDictionary()


def bank_of(environment: Environment) -> Bank:
    """Return the bank of an environment; raises ConfigurationError for wrong arguments."""
    if environment not in _banks:
        _banks[environment] = Bank(environment)
    return _banks[environment]


def listen(environment: Environment, **_: object) -> None:
    """Take part in the runs of this process; a listener for Locust's ``init``."""
    course.listen(bank_of(environment))
