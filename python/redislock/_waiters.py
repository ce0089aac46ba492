"""How a blocking call waits: as a thread, or as a greenlet that leaves its hub running.

Chosen at each call: a thread in which a gevent hub runs waits cooperatively, any other blocks with
the GIL released. So a client may be made before gevent patches, and be used by both kinds.
"""

from __future__ import annotations

import sys
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from redislock import _core

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BlockingWaiter", "GeventWaiter", "give_back", "hub_of_this_thread"]

_get_ident = threading.get_ident
_modules = sys.modules


def _warn_of_running_loop() -> None:
    # The public get_running_loop() raises where there is none. Another thread may be importing asyncio
    # at this moment, which has neither then.
    find_loop = getattr(_modules.get("asyncio"), "_get_running_loop", None)
    if find_loop is not None and find_loop() is not None:
        warnings.warn(
            "a blocking redislock call inside a running event loop stops that loop; "
            "use redislock.asyncio.Client",
            RuntimeWarning,
            stacklevel=_level_of_caller(),
        )


def _level_of_caller() -> int:
    """How far up the first frame outside of this package is, as seen from the caller."""
    level, frame = 0, sys._getframe(1)  # noqa: SLF001
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("redislock."):
        level, frame = level + 1, frame.f_back
    return level + 1


_find_hub: Callable[[], Any] | None = None


def hub_of_this_thread() -> Any:
    """The hub that runs in this thread, or None; makes none."""
    global _find_hub  # noqa: PLW0603  # found once
    if _find_hub is None:
        # get_hub() would make one. Another thread may be importing gevent at this moment: what it
        # exports is there once the module behind it has been executed to its end.
        if getattr(_modules.get("gevent"), "get_hub", None) is None:
            return None
        _find_hub = _modules["gevent._hub_local"].get_hub_if_exists
    return _find_hub()


def give_back(outcome: object) -> None:
    """Gives back a lock that was taken for somebody who had gone when the answer came."""
    if isinstance(outcome, _core.Hold):
        outcome.give_back()


class GeventWaiter:
    """Runs operations for the greenlets of one hub. Closes itself when nobody refers to it any more."""

    def __init__(self, options: _core.Options, hub: Any) -> None:
        from greenlet import getcurrent

        self._getcurrent: Callable[[], Any] = getcurrent
        self.hub = hub
        self._core = _core.LoopDriver(options)
        self._switch: Callable[[], Any] = hub.switch
        self._flushing: Any = None  # the loop's callback that sends what is queued
        # Holds the loop open only while something is under way, so that an idle client ends no
        # program late.
        self._io = hub.loop.io(self._core.fileno(), 1)
        self._io.ref = False
        # The loop must not keep the waiter of a client that nobody has any more.
        self._io.start(_on_ready, weakref.ref(self))
        weakref.finalize(self, _retire, hub, self._io, self._core).atexit = False

    def run(self, operation: _core.Operation) -> Any:
        record = [self._getcurrent(), None, False]
        try:
            self._core.submit(operation, record)
            self._schedule()
            # Somebody else may switch to this greenlet; only the answer to this call counts.
            while self._switch() is not record:
                pass
        except BaseException:
            record[0] = None  # its answer may be on the way already, or just have come
            give_back(record[1])
            self._core.cancel(operation)
            self._schedule()
            raise
        if record[2]:
            raise record[1]
        return record[1]

    def _schedule(self) -> None:
        # Asked of the loop itself: a signal's handler may have raised where we would take note of it.
        if self._flushing is None or not self._flushing.pending:
            self._flushing = self.hub.loop.run_callback(self._flush)

    def _flush(self) -> None:
        self._deliver(self._core.flush())

    def pump(self) -> None:
        """Handles what is ready."""
        self._deliver(self._core.pump())

    def _deliver(self, finished: list[tuple[list[Any], Any, bool]]) -> None:
        _deliver(self.hub, finished)
        if self._core.fileno() >= 0:
            self._io.ref = self._core.in_flight > 0

    @property
    def orphaned(self) -> bool:
        """Whether the hub's thread has ended, so that nobody will ever call here again."""
        return self.hub.loop is None or self.hub.dead

    def close(self) -> None:
        """Ends what is under way.

        The hub's own thread does it, and the hub tells the waiting greenlets: the caller may be one
        of them, and must not wait for what they do next.
        """
        _retire(self.hub, self._io, self._core)

    def abandon_after_fork(self) -> None:
        if self.hub.loop is not None:
            self._io.stop()  # before gevent renews its loop, which would look at a closed descriptor
            self._io.close()
        self._core.abandon_after_fork()


def _on_ready(of: weakref.ref[GeventWaiter]) -> None:
    waiter = of()
    if waiter is not None:
        waiter.pump()


def _deliver(hub: Any, finished: list[tuple[list[Any], Any, bool]]) -> None:
    for record, value, failed in finished:
        greenlet = record[0]
        if greenlet is None:  # it was killed or timed out since, and may wait for something else
            give_back(value)
            continue
        record[1], record[2] = value, failed
        try:
            greenlet.switch(record)
        except BaseException:  # noqa: BLE001  # one failure must not cost the others their answers
            hub.handle_error(greenlet, *sys.exc_info())


def _retire(hub: Any, io: Any, core: _core.LoopDriver) -> None:
    if core.fileno() < 0:  # closed before, or left behind by a fork
        return
    loop = hub.loop
    if loop is None or hub.dead:
        core.close()
    elif hub_of_this_thread() is hub:
        _take_out(hub, io, core)
    else:
        loop.run_callback_threadsafe(_take_out, hub, io, core)


def _take_out(hub: Any, io: Any, core: _core.LoopDriver) -> None:
    if core.fileno() < 0:
        return
    io.stop()
    io.close()
    finished = core.close()
    if finished:
        hub.loop.run_callback(_deliver, hub, finished)


class BlockingWaiter:
    """Runs operations for whoever calls: the threads of a process share one driver, each hub has its own."""

    def __init__(self, options: _core.Options, kind: str | None) -> None:
        self._options = options
        self._kind = kind
        self._main = threading.main_thread().ident
        self._threads: _core.ThreadDriver | None = None
        self._hubs: dict[int, GeventWaiter] = {}
        self._lock = threading.RLock()  # a finalizer may call here from within
        self._closed = False

    def run(self, operation: _core.Operation) -> Any:
        if self._kind != "thread" and "gevent" in _modules:
            hub = hub_of_this_thread()
            if hub is None and self._kind == "gevent":
                import gevent

                hub = gevent.get_hub()
            if hub is not None:
                waiter = self._hubs.get(id(hub))
                if waiter is None or waiter.hub is not hub:  # ids are reused
                    waiter = self._make_waiter(hub)
                return waiter.run(operation)
        if "asyncio" in _modules:
            _warn_of_running_loop()
        threads = self._threads
        if threads is None:
            threads = self._make_threads()
        return threads.run(operation, _get_ident() == self._main)

    def _make_waiter(self, hub: Any) -> GeventWaiter:
        with self._lock:
            if self._closed:
                raise _closed()
            for orphan in [key for key, each in self._hubs.items() if each.orphaned]:
                self._hubs.pop(orphan).close()
            waiter = self._hubs[id(hub)] = GeventWaiter(self._options, hub)
            return waiter

    def _make_threads(self) -> _core.ThreadDriver:
        with self._lock:
            if self._closed:
                raise _closed()
            if self._threads is None:
                self._threads = _core.ThreadDriver(self._options)
            return self._threads

    def close(self) -> None:
        """Ends what is under way; later calls raise `ClosedError`."""
        with self._lock:
            self._closed = True
            threads, hubs, self._hubs = self._threads, self._hubs, {}
        if threads is not None:
            threads.close()
        for waiter in hubs.values():
            waiter.close()

    def abandon_after_fork(self) -> None:
        """In a forked child: forgets the parent's connections without a word on them."""
        self._lock = threading.RLock()
        self._main = _get_ident()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.abandon_after_fork()
        hubs, self._hubs = self._hubs, {}
        for waiter in hubs.values():
            waiter.abandon_after_fork()


def _closed() -> Exception:
    from redislock._errors import ClosedError

    return ClosedError("the client is closed; make a new one")
