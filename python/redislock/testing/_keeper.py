"""Keeps one private server for a pytest session, and hands it to each test running and empty.

The keeper is registered as a plugin once the server is first asked for, so that a session which
never does so runs none of this.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

import pytest

from redislock._server import HOST, PrivateServer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

PATIENCE: Final = 2.0  # seconds for FLUSHALL; a server that needs longer is replaced
DONE: Final = b"+OK\r\n"


@contextlib.contextmanager
def keep_server(plugins: pytest.PytestPluginManager) -> Iterator[PrivateServer]:
    """Run a server that is emptied after each test; it ends with the block."""
    with PrivateServer(port=0) as server:
        keeper = Keeper(server)
        plugins.register(keeper)
        try:
            yield server
        finally:
            keeper.over = True  # also for the hook that may be under way now: the last test's
            plugins.unregister(keeper)


class Keeper:
    """Empties the server after each test, and starts it again where a test has ended it."""

    def __init__(self, server: PrivateServer) -> None:
        self._server = server
        self.over = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Wait until the test's own fixtures have ended: they may still look at its accounts."""
        try:
            yield
        finally:
            if not self.over:
                self.renew()

    def renew(self) -> None:
        """Leave the server running and empty, whatever the test did to it."""
        if self._server.running and self._flushed():
            return
        self._server.kill()  # stopped, paused or full: no test's fault must become the next one's
        self._server.start()

    def _flushed(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self._server.port or 0), PATIENCE) as line,
        ):
            line.sendall(b"FLUSHALL\r\n")
            said = b""
            while len(said) < len(DONE) and (more := line.recv(64)):
                said += more
            return said == DONE
        return False
