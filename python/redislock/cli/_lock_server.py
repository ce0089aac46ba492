"""A server as the commands about locks see it: what is held there, and taking it away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from redislock import _core
from redislock._settings import make_options
from redislock._waiters import BlockingWaiter
from redislock.cli._common import duration, open_client, wrong
from redislock.cli._holders import read_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from redislock.cli._holders import Holder, SeenLock

DEFAULT_TIMEOUT: Final = "30"
"""More than elsewhere: a large server is looked through in many small steps."""


def lock_name(argument: str) -> bytes:
    """Return a lock's name as the user typed it, in whatever bytes."""
    return os.fsencode(argument) or wrong("NAME", "must not be empty")


class LockServer:
    """Runs the core's operations on locks, for a while."""

    def __init__(self, url: str | None, timeout: str) -> None:
        self._seconds = duration(timeout, "--timeout", positive=True)
        with open_client(url, None, self._seconds) as client:  # tells what is wrong with the options
            self.url = client.url
        if self.url.startswith("memory:"):
            wrong("--url", "memory:// is inside of another process; name a server")
        options = make_options(url, {"timeout": self._seconds})
        self._waiter = BlockingWaiter(options, "thread")
        self._locks = _core.Locks(options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiter.close()

    def look(self, names: Sequence[bytes] | None) -> list[SeenLock]:
        """Return the locks of those names, or all that are held or awaited."""
        return [read_lock(each) for each in self._waiter.run(self._locks.list(names))]

    def take_away(self, name: bytes, holder: Holder) -> bool:
        """Release a lock in its holder's place; tell whether it was still held."""
        return bool(self._waiter.run(self._locks.release_token([name], holder.kind, holder.owner.token)))
