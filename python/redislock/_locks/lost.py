"""Telling that a lock was lost: events that can be waited for, and `on_lost` callbacks.

The native core notices losses. One thread of Python, started with the first lock that has a
callback, takes them from there and calls each callback where its lock was taken: in that event
loop, in that hub, or in this very thread.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from redislock import _core
from redislock._log import logger
from redislock._waiters import hub_of_this_thread

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from redislock._core import Hold, Locks, Operation

__all__ = ["AsyncLost", "Lost", "Watch", "call_in_hub_or_thread", "call_in_loop", "watch"]

_SLICE = 3600.0  # seconds for which the thread sleeps in the core


class _Event:
    """What both events share. Belongs to what was held when it was asked for."""

    __slots__ = ("_hold", "_locks", "_run")

    def __init__(self, hold: Hold | None, locks: Locks, run: Callable[[Operation], Any]) -> None:
        self._hold = hold
        self._locks = locks
        self._run = run

    def is_set(self) -> bool:
        """Whether the lock was lost, as far as is known here: never later than on the server."""
        return self._hold is not None and self._hold.lost

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'set' if self.is_set() else 'not set'}>"


class Lost(_Event):
    """Set once the lock was lost; like `threading.Event`, but nobody else can set it."""

    __slots__ = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the lock is lost. False when `timeout` has passed, or it was released."""
        if self._hold is None:
            return False
        return bool(self._run(self._locks.wait_lost(self._hold, timeout)))


class AsyncLost(_Event):
    """Set once the lock was lost; like `asyncio.Event`, but nobody else can set it."""

    __slots__ = ()

    async def wait(self, timeout: float | None = None) -> bool:
        """Waits until the lock is lost. False when `timeout` has passed, or it was released."""
        if self._hold is None:
            return False
        return bool(await self._run(self._locks.wait_lost(self._hold, timeout)))


# ---- callbacks


class Watch:
    """A callback for the loss of one hold. Whoever keeps this keeps the callback alive."""

    __slots__ = ("__weakref__", "_call", "_lock", "_on_lost")

    def __init__(self, lock: Any, call: Callable[[Callable[[Any], Any], Any], None]) -> None:
        self._on_lost = lock.on_lost
        self._lock = weakref.ref(lock)
        self._call = call

    def tell(self) -> None:
        """Calls it, or has it called; raises nothing."""
        lock = self._lock()
        if lock is None:
            return
        try:
            self._call(self._on_lost, lock)
        except Exception:  # noqa: BLE001  # a hub or loop that ends at this moment
            logger.exception("on_lost of lock %r cannot be called", lock.name)


_watches: MutableMapping[Hold, Watch] = weakref.WeakValueDictionary()
_ended: Any = None  # a native lock that the thread holds while it lives; None where there is no thread
_stopping = False


def watch(lock: Any, hold: Hold, call: Callable[[Callable[[Any], Any], Any], None]) -> Watch:
    """Has the callback of `lock` called by `call` once `hold` is lost, while the answer is kept."""
    _watches[hold] = watching = Watch(lock, call)
    if _ended is None:
        _start_thread()
    if hold.lost:  # perhaps before the thread could find it
        _tell(hold)
    return watching


def _tell(hold: Hold) -> None:
    watching = _watches.pop(hold, None)
    if watching is not None:
        watching.tell()


def _tell_whatever_is_raised(hold: Hold) -> None:
    try:
        _tell(hold)
    except BaseException:  # noqa: BLE001  # a callback's KeyboardInterrupt would end all others' callbacks
        logger.exception("an on_lost raised")


def _original(name: str) -> Any:
    """From `_thread`, whatever gevent has put there: the core must block a thread, not a hub."""
    import _thread

    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        return monkey.get_original("_thread", name)
    return getattr(_thread, name)


def _start_thread() -> None:
    global _ended  # noqa: PLW0603  # one thread per process is the point
    running = _original("allocate_lock")()
    running.acquire()
    if _ended is None:
        _ended = running
        _original("start_new_thread")(_tell_losses, (running,))


def _tell_losses(running: Any) -> None:
    with contextlib.suppress(BaseException):  # the interpreter may be ending
        while not _stopping:
            hold = _core.next_lost(_SLICE)
            if hold is not None:
                _tell_whatever_is_raised(hold)
            del hold
    running.release()


def _guarded(on_lost: Callable[[Any], Any], lock: Any) -> None:
    try:
        on_lost(lock)
    except (Exception, SystemExit):  # noqa: BLE001  # the user's code, which must not end the thread
        logger.exception("on_lost of lock %r raised", lock.name)


def call_in_hub_or_thread() -> Callable[[Callable[[Any], Any], Any], None]:
    """Calls in a greenlet of this thread's hub, where there is one; else in the thread that knows first."""
    hub = hub_of_this_thread() if "gevent" in sys.modules else None
    if hub is None:
        return _guarded

    def call(on_lost: Callable[[Any], Any], lock: Any) -> None:
        import gevent

        if hub.loop is not None and not hub.dead:
            hub.loop.run_callback_threadsafe(gevent.spawn, _guarded, on_lost, lock)

    return call


def call_in_loop() -> Callable[[Callable[[Any], Any], Any], None]:
    """Calls in the event loop that runs here; what a callback returns to be awaited becomes a task."""
    import asyncio

    loop = asyncio.get_running_loop()

    async def wait_for(answer: Any, lock: Any) -> None:
        try:
            await answer
        except Exception:  # noqa: BLE001
            logger.exception("on_lost of lock %r raised", lock.name)

    def call_here(on_lost: Callable[[Any], Any], lock: Any) -> None:
        try:
            answer = on_lost(lock)
        except Exception:  # noqa: BLE001
            logger.exception("on_lost of lock %r raised", lock.name)
            return
        if hasattr(answer, "__await__"):
            task = loop.create_task(wait_for(answer, lock))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

    def call(on_lost: Callable[[Any], Any], lock: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed, and its locks with it
            loop.call_soon_threadsafe(call_here, on_lost, lock)

    return call


_tasks: set[Any] = set()  # a loop keeps only weak references


# ---- the end of the process, and forks


def _at_exit() -> None:
    global _stopping  # noqa: PLW0603
    _stopping = True
    _core.stop_keeper()
    if _ended is not None:
        _ended.acquire(timeout=1.0)  # a callback may be under way


def _after_fork_in_child() -> None:
    global _ended  # noqa: PLW0603  # the parent's thread is not here
    _ended = None
    _watches.clear()


# Registered early, and so called late: who uses locks at exit comes before.
atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork_in_child)
