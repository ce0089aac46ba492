"""Entities: values with an etag, written only where nobody else wrote since they were read.

Optimistic concurrency: nothing is locked, and who comes second is told what is there now. Made by
`Client.entity` and `redislock.asyncio.Client.entity`.
"""

from __future__ import annotations

import inspect
import json
import random
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from redislock._errors import ConcurrencyError, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redislock._core import Coordination, Operation

__all__ = ["ANYTHING", "AsyncEntity", "Entity", "Versioned"]

Codec: TypeAlias = Literal["json", "bytes"]


class _Anything:
    """The type of `ANYTHING`."""

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = _Anything()
"""The default of `if_match`: write whatever is there."""

IfMatch: TypeAlias = str | _Anything | None


class Versioned(NamedTuple):
    """A value and its etag. Where there is no entity both are None."""

    value: Any
    etag: str | None


_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.032


def _pause_before(repetition: int) -> float:
    """A random time of up to 1 ms at first and 32 ms later, so that those who met part again."""
    longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2.0 ** min(repetition - 1, 10))
    return random.uniform(0, longest)  # noqa: S311  # jitter, no secret


class _BaseEntity:
    """What both kinds share: arguments in, answers out."""

    def __init__(self, core: Coordination, key: str | bytes, codec: Codec, ttl: float | None) -> None:
        if codec not in ("json", "bytes"):
            raise ValueError("codec must be 'json' or 'bytes'")
        core.entity_put(key, b"", ttl=ttl)  # refuses what is wrong with key and ttl; nothing is sent
        self._core = core
        self._key = key
        self._codec = codec
        self._ttl = ttl

    @property
    def key(self) -> str | bytes:
        """The key at which it is stored: a hash with the fields ``etag`` and ``value``."""
        return self._key

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._key!r}>"

    def _encode(self, value: Any) -> bytes:
        if self._codec == "json":
            # NaN and Infinity are no JSON; other readers would stumble over them.
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"value must be bytes, not {type(value).__name__}; or use codec='json'")
        return bytes(value)

    def _decode(self, stored: bytes | None) -> Any:
        if stored is None or self._codec == "bytes":
            return stored
        try:
            return json.loads(stored)
        except ValueError as error:
            raise WrongTypeError(
                f"entity {self._key!r} does not hold JSON ({error}); codec='bytes' reads what it holds"
            ) from None

    def _getting(self, timeout: float | None) -> Operation:
        return self._core.entity_get(self._key, timeout)

    def _putting(self, value: Any, if_match: IfMatch, timeout: float | None) -> Operation:
        wanted, etag = _condition(if_match)
        return self._core.entity_put(self._key, self._encode(value), wanted, etag, self._ttl, timeout)

    def _deleting(self, if_match: IfMatch, timeout: float | None) -> Operation:
        return self._core.entity_delete(self._key, *_condition(if_match), timeout)

    def _versioned(self, said: tuple[bytes | None, str | None]) -> Versioned:
        stored, etag = said
        return Versioned(self._decode(stored), etag)

    def _done(self, said: Any) -> Any:
        """What a write came to; a tuple is a mismatch."""
        if type(said) is not tuple:
            return said
        latest = self._versioned(said)
        what = "there is none" if latest.etag is None else f"its etag is {latest.etag}"
        raise ConcurrencyError(
            f"entity {self._key!r} is not what the write asked for: {what}; nothing was changed",
            key=self._key,
            etag=latest.etag,
            value=latest.value,
        )


def _condition(if_match: IfMatch) -> tuple[bool, str | None]:
    if isinstance(if_match, _Anything):
        return False, None
    if if_match is not None and not isinstance(if_match, str):
        raise TypeError(f"if_match must be an etag or None, not {type(if_match).__name__}")
    if not if_match and if_match is not None:
        raise ValueError("if_match must be an etag, or None where there must be no entity; it is empty")
    return True, if_match


def _check_update(fn: object, retries: object) -> None:
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {type(fn).__name__}")
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise TypeError(f"retries must be an int, not {type(retries).__name__}")
    if retries < 0:
        raise ValueError("retries must be at least 0")


def _updated(value: Any) -> Any:
    if value is None:
        raise TypeError("fn must return the new value, not None; it is given the old one and returns the new")
    return value


class Entity(_BaseEntity):
    """One value with an etag, at exactly `key`; from any number of threads or greenlets.

    `codec` is "json" (whatever `json.dumps` takes) or "bytes". With `ttl` the value lives for that many
    seconds from its last write; without, until it is deleted.

    An etag is the random token (128 bits) of the write that made the value. So it never stands for
    another value: not after a delete, an expiry or a failover, and whatever the clocks say.

    A request whose answer is lost is sent again by itself, and recognizes itself at the server: a write
    never meets its own etag as a mismatch, and with `if_match` it is never applied twice. Only where
    more than 31 other writes came between, or the deadline has passed, it ends in
    `OutcomeUnknownError`: then `get` tells what is there.

    Each method takes `timeout`, the total in seconds, and raises a subclass of `Error` for a fault:
    `WrongTypeError` where the key holds something else, which is left alone.
    """

    def __init__(
        self,
        core: Coordination,
        run: Callable[[Operation], Any],
        key: str | bytes,
        *,
        codec: Codec,
        ttl: float | None,
    ) -> None:
        super().__init__(core, key, codec, ttl)
        self._run = run

    def get(self, *, timeout: float | None = None) -> Versioned:
        """The value and its etag; ``(None, None)`` where there is none."""
        return self._versioned(self._run(self._getting(timeout)))

    def put(self, value: Any, *, if_match: IfMatch = ANYTHING, timeout: float | None = None) -> str:
        """Stores a value and returns its etag.

        With `if_match`, the etag as `get` told it, only if that is still the latest. None means that
        there must be none, as `get` says of an entity that does not exist. Otherwise raises
        `ConcurrencyError`, which holds the latest etag and value. Without `if_match` the last
        writer wins.
        """
        etag: str = self._done(self._run(self._putting(value, if_match, timeout)))
        return etag

    def create(self, value: Any, *, timeout: float | None = None) -> str:
        """Stores a value where there is none, and returns its etag; else raises `ConcurrencyError`."""
        return self.put(value, if_match=None, timeout=timeout)

    def delete(self, *, if_match: IfMatch = ANYTHING, timeout: float | None = None) -> bool:
        """Deletes it, and returns whether there was one. With `if_match` as `put`."""
        existed: bool = self._done(self._run(self._deleting(if_match, timeout)))
        return existed

    def update(
        self, fn: Callable[[Any], Any], *, retries: int = 32, timeout: float | None = None
    ) -> Versioned:
        """Stores what `fn` makes of the value, and returns that with its etag.

        `fn` is given the value, None where there is none, and returns the new one. If somebody else
        wrote meanwhile it is called again with what they wrote, up to `retries` times, after a random
        pause; so it should have no effects of its own. Then `ConcurrencyError` is raised. `timeout`
        is that of each request. What `fn` raises is passed on, and nothing is changed.
        """
        _check_update(fn, retries)
        value, etag = self.get(timeout=timeout)
        for repetition in range(1, retries + 2):
            fresh = _updated(fn(value))
            try:
                return Versioned(fresh, self.put(fresh, if_match=etag, timeout=timeout))
            except ConcurrencyError as met:
                if repetition > retries:
                    raise
                value, etag = met.value, met.etag
            self._run(self._core.sleep(_pause_before(repetition)))
        raise AssertionError  # the last repetition has raised


class AsyncEntity(_BaseEntity):
    """`Entity` for asyncio: the same methods, to be awaited.

    A call that is cancelled ends at once; what was written then may or may not have been applied.
    """

    def __init__(
        self,
        core: Coordination,
        run: Callable[[Operation], Awaitable[Any]],
        key: str | bytes,
        *,
        codec: Codec,
        ttl: float | None,
    ) -> None:
        super().__init__(core, key, codec, ttl)
        self._run = run

    async def get(self, *, timeout: float | None = None) -> Versioned:
        """The value and its etag; ``(None, None)`` where there is none."""
        return self._versioned(await self._run(self._getting(timeout)))

    async def put(
        self,
        value: Any,
        *,
        if_match: IfMatch = ANYTHING,
        timeout: float | None = None,
    ) -> str:
        """Stores a value and returns its etag; see `Entity.put`."""
        etag: str = self._done(await self._run(self._putting(value, if_match, timeout)))
        return etag

    async def create(self, value: Any, *, timeout: float | None = None) -> str:
        """Stores a value where there is none, and returns its etag; else raises `ConcurrencyError`."""
        return await self.put(value, if_match=None, timeout=timeout)

    async def delete(
        self,
        *,
        if_match: IfMatch = ANYTHING,
        timeout: float | None = None,
    ) -> bool:
        """Deletes it, and returns whether there was one. With `if_match` as `put`."""
        existed: bool = self._done(await self._run(self._deleting(if_match, timeout)))
        return existed

    async def update(
        self,
        fn: Callable[[Any], Any | Awaitable[Any]],
        *,
        retries: int = 32,
        timeout: float | None = None,
    ) -> Versioned:
        """Stores what `fn` makes of the value; see `Entity.update`. `fn` may be a coroutine function."""
        _check_update(fn, retries)
        value, etag = await self.get(timeout=timeout)
        for repetition in range(1, retries + 2):
            made = fn(value)
            fresh = _updated(await made if inspect.isawaitable(made) else made)
            try:
                return Versioned(fresh, await self.put(fresh, if_match=etag, timeout=timeout))
            except ConcurrencyError as met:
                if repetition > retries:
                    raise
                value, etag = met.value, met.etag
            await self._run(self._core.sleep(_pause_before(repetition)))
        raise AssertionError  # the last repetition has raised
