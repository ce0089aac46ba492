"""The bank's plan as a Locust scenario: a `PlanUser` does one operation of it a task, until all are done.

Who does what is decided by tickets: an account on the same server from which each operation takes
one. So any number of users, in any number of processes, do the whole plan once. The only process,
or the master, opens the accounts, ends the run when all is done, and says who holds what.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import gevent.event
from locust import task
from locust.exception import StopUser
from locust.runners import WorkerRunner
from locust.stats import console_logger

import redislock
from redislock import ConfigurationError
from redislock.locust.run import run_of
from redislock.locust.user import RedisLockUser
from redislock.scenarios.bank_report import BankReport, BankUser
from redislock.scenarios.plan import BUILT_IN, read_plan
from redislock.scenarios.worlds import ON_REDIS, UNSAFE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment
    from locust.rpc import Message

    from redislock.scenarios.plan import Plan, PlannedUser

__all__ = ["PlanUser", "add_bank_arguments", "listen"]

_TICKETS: Final = "bank:tickets"
_COUNTS: Final = "redislock_bank_counts"  # from a worker
_AGAIN: Final = ("lock_busy", "conflict", "lock_lost")
_UNKNOWN: Final = "unknown"  # a fault; the totals of the run say which


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
        bank.everybody.wait()
        # Not measured: a ticket is no part of the plan.
        ticket = self._shared.client.withdraw_lua(_TICKETS, 1)
        if not ticket or ticket.balance is None:
            bank.pass_on()
            raise StopUser
        user, is_deposit, amount = bank.operations[ticket.balance]
        word = _AGAIN[0]
        while word in _AGAIN:
            bank.enter(self)
            try:
                if not is_deposit:
                    answer = self.client.withdraw(bank.strategy, user, amount)
                elif bank.strategy == UNSAFE:
                    answer = self.client.deposit_naive(user, amount)
                else:
                    answer = self.client.deposit(user, amount)
            finally:
                bank.leave(self)
            word = _UNKNOWN if answer is None else str(answer.status)
            bank.words[word] += 1


class Bank:
    """One process's part in a run of the plan and, where the accounts are opened, the whole of it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        options = environment.parsed_options
        self.strategy = str(getattr(options, "strategy", None) or "lua")
        if self.strategy not in ON_REDIS:
            raise ConfigurationError(
                f"--strategy (STRATEGY) must be one of {', '.join(ON_REDIS)}, not {self.strategy!r}"
            )
        self.plan = _read(str(getattr(options, "plan", None) or ""))
        self.operations = self.plan.operations()
        self.owner: type[RedisLockUser] = RedisLockUser
        self.everybody = gevent.event.Event()
        """Set when all users are there: the first one would be done before the second one comes."""
        self.words: Counter[str] = Counter()
        self._inside: set[PlanUser] = set()
        self._overlap = 0
        self._total: Counter[str] = Counter()
        self._overlaps: dict[str, int] = {}
        self._began = self._ended = 0.0
        self._is_over = False

    def begin(self) -> None:
        """Start anew; called when the accounts are open."""
        self.everybody.clear()
        self.words.clear()
        self._total.clear()
        self._overlaps.clear()
        self._overlap, self._is_over = 0, False
        self._began = self._ended = time.monotonic()
        run_of(self._environment).before_close.append(self.pass_on)
        if not isinstance(self._environment.runner, WorkerRunner):
            with self.owner.make_client(self._environment) as client:
                client.init(_TICKETS, len(self.operations))

    def enter(self, user: PlanUser) -> None:
        """Note that a user begins a call."""
        self._inside.add(user)
        self._overlap = max(self._overlap, len(self._inside))

    def leave(self, user: PlanUser) -> None:
        """Note that the call has ended."""
        self._inside.discard(user)

    def pass_on(self) -> None:
        """Hand on what this process has counted since."""
        counted, self.words = self.words, Counter()
        if isinstance(runner := self._environment.runner, WorkerRunner):
            runner.send_message(_COUNTS, {"words": dict(counted), "overlap": self._overlap})
        else:
            self._take_in("", counted, self._overlap)

    def hear(self, msg: Message, **_: object) -> None:
        """Take in what a worker has counted."""
        self._take_in(msg.node_id, Counter(msg.data["words"]), msg.data["overlap"])

    def _take_in(self, node: str, counted: Counter[str], overlap: int) -> None:
        self._total.update(counted)
        self._overlaps[node] = overlap
        if self._is_over or sum(self._total.values()) - self._repeated() < len(self.operations):
            return
        self._is_over = True
        self._ended = time.monotonic()
        runner = self._environment.runner
        if runner is not None:
            # Not from here: it stops the user, or the listener, that came here.
            gevent.spawn(runner.quit if self._environment.web_ui is None else runner.stop)

    def _repeated(self) -> int:
        return sum(self._total[word] for word in _AGAIN)

    def close(self) -> None:
        """Say who holds what, and set the exit code."""
        report = self._report()
        for line in report.lines():
            console_logger.info(line)
        console_logger.info("")
        if not report:
            self._environment.process_exit_code = 1

    def _report(self) -> BankReport:
        with self.owner.make_client(self._environment) as client:
            users = [_look(client, each) for each in self.plan.users]
        known = {*_AGAIN, "ok", _UNKNOWN}
        return BankReport(
            name=self.strategy,
            users=tuple(users),
            operations=len(self.operations),
            ok=self._total["ok"],
            refused={word: count for word, count in self._total.items() if word not in known},
            errors={},
            unknown=self._total[_UNKNOWN],
            repeated=self._repeated(),
            overlap=sum(self._overlaps.values()),
            elapsed=(self._ended if self._is_over else time.monotonic()) - self._began,
            unsafe=self.strategy == UNSAFE,
        )


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
    bank = bank_of(environment)
    runner, events = environment.runner, environment.events

    def begin(**_: object) -> None:
        bank.begin()

    def go(**_: object) -> None:
        bank.everybody.set()

    def close(**_: object) -> None:
        if not isinstance(runner, WorkerRunner):
            bank.close()

    events.test_start.add_listener(begin)  # type: ignore[no-untyped-call]
    events.spawning_complete.add_listener(go)  # type: ignore[no-untyped-call]
    events.test_stop.add_listener(close)  # type: ignore[no-untyped-call]
    if runner is not None and not isinstance(runner, WorkerRunner):
        runner.register_message(_COUNTS, bank.hear)
