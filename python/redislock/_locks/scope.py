"""Who holds a lock within this process: a thread, a greenlet, a task, or everybody together.

A lock keeps what it holds by owner. Owners die with their thread, greenlet or task, are never used
again, and do not outlive a fork: a child holds nothing of its parent's. Knows nothing of locks.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from redislock._waiters import hub_of_this_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

__all__ = ["Owner", "acting_for", "everybody", "owner_here", "owner_in_task"]

_modules = sys.modules
_numbers = itertools.count(1)


class Owner:
    """One who can hold a lock. `who` is unique in the process; empty for everybody together.

    `key` is a weak reference to it, and tells when it is no more.
    """

    __slots__ = ("__weakref__", "key", "who")

    def __init__(self, kind: str) -> None:
        self.who = f"{kind}{next(_numbers)}" if kind else ""
        self.key = weakref.ref(self)


_threads = threading.local()
_greenlets: MutableMapping[Any, Owner] = weakref.WeakKeyDictionary()
_tasks: MutableMapping[Any, Owner] = weakref.WeakKeyDictionary()
_acting: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("redislock_acting", default=None)
_all = Owner("")


def everybody() -> Owner:
    """The owner of what is shared by all threads, greenlets and tasks of this process."""
    return _all


def owner_here() -> Owner:
    """The greenlet that runs, where its thread has a hub; else the thread."""
    if "gevent" in _modules and hub_of_this_thread() is not None:
        greenlet = _modules["greenlet"].getcurrent()
        if greenlet.parent is None:  # the thread's own, which may have come here before there was a hub
            return _owner_of_thread()
        return _greenlets.get(greenlet) or _greenlets.setdefault(greenlet, Owner("g"))
    try:  # as below, without another call
        return _threads.owner  # type: ignore[no-any-return]
    except AttributeError:
        return _owner_of_thread()


def _owner_of_thread() -> Owner:
    try:
        return _threads.owner  # type: ignore[no-any-return]
    except AttributeError:
        _threads.owner = owner = Owner("t")
        return owner


@contextlib.contextmanager
def acting_for(owner: Owner) -> Iterator[None]:
    """Has the task that runs do something for another one, which started it."""
    before = _acting.set(owner)
    try:
        yield
    finally:
        _acting.reset(before)


def owner_in_task() -> Owner:
    """The asyncio task that runs, else the thread: in a callback, and outside of a loop."""
    acting = _acting.get()
    if acting is not None:
        return acting
    asyncio = _modules["asyncio"]
    task = asyncio.current_task() if asyncio._get_running_loop() is not None else None  # noqa: SLF001  # the public twin raises
    if task is None:
        return owner_here()
    return _tasks.get(task) or _tasks.setdefault(task, Owner("a"))


def _after_fork_in_child() -> None:
    global _threads, _all  # noqa: PLW0603  # the child's own
    _threads = threading.local()
    _greenlets.clear()
    _tasks.clear()
    _all = Owner("")


os.register_at_fork(after_in_child=_after_fork_in_child)
