"""Rate limits that all clients of a server share, by GCRA on the server's clock.

Made by `Client.rate_limit` and `redislock.asyncio.Client.rate_limit`.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from redislock import _core

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Self


__all__ = ["AsyncRateLimit", "RateLimit", "RateLimitResult"]

P = ParamSpec("P")
R = TypeVar("R")

_MICROSECONDS = 1e6  # of a second


class RateLimitResult(NamedTuple):
    """What a rate limit said. True where it was allowed. Times are seconds."""

    allowed: bool
    """Whether it was allowed, and so counted."""
    remaining: int
    """How many more would be allowed now, if nobody else asks."""
    retry_after: float
    """Where it was not allowed: in how many seconds it would be, if nobody else asks; else 0."""
    reset_after: float
    """In how many seconds all is as if nothing had been asked, if nobody asks."""

    def __bool__(self) -> bool:
        return self.allowed


_Verdict = tuple[bool, int, int, int, int, int]


def _result(said: _Verdict) -> RateLimitResult:
    allowed, remaining, retry_after, reset_after, waited, _ = said
    return RateLimitResult(
        allowed, remaining, retry_after / _MICROSECONDS, (reset_after - waited) / _MICROSECONDS
    )


def _check_function(fn: Any, *, awaits: bool) -> None:
    """Refuses what cannot be paced, and what does not fit the client."""
    if not callable(fn) or isinstance(fn, type):
        raise TypeError("a rate limit decorates functions: @client.rate_limit('key', 5, per=1) above a def")
    if not awaits and inspect.iscoroutinefunction(fn):  # the other may be any that returns an awaitable
        named = getattr(fn, "__qualname__", repr(fn))
        raise TypeError(
            f"{named} is a coroutine function; use the rate_limit() of a redislock.asyncio.Client"
        )


class _BaseRateLimit:
    """What both kinds share: the limit, checked before anything is asked."""

    def __init__(
        self, core: _core.Coordination, key: str | bytes, rate: int, per: float, burst: int | None
    ) -> None:
        self._limit = _core.Rate(rate, per, burst)
        core.rate_ask(key, self._limit)  # refuses a wrong key; nothing is sent
        self._core = core
        self._key = key
        self._rate = rate
        self._per = per

    @property
    def key(self) -> str | bytes:
        """What it is called; its state is stored beside it, at ``{key}:redislock:rate``."""
        return self._key

    @property
    def rate(self) -> int:
        """How many are allowed in each `per` seconds, in the long run."""
        return self._rate

    @property
    def per(self) -> float:
        """Seconds in which `rate` are allowed."""
        return self._per

    @property
    def burst(self) -> int:
        """How many are allowed at once, beyond one."""
        return self._limit.burst

    def __repr__(self) -> str:
        return (
            f"<{type(self).__qualname__} {self._key!r}: {self._rate} in {self._per:g} s, burst {self.burst}>"
        )


class RateLimit(_BaseRateLimit):
    """At most `rate` in `per` seconds in the long run, for all who use `key` on this server.

    `burst` is how many may come at once *beyond* the one that is always due, as in redis-cell and
    throttled: after a quiet time ``burst + 1`` are allowed together, and then one every ``per / rate``
    seconds. Without it it is ``rate - 1``, so that `rate` may come together. With 0 they are evenly
    spaced. In any `t` seconds at most ``burst + 1 + rate * t / per`` are allowed.

    The generic cell rate algorithm (GCRA) in its virtual scheduling form, ITU-T I.371 and ATM Forum
    af-tm-0121.000, computed without rounding in one script, one round trip. The clock is the server's:
    where that is set back no time passes, where it is set forward a whole burst may come early. Under
    another `rate`, `per` or `burst` the same key goes on with what is used up, and at most one burst of
    it. A call whose answer was lost is repeated and may count twice; it never allows more.

    Used from any number of threads, greenlets and processes. As a context manager or a decorator it
    paces: each waits for its turn, first come first served. Each method takes `timeout`, the total in
    seconds for its request, without the time that is waited for a turn.
    """

    def __init__(
        self,
        core: _core.Coordination,
        run: Callable[[_core.Operation], Any],
        key: str | bytes,
        rate: int,
        per: float,
        *,
        burst: int | None,
    ) -> None:
        super().__init__(core, key, rate, per, burst)
        self._run = run

    def acquire(
        self, cost: int = 1, *, wait: float | None = 0.0, timeout: float | None = None
    ) -> RateLimitResult:
        """Asks for `cost` at once, which must not exceed ``burst + 1``. The result is true if allowed.

        With `wait` it takes the next free place if that is due within as many seconds, and returns
        when it is; None waits however long it takes. Otherwise returns at once, with nothing
        counted. A place that was taken is used up, also where the wait for it is broken off.
        """
        said: _Verdict = self._run(self._core.rate_ask(self._key, self._limit, cost, wait, False, timeout))
        if said[4]:
            self._run(self._core.sleep(said[4] / _MICROSECONDS))
        return _result(said)

    def wait(self, timeout: float | None = None, *, cost: int = 1) -> RateLimitResult:
        """Waits for its turn, up to `timeout` seconds; the same as ``acquire(cost, wait=timeout)``."""
        return self.acquire(cost, wait=timeout)

    def peek(self, cost: int = 1, *, timeout: float | None = None) -> RateLimitResult:
        """What `acquire` would say now. Nothing is counted."""
        return _result(self._run(self._core.rate_ask(self._key, self._limit, cost, 0, True, timeout)))

    def reset(self, *, timeout: float | None = None) -> None:
        """As if nothing had been asked yet."""
        self._run(self._core.rate_reset(self._key, timeout))

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """A place that was taken stays taken."""

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Makes each call of `fn` wait for its turn first."""
        _check_function(fn, awaits=False)

        @functools.wraps(fn)
        def paced(*args: P.args, **kwargs: P.kwargs) -> R:
            self.wait()
            return fn(*args, **kwargs)

        return paced


class AsyncRateLimit(_BaseRateLimit):
    """`RateLimit` for asyncio: the same methods, to be awaited; paces coroutine functions."""

    def __init__(
        self,
        core: _core.Coordination,
        run: Callable[[_core.Operation], Awaitable[Any]],
        key: str | bytes,
        rate: int,
        per: float,
        *,
        burst: int | None,
    ) -> None:
        super().__init__(core, key, rate, per, burst)
        self._run = run

    async def acquire(
        self,
        cost: int = 1,
        *,
        wait: float | None = 0.0,
        timeout: float | None = None,
    ) -> RateLimitResult:
        """Asks for `cost` at once, or within `wait` seconds; see `RateLimit.acquire`."""
        said: _Verdict = await self._run(
            self._core.rate_ask(self._key, self._limit, cost, wait, False, timeout)
        )
        if said[4]:
            await self._run(self._core.sleep(said[4] / _MICROSECONDS))
        return _result(said)

    async def wait(self, timeout: float | None = None, *, cost: int = 1) -> RateLimitResult:
        """Waits for its turn, up to `timeout` seconds; the same as ``acquire(cost, wait=timeout)``."""
        return await self.acquire(cost, wait=timeout)

    async def peek(self, cost: int = 1, *, timeout: float | None = None) -> RateLimitResult:
        """What `acquire` would say now. Nothing is counted."""
        return _result(await self._run(self._core.rate_ask(self._key, self._limit, cost, 0, True, timeout)))

    async def reset(self, *, timeout: float | None = None) -> None:
        """As if nothing had been asked yet."""
        await self._run(self._core.rate_reset(self._key, timeout))

    async def __aenter__(self) -> Self:
        await self.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        """A place that was taken stays taken."""

    def __call__(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """Makes each call of the coroutine function `fn` wait for its turn first."""
        _check_function(fn, awaits=True)

        @functools.wraps(fn)
        async def paced(*args: P.args, **kwargs: P.kwargs) -> R:
            await self.wait()
            return await fn(*args, **kwargs)

        return paced
