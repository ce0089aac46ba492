"""One process's part in a run: when the books are opened, where counts go, when they are closed.

The only process, or the master, opens the accounts, adds up what was counted, judges the money and
chooses the exit code. A worker sends what it counted every second and, when its users have
stopped, for the last time. A master waits for that before it judges.
"""

from __future__ import annotations

import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

import gevent
import locust.log
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import StatsError, console_logger

import redislock
from redislock.locust.ledger import Ledger
from redislock.locust.measured import CONTENTION, REQUEST_TYPE, StoppedError, refusal_of
from redislock.locust.outcomes import ERROR, UNKNOWN, Recorder, Totals
from redislock.locust.told import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment
    from locust.rpc import Message

    from redislock._verdict import Verdict
    from redislock.locust.ledger import Opening

__all__ = ["Run", "run_of"]

logger = logging.getLogger("redislock.locust")

_COUNTS: Final = "redislock_counts"  # from a worker
_CLOSE: Final = "redislock_close"  # from the master
_PATIENCE: Final = 10.0  # seconds for the last counts of a worker, beyond --stop-timeout


class Run:
    """What the users of one process do and, where the books are kept, what those of all have done."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._ticker: gevent.Greenlet | None = None
        self._begun_at = 0.0
        self._closed_workers: set[str] = set()
        self._workers: set[str] = set()
        self._lost_money = False
        self.recorder = Recorder()
        self.totals = Totals()
        self.ledger = Ledger()
        self.verdict: Verdict | None = None
        self.verdict_told = ""
        """The verdict in words; empty while the run lasts, or where no books are kept."""
        self.before_close: list[Callable[[], object]] = []
        """Called when the users of this process have stopped, before the last counts are taken."""

    @property
    def going(self) -> bool:
        """Whether the users may still be at it."""
        return self._ticker is not None

    @property
    def keeps_books(self) -> bool:
        """Whether the money is judged at the end."""
        return self.ledger.is_open

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._begun_at

    # ---- where the events of Locust lead to

    def register(self) -> None:
        """Listen to the other processes of the fleet."""
        runner = self._environment.runner
        if isinstance(runner, WorkerRunner):
            runner.register_message(_CLOSE, self._hear_master)
        elif isinstance(runner, MasterRunner):
            runner.register_message(_COUNTS, self._hear_worker)

    def begin(self, openings: list[Opening]) -> None:
        """Start anew: nothing of an earlier run is left."""
        self._stop_ticker()
        self.recorder.take()
        self.totals, self.ledger = Totals(), Ledger()
        self.verdict, self.verdict_told = None, ""
        self._closed_workers.clear()
        self._workers.clear()
        self._begun_at = time.monotonic()
        if not isinstance(self._environment.runner, WorkerRunner):
            self.ledger.open(openings)
            if self.ledger.fault:
                self._environment.process_exit_code = 1
        self._ticker = gevent.spawn(self._tick)

    def end(self) -> None:
        """Close the books: all users have stopped, or are to stop."""
        if not self.going:
            return
        runner = self._environment.runner
        while self.before_close:
            self.before_close.pop()()
        if isinstance(runner, MasterRunner):
            self._close_workers(runner)
        self._stop_ticker()
        self._pass_on(last=True)
        if not isinstance(runner, WorkerRunner):
            self._judge()
            self._tell()

    def _tick(self) -> None:
        while True:
            self._pass_on()
            gevent.sleep(1)

    def _stop_ticker(self) -> None:
        if self._ticker is not None:
            self._ticker.kill()
            self._ticker = None

    def _pass_on(self, *, last: bool = False) -> None:
        runner = self._environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message(_COUNTS, {"delta": self.recorder.take(), "last": last})
        else:
            self.totals.merge(self.recorder.take())
            self.totals.sample(self.seconds)

    # ---- between master and workers

    def _hear_worker(self, msg: Message, **_: object) -> None:
        if not self.going:
            return  # of a run that was judged without it
        self._workers.add(msg.node_id)
        self.totals.merge(msg.data["delta"])
        if msg.data["last"]:
            self._closed_workers.add(msg.node_id)

    def _close_workers(self, runner: MasterRunner) -> None:
        """Wait until every worker has stopped its users and sent its last counts."""
        for worker in self._owing(runner):
            runner.send_message(_CLOSE, client_id=worker)
        give_up = time.monotonic() + (self._environment.stop_timeout or 0) + _PATIENCE
        while self._owing(runner) and time.monotonic() < give_up:
            gevent.sleep(0.01)

    def _owing(self, runner: MasterRunner) -> set[str]:
        present = {node.id for node in runner.clients.all if node.state != "missing"}
        return present - self._closed_workers

    def _hear_master(self, **_: object) -> None:
        gevent.spawn(self._close_worker)  # stopping users may take long; other messages come meanwhile

    def _close_worker(self) -> None:
        runner = self._environment.runner
        if self.going and runner is not None:
            runner.stop()  # fires test_stop, which ends this run
        if self.going or runner is None:
            return
        self._pass_on(last=True)  # also where nothing was ever started here

    # ---- the end

    def _judge(self) -> None:
        lost = self._workers - self._closed_workers
        try:
            self.verdict = self.ledger.judge(self.totals)
        except redislock.Error as error:
            self._lost_money = True
            self.verdict_told = f"not known: the books cannot be read: {error}"
            return
        if self.verdict is None:
            return
        self.verdict_told = self.verdict.word
        if lost:
            self._lost_money = True
            self.verdict_told = (
                f"not known: {len(lost)} of {len(self._workers)} workers went with their counts"
            )
        elif not self.verdict.held:
            self._lost_money = True
            self.verdict_told += f": {self.verdict.detail}"

    def _tell(self) -> None:
        rows = self.totals.rows()
        if rows:
            for line in table(rows):
                console_logger.info(line)
        if self.verdict_told:
            console_logger.info("money: %s", self.verdict_told)
        console_logger.info("")

    def choose_exit_code(self) -> None:
        """End with 1 where money was lost or an operation raised, not because of lost races.

        Locust itself would end with 1 after any failed request. What it or the locustfile has
        decided otherwise is left alone.
        """
        environment = self._environment
        runner = environment.runner
        if self._lost_money:
            environment.process_exit_code = 1
        if runner is None or environment.process_exit_code is not None:
            return
        if runner.exceptions or locust.log.unhandled_greenlet_exception:
            return
        if self.totals.count(ERROR) or self.totals.count(UNKNOWN):
            return  # Locust's own code, which --exit-code-on-error sets
        if runner.errors and all(map(_is_benign, runner.errors.values())):
            environment.process_exit_code = 0


def _is_benign(error: StatsError) -> bool:
    if error.method != REQUEST_TYPE:
        return False
    # From a worker the exception arrives as its text.
    text = StatsError.parse_error(error.error)
    lost_races = {repr(refusal_of(status)) for status in CONTENTION}
    return text in lost_races or text.startswith(f"{StoppedError.__name__}(")


_runs: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()


def run_of(environment: Environment) -> Run:
    """Return the run of an environment, which has one at a time."""
    if environment not in _runs:
        _runs[environment] = Run(environment)
    return _runs[environment]
