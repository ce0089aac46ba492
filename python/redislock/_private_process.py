"""A server as a child process in a folder of its own: started, watched over and cleared away.

What private servers of any kind share. It belongs to the process that started it. It ends with `stop()`,
with the `with` block, when its object is collected, and when the interpreter exits. Knows no program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
import weakref
from typing import TYPE_CHECKING, ClassVar

from redislock._private_folder import PrivateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["PrivateProcess", "Remains", "ServerError", "ServerNotFoundError", "clear"]


class ServerError(RuntimeError):
    """A private server could not be had; the message says why."""


class ServerNotFoundError(ServerError):
    """No server program is installed; the message names the ways to get one."""


@dataclasses.dataclass
class Remains:
    """What is to be cleared away, apart from the server object so that it can be collected."""

    owner: int
    ends_by: Sequence[signal.Signals]
    """How it is asked to end, and at last made to."""
    process: subprocess.Popen[bytes] | None = None
    folder: PrivateFolder | None = None


def clear(remains: Remains, *, keep: bool = False, grace: float = 5.0) -> None:
    """End the process, with a grace after each request, and remove its folder unless `keep` is set."""
    if os.getpid() != remains.owner:
        return  # a forked child: the server is its parent's
    process, remains.process = remains.process, None
    if process is not None:
        for how in remains.ends_by:
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(None if how == signal.SIGKILL else grace)
                break
    if not keep and remains.folder is not None:
        folder, remains.folder = remains.folder, None
        folder.remove()


class PrivateProcess:
    """What `PrivateServer` and `PrivatePostgres` are."""

    _what: ClassVar[str]
    """For messages: "server"."""
    _ends_by: ClassVar[Sequence[signal.Signals]]
    _crashes_by: ClassVar[signal.Signals]
    _longest_folder_path: ClassVar[int]

    def __init__(self, *, deadline: float, outlives: bool) -> None:
        self._deadline = deadline
        self._outlives = outlives
        self._remains = Remains(os.getpid(), self._ends_by)
        if not outlives:
            self._finalizer = weakref.finalize(self, clear, self._remains)

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._remains.process is None:
            raise ServerError(f"the private {self._what} is not running")
        return self._remains.process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        process = self._remains.process
        return process is not None and process.poll() is None

    @property
    def log(self) -> str:
        """What the server has written to its log so far; empty once it is cleared away."""
        with contextlib.suppress(OSError, ServerError):
            return self._log.read_text(encoding="utf-8", errors="replace")
        return ""

    def start(self) -> Self:
        """Start the server and return once it answers; does nothing where it runs already."""
        if self.running:
            return self
        try:
            self._bring_up()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *, keep: bool = False) -> None:
        """End the server, at last by force, and remove its folder unless `keep` is set."""
        clear(self._remains, keep=keep)

    def kill(self) -> None:
        """End the server at once, as a crash would; its folder stays for another `start()`."""
        if self.running:
            os.kill(self.pid, self._crashes_by)
        clear(self._remains, keep=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if not self._outlives:
            self.stop()

    @property
    def _folder(self) -> Path:
        if self._remains.folder is None:
            raise ServerError(f"the private {self._what} was not started")
        return self._remains.folder.path

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _make_folder(self) -> Path:
        """The folder of the time before, or a new one."""
        if self._remains.folder is None:
            self._remains.folder = PrivateFolder(longest=self._longest_folder_path)
        return self._remains.folder.path

    def _bring_up(self) -> None:
        raise NotImplementedError

    def _did_not_start(self, log_begin: int) -> ServerError:
        raise NotImplementedError

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start the process; where in the log its words begin."""
        assert self._remains.folder is not None  # noqa: S101 - for the type checker
        with self._log.open("ab") as log:
            begin = log.tell()
            self._remains.process = subprocess.Popen(  # noqa: S603 - the program that was found
                command,
                # With the lock on its folder, which would be swept away under it.
                pass_fds=[self._remains.folder.lock] if self._outlives else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._folder,
                # A Ctrl-C in the terminal is for us; the server must outlive our last words.
                start_new_session=True,
            )
        return begin

    def _await_ready(
        self, answers: Callable[[float], bool], program: str, log_begin: int, *, pause: float, longest: float
    ) -> None:
        """Ask until it answers, given the seconds that are left, with pauses that grow."""
        give_up = time.monotonic() + self._deadline
        while not answers(give_up - time.monotonic()):
            if not self.running:
                raise self._did_not_start(log_begin)
            if time.monotonic() > give_up:
                raise ServerError(f"{program} did not answer within {self._deadline:g} s")
            time.sleep(pause)
            pause = min(2 * pause, longest)
