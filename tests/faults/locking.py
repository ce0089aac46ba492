"""Locks through the native core, without a face: what a fault suite needs of them."""

from __future__ import annotations

import itertools
import os
import weakref
from typing import TYPE_CHECKING, Any

from redislock import _core
from redislock._settings import make_options
from redislock._waiters import BlockingWaiter

if TYPE_CHECKING:
    from collections.abc import Sequence

_owners = itertools.count(1)
_lockers: weakref.WeakSet[Locker] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for each in list(_lockers):
        each.abandon_after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)


def make_token(who: str | None = None) -> bytes:
    """A token of a new owner, or of a named one."""
    return _core.make_token(who or f"t{next(_owners)}")


def line_of(name: str) -> str:
    """Return the key in which the waiters for a lock stand."""
    return f"{{{name}}}:redislock:queue"


class Locker:
    """A client that takes locks, from any number of threads."""

    def __init__(self, url: str, **options: Any) -> None:
        made = make_options(url, options)
        self._waiter = BlockingWaiter(made, None)
        self.locks = _core.Locks(made)
        _lockers.add(self)

    def run(self, operation: Any) -> Any:
        """Run an operation of `locks` to its end."""
        return self._waiter.run(operation)

    def acquire(
        self,
        names: str | bytes | Sequence[str | bytes],
        *,
        token: bytes | None = None,
        kind: str = "m",
        lease: float | None = 30.0,
        wait: float | None = 0.0,
        **more: Any,
    ) -> Any:
        """Take locks; None where they are busy."""
        every = [names] if isinstance(names, (str, bytes)) else list(names)
        held = self.run(self.locks.acquire(every, kind, token or make_token(), lease, wait, **more))
        if held is not None:
            held.kept = True
        return held

    def release(self, hold: Any) -> bool:
        """Give back what is held; whether it was ours until then."""
        said: bool = self.run(self.locks.release(hold))
        return said

    def abandon_after_fork(self) -> None:
        """As the clients do it."""
        self._waiter.abandon_after_fork()

    def close(self) -> None:
        """Close the connections."""
        self._waiter.close()
