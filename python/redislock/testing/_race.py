"""A user's own code in a race that is the same every time: it stops where it says so.

    >>> def buy(step):
    ...     stock = int(client.get("stock"))
    ...     step("read")
    ...     client.set("stock", stock - 1)
    >>> client.set("stock", 5)
    >>> print(race(buy, buy, watch=lambda: client.get("stock")))
     1  A: start -> read    5
     2  B: start -> read    5
     3  A: read -> end      4
     4  B: read -> end      4

One racer runs at a time. Sync functions run in a thread each, async ones together in one event
loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import math
import string
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["AsyncStep", "Outcome", "RaceReport", "RaceStep", "Step", "race"]

_START: Final = "start"
_END: Final = "end"


class _AbandonedError(BaseException):
    """Raised at a checkpoint of a race that was given up."""


class Step:
    """The checkpoint of a sync function: ``step("read")`` stops until it is this racer's turn again."""

    def __init__(self, stage: _Stage, racer: _Racer) -> None:
        self._stage = stage
        self._racer = racer

    @property
    def racer(self) -> str:
        """Who this is: ``A``, ``B``, ..."""
        return self._racer.name

    def __call__(self, label: str = "") -> None:
        self._stage.stop(self._racer, label)


class AsyncStep:
    """The checkpoint of an async function: ``await step("read")``."""

    def __init__(self, stage: _Stage, racer: _Racer) -> None:
        self._stage = stage
        self._racer = racer

    @property
    def racer(self) -> str:
        """Who this is: ``A``, ``B``, ..."""
        return self._racer.name

    async def __call__(self, label: str = "") -> None:
        await self._stage.stop_async(self._racer, label)


@dataclasses.dataclass(frozen=True)
class RaceStep:
    """What one racer did between two checkpoints."""

    number: int
    racer: str
    begin: str
    """The checkpoint that it went on from; ``start`` at first."""
    end: str
    """The one that it came to; ``end`` where it returned or raised, empty where it did not get anywhere."""
    waits: bool
    """Whether it waits for something, like a lock that the other holds."""
    freed: bool
    """Whether it waited, and came this far in the turn of another."""
    seen: Any
    """What `watch` answered afterwards."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one function ended."""

    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """Return its value, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclasses.dataclass(frozen=True)
class RaceReport:
    """What happened; its text is the timeline."""

    steps: tuple[RaceStep, ...]
    outcomes: dict[str, Outcome]

    @property
    def order(self) -> str:
        """Whose steps they were, like ``ABAB``: the `order` that leads through the same race again."""
        return "".join(each.racer for each in self.steps if not each.freed)

    def __getitem__(self, racer: str) -> Outcome:
        return self.outcomes[racer]

    def __str__(self) -> str:
        told = [
            f"{each.racer}: {each.begin} -> {'(waits)' if each.waits else each.end or '(unnamed)'}"
            for each in self.steps
        ]
        width = max(map(len, told), default=0)
        lines = [
            f"{each.number:>2}  {text:<{width}}  {'' if each.seen is None else each.seen}".rstrip()
            for each, text in zip(self.steps, told, strict=True)
        ]
        lines += [f"    {name}: raised {each.error!r}" for name, each in self.outcomes.items() if each.error]
        return "\n".join(lines)


def race(
    fn_a: Callable[[Any], Any],
    fn_b: Callable[[Any], Any],
    *more: Callable[[Any], Any],
    order: str = "",
    watch: Callable[[], Any] | None = None,
    patience: float = 0.5,
    timeout: float = 10.0,
) -> RaceReport:
    """Lead functions through one interleaving, from checkpoint to checkpoint, the same every time.

    Each function is called with its checkpoint, a `Step`, or an `AsyncStep` where it is a coroutine
    function: ``step("read")``, ``await step("read")``. They are named A, B, ... and stand still at
    first. Then they take turns, each from one checkpoint to its next one, until all have returned or
    raised; `order`, like ``"ABBA"``, says whose the first turns are. `watch` is called after every
    turn and its answer kept, say ``lambda: client.balance("alice")``.

    Who does not come to a checkpoint within `patience` seconds is taken to wait for somebody: the
    turn passes on, and it stops at its next checkpoint. Choose `patience` well above what the code
    takes by itself. After `timeout` seconds in all `TimeoutError` tells how far they got.

    What it can stop: code, where it calls `step`. What it cannot: anything in between. Put a
    checkpoint between the read and the write that you suspect; what a library, a server or a single
    statement does without calling `step` is one turn. It proves what happens in this interleaving,
    not that there is no worse one. Async functions share one event loop that belongs to the race, so
    what is bound to the loop of the caller cannot be used in them. A function that never returns
    leaves its daemon thread behind.
    """
    functions: tuple[Any, ...] = (fn_a, fn_b, *more)
    if len(functions) > len(string.ascii_uppercase):
        raise ValueError(f"a race has at most {len(string.ascii_uppercase)} functions")
    if strange := [each for each in functions if not callable(each)]:
        raise TypeError(f"a race is between functions, and {strange[0]!r} is none")
    names = string.ascii_uppercase[: len(functions)]
    if unknown := sorted(set(order) - set(names)):
        raise ValueError(f"order may name {', '.join(names)}, and not {', '.join(unknown)}")
    times: dict[str, Any] = {"patience": patience, "timeout": timeout}
    for name, seconds in times.items():
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
            raise ValueError(f"{name} must be a positive number of seconds, not {seconds!r}")
    racers = [_Racer(name, each) for name, each in zip(names, functions, strict=True)]
    stage = _Stage(racers, patience=patience, timeout=timeout)
    stage.open()
    try:
        return stage.lead(order, watch)
    finally:
        stage.close()


def _whole(value: Any) -> Any:
    """Return what a sync function returned, unless there is something left to do."""
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("a sync function returned a coroutine; pass an async function, or a partial of one")
    return value


class _Racer:
    """One function, and where it is."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self.name = name
        self.function = function
        self.runs = True
        self.ended = False
        self.at = ""
        self.go: Callable[[], object] | None = None  # lets it go on; None where it does not stand still
        self.outcome = Outcome()

    @property
    def is_async(self) -> bool:
        call = getattr(self.function, "__call__", None)  # noqa: B004 - of an object that is callable
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(call)


class _Stage:
    """Decides who runs."""

    def __init__(self, racers: list[_Racer], *, patience: float, timeout: float) -> None:
        self._racers = racers
        self._patience = patience
        self._give_up = time.monotonic() + timeout
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._steps: list[RaceStep] = []
        self._waiting: dict[str, str] = {}  # who waits for somebody, and the checkpoint it went on from

    def open(self) -> None:
        """Start everybody, up to the start line."""
        for racer in self._racers:
            if not racer.is_async:
                self._thread(functools.partial(self._run, racer))
        if any(each.is_async for each in self._racers):
            self._thread(lambda: asyncio.run(self._run_async()))
        for racer in self._racers:
            self._await(racer, self._give_up)

    def lead(self, order: str, watch: Callable[[], Any] | None) -> RaceReport:
        """Go through the race."""
        for racer in self._turns(order):
            if time.monotonic() >= self._give_up:
                raise TimeoutError(f"the race did not end; so far:\n{self._report()}")
            if not racer.runs:
                self._turn(racer, watch)
            elif all(each.runs or each.ended for each in self._racers):
                self._await(racer, self._soon())
            self._note_arrivals(racer, watch)
        return self._report()

    def stop(self, racer: _Racer, label: str) -> None:
        """Stand still in the racer's own thread."""
        free = threading.Event()
        self._arrive(racer, label, free.set)
        free.wait()
        self._leave()

    async def stop_async(self, racer: _Racer, label: str) -> None:
        """Stand still in the event loop, which goes on."""
        loop, free = asyncio.get_running_loop(), asyncio.Event()
        self._arrive(racer, label, lambda: loop.call_soon_threadsafe(free.set))
        await free.wait()
        self._leave()

    def close(self) -> None:
        """Let everybody who still stands somewhere leave by an exception."""
        with self._changed:
            self._closed = True
            standing = [each.go for each in self._racers if each.go is not None]
        for go in standing:
            go()
        for thread in self._threads:
            thread.join(self._patience)

    def _turns(self, order: str) -> Iterator[_Racer]:
        by_name = {each.name: each for each in self._racers}
        for name in order:
            if not by_name[name].ended:
                yield by_name[name]
        while not all(each.ended for each in self._racers):
            for each in self._racers:
                if not each.ended:
                    yield each

    def _turn(self, racer: _Racer, watch: Callable[[], Any] | None) -> None:
        begin = racer.at
        self._release(racer)
        arrived = self._await(racer, self._soon())
        if not arrived:
            self._waiting[racer.name] = begin
        self._note(racer, begin, watch, waits=not arrived)

    def _note_arrivals(self, but: _Racer, watch: Callable[[], Any] | None) -> None:
        """Tell of those who waited, and whom the turn of another has freed."""
        for racer in self._racers:
            if racer.name not in self._waiting or (racer is but and racer.runs):
                continue
            if self._await(racer, self._soon()):
                self._note(racer, self._waiting.pop(racer.name), watch, freed=True)

    def _note(
        self,
        racer: _Racer,
        begin: str,
        watch: Callable[[], Any] | None,
        *,
        waits: bool = False,
        freed: bool = False,
    ) -> None:
        seen = None if watch is None else watch()
        number, end = len(self._steps) + 1, "" if waits else racer.at
        self._steps.append(RaceStep(number, racer.name, begin, end, waits=waits, freed=freed, seen=seen))

    def _soon(self) -> float:
        return min(self._give_up, time.monotonic() + self._patience)

    def _report(self) -> RaceReport:
        return RaceReport(tuple(self._steps), {each.name: each.outcome for each in self._racers})

    def _arrive(self, racer: _Racer, label: str, go: Callable[[], object]) -> None:
        with self._changed:
            if self._closed:
                raise _AbandonedError
            racer.runs, racer.at, racer.go = False, label, go
            self._changed.notify_all()

    def _leave(self) -> None:
        if self._closed:
            raise _AbandonedError

    def _release(self, racer: _Racer) -> None:
        with self._changed:
            go, racer.go, racer.runs = racer.go, None, True
        if go is not None:
            go()

    def _await(self, racer: _Racer, until: float) -> bool:
        """Wait until a racer stands still or has ended."""
        with self._changed:
            return self._changed.wait_for(lambda: not racer.runs, max(0.0, until - time.monotonic()))

    def _end(self, racer: _Racer, outcome: Outcome) -> None:
        with self._changed:
            racer.outcome = outcome
            racer.runs, racer.ended, racer.at = False, True, _END
            self._changed.notify_all()

    def _thread(self, target: Callable[[], object]) -> None:
        thread = threading.Thread(target=target, daemon=True, name="redislock-race")
        self._threads.append(thread)
        thread.start()

    def _run(self, racer: _Racer) -> None:
        try:
            self.stop(racer, _START)
            outcome = Outcome(_whole(racer.function(Step(self, racer))))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this racer's outcome
            outcome = Outcome(error=error)
        self._end(racer, outcome)

    async def _run_async(self) -> None:
        await asyncio.gather(*(self._run_one(each) for each in self._racers if each.is_async))

    async def _run_one(self, racer: _Racer) -> None:
        try:
            await self.stop_async(racer, _START)
            call: Awaitable[Any] = racer.function(AsyncStep(self, racer))
            outcome = Outcome(await call)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this racer's outcome
            outcome = Outcome(error=error)
        self._end(racer, outcome)
