"""What is done once, as both clients have it: arguments in, answers out, whose turn it is here.

Knows nothing of waiting.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from redislock._errors import LockLostError, LockNotOwnedError, TimeoutError, WrongTypeError  # noqa: A004  # ours
from redislock._locks.naming import make_namer

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from redislock import _core
    from redislock._coordination.entity import Codec
    from redislock._locks.scope import Owner

__all__ = ["BaseOnce", "Links", "OnceResult", "OnceTurn"]

Run = TypeVar("Run")


class OnceResult(NamedTuple):
    """What came of a call: the result, and whether it ran for this caller."""

    value: Any
    ran: bool


class OnceTurn:
    """What ``with client.once(...) as turn`` is given.

    Where `mine` is true, do it, and set `result`; where it is not, it was done, and `result` is what came
    of it.
    """

    __slots__ = ("_hold", "_process", "_who", "mine", "result")

    def __init__(self, hold: _core.Hold | None, result: Any = None) -> None:
        self._hold = hold
        self._process = os.getpid()
        self._who = ""
        self.mine = hold is not None
        self.result = result

    @property
    def fence(self) -> int | None:
        """The fencing token of this turn, greater than those of all before; None where it is not ours."""
        return None if self._hold is None else self._hold.fence

    @property
    def lost(self) -> bool:
        """Whether the lease has ended although this process lives, so that another may have taken over."""
        return self._hold is not None and self._hold.lost

    def __bool__(self) -> bool:
        return self.mine


# Which thread, greenlet or task is having its turn of what, on which client.
_running: set[tuple[str, int, bytes]] = set()


class Links(NamedTuple, Generic[Run]):
    """What a client lends."""

    core: _core.Coordination
    locks: _core.Locks
    run: Run
    client_name: str


def _check_function(function: Any, *, awaits: bool) -> None:
    """Refuses what has no result to keep, and what does not fit the client."""
    if isinstance(function, (classmethod, staticmethod)):
        raise TypeError(
            f"once() decorates functions: put it below @{type(function).__name__}, next to the def"
        )
    if not callable(function) or isinstance(function, type):
        raise TypeError("once() decorates functions: @client.once('key', ttl=60) above a def")
    named = getattr(function, "__qualname__", repr(function))
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{named} is a generator: it has no result that could be kept")
    if awaits and not inspect.iscoroutinefunction(function):
        raise TypeError(f"{named} is no coroutine function; use the once() of a redislock.Client")
    if not awaits and inspect.iscoroutinefunction(function):
        raise TypeError(f"{named} is a coroutine function; use the once() of a redislock.asyncio.Client")


class BaseOnce(Generic[Run]):
    """What both kinds share: arguments in, answers out."""

    def __init__(
        self,
        links: Links[Run],
        key: str | bytes,
        *,
        ttl: float | None,
        codec: Codec,
        lease: float,
        wait: float | None,
    ) -> None:
        if codec not in ("json", "bytes"):
            raise ValueError("codec must be 'json' or 'bytes'")
        self._links = links
        self._core, self._locks, self._run, _ = links
        self._key = key
        self._ttl = ttl
        self._codec = codec
        self._lease = lease
        self._wait = wait
        self._turn = self._core.once_turn(key)
        self._open: list[OnceTurn] = []
        self._core.once_put(key, None, b"", 0, ttl)  # refuses a wrong ttl; nothing is sent
        self._acquiring("", "w", wait)  # the same of lease and wait

    @property
    def key(self) -> str | bytes:
        """What it is called. The result is kept at ``{key}:redislock:once``."""
        return self._key

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._key!r}>"

    def _named(self, key: str) -> Self:
        return type(self)(
            self._links, key, ttl=self._ttl, codec=self._codec, lease=self._lease, wait=self._wait
        )

    def _maker(self, function: Callable[..., Any], *, awaits: bool) -> Callable[..., Self]:
        """What makes the `Once` of a call of `function` from its arguments."""
        _check_function(function, awaits=awaits)
        if isinstance(self._key, bytes):
            return lambda *_, **__: self
        name_of = make_namer(function, self._key)
        return lambda *args, **kwargs: self._named(name_of(*args, **kwargs))

    def _acquiring(self, who: str, kind: str, wait: float | None) -> _core.Operation:
        """Whose turn it is has the lock as a writer; who waits for its result, as one of many readers."""
        from redislock import _core

        token = _core.make_token(who, self._links.client_name)
        return self._locks.acquire([self._turn], kind, token, self._lease, wait, renew=kind == "w")

    def _patience(self) -> Callable[[], float | None]:
        """Tells how much longer this caller would wait."""
        wait = self._wait
        if wait is None:
            return lambda: None
        end = time.monotonic() + wait
        return lambda: max(0.0, end - time.monotonic())

    def _busy(self) -> Exception:
        return TimeoutError(f"once {self._key!r} is still running elsewhere after {self._wait:g} s")

    def _running_as(self, who: str) -> tuple[str, int, bytes]:
        return who, id(self._locks), self._turn

    def _refuse_itself(self, owner: Owner) -> None:
        if self._running_as(owner.who) in _running:
            raise RuntimeError(f"once {self._key!r} would wait for itself: it is running here already")

    def _enter(self, owner: Owner, turn: OnceTurn) -> OnceTurn:
        turn._who = owner.who  # noqa: SLF001  # the same module
        self._open.append(turn)
        if turn.mine:
            _running.add(self._running_as(owner.who))
        return turn

    def _leave(self, owner: Owner) -> OnceTurn:
        """The innermost turn of who leaves. A generator may be closed by somebody else than its user."""
        of_owner = [each for each in self._open if each._who == owner.who]  # noqa: SLF001
        turn = (of_owner or self._open)[-1]
        self._open.remove(turn)
        if turn.mine:
            _running.discard(self._running_as(turn._who))  # noqa: SLF001
        return turn

    def _hold_of(self, turn: OnceTurn, kind: type[BaseException] | None) -> _core.Hold | None:
        """What a turn that ends has to give back. A forked child has nothing of its parent's."""
        hold = turn._hold  # noqa: SLF001
        if hold is None or turn._process == os.getpid():  # noqa: SLF001
            return hold
        if kind is None:
            raise LockNotOwnedError(
                f"once {self._key!r} is the turn of the process that forked this one; no result was stored",
                self._name(),
            )
        return None

    def _name(self) -> str:
        return self._key if isinstance(self._key, str) else self._key.decode(errors="replace")

    def _done(self, found: list[bytes]) -> OnceTurn:
        if not found:
            raise TypeError(
                f"once {self._key!r} was done, and its result could not be stored: it is not what "
                f"codec={self._codec!r} takes"
            )
        if self._codec == "bytes":
            return OnceTurn(None, found[0])
        try:
            return OnceTurn(None, json.loads(found[0]))
        except ValueError as error:
            raise WrongTypeError(
                f"once {self._key!r} holds a result that is not JSON ({error}); read it with codec='bytes'"
            ) from None

    def _encode(self, value: Any) -> bytes:
        if self._codec == "json":
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"it must be bytes, not {type(value).__name__}")
        return bytes(value)

    def _storing(self, turn: OnceTurn) -> tuple[_core.Operation, Exception | None]:
        """The storing of a result; of one that cannot be stored, that it was done: it must not run again."""
        assert turn._hold is not None  # noqa: S101, SLF001  # only for turns of ours
        hold = turn._hold  # noqa: SLF001
        stored, wrong = None, None
        try:
            stored = self._encode(turn.result)
        except (TypeError, ValueError, RecursionError) as error:
            wrong = TypeError(
                f"once {self._key!r} ran, and will not run again, but its result cannot be stored: {error}"
            )
        return self._core.once_put(self._key, stored, hold.token, hold.fence, self._ttl), wrong

    def _judge(self, stored: bool, wrong: Exception | None) -> None:
        if not stored:
            raise LockLostError(
                f"once {self._key!r} ran here for longer than its lease was kept, and another has taken "
                "over; its result was not stored",
                self._name(),
            )
        if wrong is not None:
            raise wrong
