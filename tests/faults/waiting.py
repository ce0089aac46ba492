"""Waiting for what must come: polled often, and never for long."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def eventually(what: Callable[[], T], seconds: float = 5.0) -> T:
    """Return the first true answer of `what`; fail after `seconds`."""
    give_up = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.002)
    return answer


def in_background(call: Callable[[], T]) -> concurrent.futures.Future[T]:
    """Run a call in a thread of its own; the future tells how it ended."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail where the block takes longer."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took <= seconds, f"took {took:.3f} s instead of at most {seconds} s"
