"""Several processes of this program that work together, and how they and their parent speak.

A parent starts members, gives each a job, lets them begin together once all are ready, and hears
from them in lines of JSON; at last each one reports. It knows nothing of what the work is: `_fleet`
puts a strategy under load with it, `scenarios.flash_sale` sells. A member ends when its parent is
gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, Final, Generic, TypeVar

from redislock import _errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Crew", "Member", "Parent", "serve"]

# sys.path of the child is that of its parent, so that both import the same package.
_PROGRAM: Final = (
    "import importlib, sys; sys.path[:] = sys.argv[2:]; importlib.import_module(sys.argv[1]).main()"
)
_PATIENCE: Final = 30.0  # seconds for a process to start
_LAST_WORDS: Final = 5.0  # seconds for its report, once told to end at once


class Member:
    """One process as its parent sees it. What it says is taken in by a thread.

    Ctrl-C is raised in the main thread only; so it cannot come between a line and its record.
    """

    def __init__(self, module: str, job: Mapping[str, Any], news: threading.Event) -> None:
        self.ready = False
        self.report: dict[str, Any] | None = None
        self.ended = False
        self._news = news
        # A session of its own: Ctrl-C in a terminal is the parent's to see, who tells the others.
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", _PROGRAM, module, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.tell(json.dumps(job, default=os.fspath))

    def tell(self, line: str) -> None:
        """Send a line; a process that is gone is noticed elsewhere."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def take_in(self, message: dict[str, Any]) -> None:
        """Note what it says; called in a thread of its own."""
        if "report" in message:
            self.report = message["report"]
        elif "ready" in message:
            self.ready = True

    def end(self) -> int:
        """Let it go, or make it; answer its exit code."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1.0)
        return self._process.returncode

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        with self._process.stdout as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break  # it was killed in the middle of a word
                self.take_in(json.loads(line))
                self._news.set()
        self.ended = True
        self._news.set()


MemberT = TypeVar("MemberT", bound=Member)


class Crew(Generic[MemberT]):
    """The processes; `what` names them in an error. With `mortal` one may die without a report."""

    def __init__(
        self,
        make: Callable[[Mapping[str, Any], threading.Event], MemberT],
        jobs: Sequence[Mapping[str, Any]],
        what: str,
        *,
        mortal: bool = False,
    ) -> None:
        self.members: list[MemberT] = []
        self._make = make
        self._jobs = jobs
        self._what = what
        self._mortal = mortal
        self._news = threading.Event()
        self._broken = False

    def start(self) -> None:
        """Start the processes, and let them begin together once all are ready."""
        try:
            self._start()
        except BaseException:  # Ctrl-C too: some may have begun, and none is to be waited for
            self._broken = True
            self._tell_all("abort")
            raise

    def step(self, seconds: float) -> bool:
        """Go on for about that long. False once the work is over."""
        if self._broken or not self.members:
            return False
        until = time.monotonic() + seconds
        while not self._over() and (left := until - time.monotonic()) > 0:
            self._news.wait(left)
            self._news.clear()
        self.check()
        return not self._over()

    def stop(self) -> None:
        """Begin nothing new; steps go on until what is under way has ended."""
        self._tell_all("stop")

    def abort(self) -> None:
        """End at once; what is under way has an unknown outcome."""
        self._tell_all("abort")
        give_up = time.monotonic() + _LAST_WORDS
        while not self._over() and time.monotonic() < give_up:
            self._news.wait(0.05)
            self._news.clear()

    def close(self) -> None:
        """Let the processes go."""
        for each in self.members:
            each.end()

    def check(self) -> None:
        """Raise where a process ended without a word: nobody knows what it did."""
        for each in self.members:
            if each.ended and each.report is None and not self._broken and not (self._mortal and each.ready):
                self._broken = True
                code = each.end()
                raise _errors.Error(
                    f"a process of the {self._what} ended with exit code {code}, "
                    "and nobody knows what it took"
                )

    def _start(self) -> None:
        with ThreadPoolExecutor(1) as thread:  # where Ctrl-C cannot come between a process and its name
            thread.submit(self._spawn).result()
        give_up = time.monotonic() + _PATIENCE
        while not all(each.ready for each in self.members):
            self.check()
            if time.monotonic() > give_up:
                raise _errors.Error(f"the processes of the {self._what} do not start")
            self._news.wait(0.05)
            self._news.clear()
        self._tell_all("go")

    def _spawn(self) -> None:
        for job in self._jobs:
            self.members.append(self._make(job, self._news))

    def _tell_all(self, word: str) -> None:
        for each in self.members:
            each.tell(word)

    def _over(self) -> bool:
        return all(each.report is not None or (self._mortal and each.ended) for each in self.members)


class Parent:
    """The other side: a member speaks to its parent."""

    def __init__(self, inbox: IO[str], outbox: IO[str]) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self.job: dict[str, Any] = json.loads(inbox.readline())

    def may_begin(self) -> bool:
        """Say that all is prepared, and wait until the others are; False where there is nothing to begin."""
        self.say({"ready": True})
        return self._inbox.readline().strip() == "go"

    def obey(self, stop: Callable[[], object], abort: Callable[[], object]) -> None:
        """Do what the parent asks for, from now on, in a thread."""
        # A daemon: it sits in a read that only the parent can end.
        threading.Thread(target=self._obey, args=(stop, abort), daemon=True).start()

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message; where nobody listens any more, end."""
        try:
            self._outbox.write(json.dumps(message) + "\n")
            self._outbox.flush()
        except BrokenPipeError:
            os._exit(0)

    def _obey(self, stop: Callable[[], object], abort: Callable[[], object]) -> None:
        for line in self._inbox:
            if line.strip() == "stop":
                stop()
            elif line.strip() == "abort":
                abort()
        abort()  # the parent is gone, or has all that it wants
        os._exit(0)


@contextlib.contextmanager
def serve() -> Iterator[Parent]:
    """Yield the parent of this process, a member."""
    inbox = sys.stdin
    # What anything else prints must not get between the lines.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as outbox:
        os.dup2(2, 1)
        yield Parent(inbox, outbox)
