"""A run that is over when so many things are done, by any number of users in any number of processes.

Who does which is decided by tickets: an account on the same server from which each thing takes one.
The users begin when all of them are there. The only process, or the master, opens what they need,
ends the run, and has the last word.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import gevent
import gevent.event
from locust.exception import StopUser
from locust.runners import WorkerRunner
from locust.stats import console_logger

from redislock._errors import Error
from redislock.locust.run import run_of
from redislock.locust.user import RedisLockUser

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from locust.env import Environment
    from locust.rpc import Message

    import redislock

__all__ = ["UNKNOWN", "Course", "listen"]

UNKNOWN: Final = "unknown"
"""The word for a thing that ended in a fault; the totals of the run say which."""


class Course:
    """One process's part in it and, where the books are kept, the whole of it."""

    name: str
    """What its tickets and messages are named after."""
    again: Collection[str] = ()
    """Words after which a thing is done once more: they do not count."""

    def __init__(self, environment: Environment, count: int) -> None:
        self.environment = environment
        self.count = count
        self.owner: type[RedisLockUser] = RedisLockUser
        self.words: Counter[str] = Counter()
        """What this process's things came to since they were passed on."""
        self.total: Counter[str] = Counter()
        self._everybody = gevent.event.Event()
        self._inside: set[RedisLockUser] = set()
        self._overlap = 0
        self._overlaps: dict[str, int] = {}
        self._began = self._ended = 0.0
        self._is_over = False

    # ---- for users

    def draw(self, client: redislock.Client) -> int:
        """Return the number of the next thing; ends the user where none is left."""
        self._everybody.wait()
        ticket = client.withdraw_lua(self._tickets, 1)  # not measured: it is no part of the work
        if not ticket or ticket.balance is None:
            self.pass_on()
            raise StopUser
        return ticket.balance

    def do(self, user: RedisLockUser, call: Callable[[], str]) -> None:
        """Do one thing, again while its word says so; `call` returns the word."""
        word = None
        while word is None or word in self.again:
            self._inside.add(user)
            self._overlap = max(self._overlap, len(self._inside))
            try:
                word = call()
            finally:
                self._inside.discard(user)
            self.words[word] += 1

    # ---- for the run

    def open(self, client: redislock.Client) -> None:
        """Prepare what users need; where the books are kept."""

    def report(self, client: redislock.Client) -> tuple[bool, Iterable[str]]:
        """Return whether all is well, and the lines to be told."""
        raise NotImplementedError

    @property
    def repeated(self) -> int:
        """How often something had to be done once more."""
        return sum(self.total[word] for word in self.again)

    @property
    def overlap(self) -> int:
        """How many calls were under way at once, at most."""
        return sum(self._overlaps.values())

    @property
    def elapsed(self) -> float:
        """Seconds from the start to the last thing done."""
        return (self._ended if self._is_over else time.monotonic()) - self._began

    def begin(self) -> None:
        """Start anew; called when the accounts are open."""
        self._everybody.clear()
        self.words.clear()
        self.total.clear()
        self._overlaps.clear()
        self._overlap, self._is_over = 0, False
        self._began = self._ended = time.monotonic()
        run_of(self.environment).before_close.append(self.pass_on)
        if not isinstance(self.environment.runner, WorkerRunner):
            with self.owner.make_client(self.environment) as client:
                client.init(self._tickets, self.count)
                self.open(client)

    def go(self) -> None:
        """Let users begin: the first one would be done before the second one comes."""
        self._began = time.monotonic()
        self._everybody.set()

    def pass_on(self) -> None:
        """Hand on what this process has counted since."""
        counted, self.words = self.words, Counter()
        if isinstance(runner := self.environment.runner, WorkerRunner):
            runner.send_message(self.message, {"words": dict(counted), "overlap": self._overlap})
        else:
            self._take_in("", counted, self._overlap)

    @property
    def message(self) -> str:
        """The type of what workers send."""
        return f"redislock_{self.name}"

    def hear(self, msg: Message, **_: object) -> None:
        """Take in what a worker has counted."""
        self._take_in(msg.node_id, Counter(msg.data["words"]), msg.data["overlap"])

    def close(self) -> None:
        """Say what came of it, and set the exit code."""
        with self.owner.make_client(self.environment) as client:
            held, lines = self.report(client)
        for line in lines:
            console_logger.info(line)
        console_logger.info("")
        if not held:
            self.environment.process_exit_code = 1

    @property
    def _tickets(self) -> str:
        return f"{self.name}:tickets"

    def _take_in(self, node: str, counted: Counter[str], overlap: int) -> None:
        self.total.update(counted)
        self._overlaps[node] = overlap
        if self._is_over or self.total.total() - self.repeated < self.count:
            return
        self._is_over = True
        self._ended = time.monotonic()
        runner = self.environment.runner
        if runner is not None:
            # Not from here: it stops the user, or the listener, that came here.
            gevent.spawn(runner.quit if self.environment.web_ui is None else runner.stop)


def listen(course: Course) -> None:
    """Have it take part in the runs of this process."""
    runner, events = course.environment.runner, course.environment.events

    broken = False

    def begin(**_: object) -> None:
        nonlocal broken
        broken = False
        try:
            course.begin()
        except Error as error:  # Locust itself would note it down, and go on with nothing to do
            broken = True
            console_logger.error("%s cannot begin: %s", course.name, error)
            course.environment.process_exit_code = 1
            if runner is not None:
                gevent.spawn(runner.quit if course.environment.web_ui is None else runner.stop)

    def go(**_: object) -> None:
        course.go()

    def close(**_: object) -> None:
        if not broken and not isinstance(runner, WorkerRunner):
            course.close()

    hooks: list[tuple[Any, Callable[..., None]]] = [
        (events.test_start, begin),
        (events.spawning_complete, go),
        (events.test_stop, close),
    ]
    for event, listener in hooks:
        event.add_listener(listener)
    if runner is not None and not isinstance(runner, WorkerRunner):
        runner.register_message(course.message, course.hear)
