"""How a blocking call waits: as a thread, or as a greenlet that leaves its hub running.

Chosen at each call: a thread in which a gevent hub runs waits cooperatively, any other blocks with
the GIL released. So a client may be made before gevent patches, and be used by both kinds.
"""

from __future__ import annotations

import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

from redislock import _core

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BlockingWaiter", "GeventWaiter"]

_get_ident = threading.get_ident
_modules = sys.modules


def _warn_of_running_loop() -> None:
    asyncio = _modules.get("asyncio")
    # The public get_running_loop() raises where there is none.
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001
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


def _hub_of_this_thread() -> Any:
    import gevent

    return gevent._hub_local.get_hub_if_exists()  # noqa: SLF001  # get_hub() would make one


class GeventWaiter:
    """Runs operations for the greenlets of one hub."""

    def __init__(self, options: _core.Options, hub: Any) -> None:
        from greenlet import getcurrent

        self._getcurrent: Callable[[], Any] = getcurrent
        self._hub = hub
        self._switch: Callable[[], Any] = hub.switch
        self._core = _core.LoopDriver(options)
        self._scheduled = False
        self._closed = False
        # Holds the loop open only while something is under way, so that an idle client ends no
        # program late.
        self._io = hub.loop.io(self._core.fileno(), 1)
        self._io.ref = False
        self._io.start(self._on_ready)

    def run(self, operation: _core.Operation) -> Any:
        waiter = (self._getcurrent(), operation)
        self._core.submit(operation, waiter)
        if not self._scheduled:
            self._schedule()
        try:
            answer = self._switch()
            # Somebody else may switch to this greenlet; only the answer to this call counts.
            while type(answer) is not tuple or not answer or answer[0] is not waiter:
                answer = self._switch()
        except BaseException:
            self._core.cancel(operation)
            if not self._scheduled:
                self._schedule()
            raise
        if answer[2]:
            raise answer[1]
        return answer[1]

    def _schedule(self) -> None:
        self._scheduled = True
        self._hub.loop.run_callback(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        self._deliver(self._core.flush())

    def _on_ready(self) -> None:
        self._deliver(self._core.pump())

    def _deliver(self, finished: list[tuple[Any, Any, bool]]) -> None:
        for answer in finished:
            try:
                answer[0][0].switch(answer)
            except BaseException:  # noqa: BLE001, PERF203  # one failure must not cost the others their answers
                self._hub.handle_error(answer[0][0], *sys.exc_info())
        if not self._closed:
            self._io.ref = self._core.in_flight > 0

    def close(self) -> None:
        """Ends what is under way.

        The hub's own thread does it, and the hub tells the waiting greenlets: the caller may be one
        of them, and must not wait for what they do next.
        """
        if self._closed:
            return
        loop = self._hub.loop
        if loop is None:  # its thread has ended
            self._closed = True
            self._core.close()
        elif _hub_of_this_thread() is not self._hub:
            loop.run_callback_threadsafe(self._close_here)
        else:
            self._close_here()

    def _close_here(self) -> None:
        self._closed = True
        self._io.stop()
        self._io.close()
        self._hub.loop.run_callback(self._deliver, self._core.close())

    def abandon_after_fork(self) -> None:
        self._io.stop()  # before gevent renews its loop, which would look at a closed descriptor
        self._io.close()
        self._core.abandon_after_fork()


class BlockingWaiter:
    """Runs operations for whoever calls: the threads of a process share one driver, each hub has its own."""

    def __init__(self, options: _core.Options, kind: str | None) -> None:
        self._options = options
        self._kind = kind
        self._main = threading.main_thread().ident
        self._threads: _core.ThreadDriver | None = None
        self._hubs: dict[int, GeventWaiter] = {}
        self._lock = threading.Lock()
        self._closed = False

    def run(self, operation: _core.Operation) -> Any:
        if self._kind != "thread" and "gevent" in _modules:
            hub = self._hub()
            if hub is not None:
                return self._waiter_of(hub).run(operation)
        if "asyncio" in _modules:
            _warn_of_running_loop()
        threads = self._threads
        if threads is None:
            threads = self._make_threads()
        return threads.run(operation, _get_ident() == self._main)

    def _hub(self) -> Any:
        if self._kind == "gevent":
            import gevent

            return gevent.get_hub()
        return _hub_of_this_thread()

    def _waiter_of(self, hub: Any) -> GeventWaiter:
        waiter = self._hubs.get(id(hub))
        if waiter is None or waiter._hub is not hub:  # noqa: SLF001  # ids are reused
            if self._closed:
                raise _closed()
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
        self._closed = True
        if self._threads is not None:
            self._threads.close()
        hubs, self._hubs = self._hubs, {}
        for waiter in hubs.values():
            waiter.close()

    def abandon_after_fork(self) -> None:
        """In a forked child: forgets the parent's connections without a word on them."""
        self._lock = threading.Lock()
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
