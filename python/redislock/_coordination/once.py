"""What is done once by all processes together: the first caller runs, the others get its result.

Made by `Client.once` and `redislock.asyncio.Client.once`. Whose turn it is decides a read-write lock of this
package: who does it is the writer, who waits for the result is one of many readers. Its fencing token guards
the result.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from redislock._coordination.once_base import BaseOnce, OnceResult, OnceTurn
from redislock._errors import Error
from redislock._locks.naming import refuse_postponed
from redislock._locks.scope import owner_here, owner_in_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from redislock import _core
    from redislock._locks.scope import Owner

__all__ = ["AsyncOnce", "Once"]

P = ParamSpec("P")
R = TypeVar("R")


class Once(BaseOnce["Callable[[_core.Operation], Any]"]):
    """Something that is done once under `key`, whoever calls, on whatever machine.

    The first caller runs. The others wait for it and get its result together; so do all who come within
    `ttl` seconds after (None: until `forget`). If it raises, nothing is kept and another runs. If
    its process dies, the next runs once the `lease` (30 s, renewed while it runs) has ended.

    A result is stored only if nobody took over: who was stopped for longer than its lease gets
    `LockLostError`, and what the other did counts. So it is done once for all who look at the result; a
    process that dies, or a server that loses what it acknowledged, may have done it before, so what must not
    happen twice outside (a charge) needs an idempotency key of its own there, such as `key`.

    `codec` is "json" or "bytes", and says what a result may be; others get what JSON makes of it. A result
    that cannot be stored raises `TypeError`, and it is not done again. `wait` is for how many seconds a
    caller waits at most, then `TimeoutError` is raised.

    Use it as a decorator (the key may name arguments: ``"charge:{order_id}"``), by `run`, or with `with`.
    From any number of threads and greenlets.
    """

    def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> OnceResult:
        """Calls `fn`, or waits for who does; returns the result, and whether it ran here."""
        with self as turn:
            if turn.mine:
                turn.result = fn(*args, **kwargs)
                refuse_postponed(turn.result, fn)
        return OnceResult(turn.result, turn.mine)

    def peek(self, *, timeout: float | None = None) -> OnceResult | None:
        """The result that is kept, or None. Waits for nobody."""
        found = self._run(self._core.once_get(self._key, timeout))
        return None if found is None else OnceResult(self._done(found).result, ran=False)

    def forget(self, *, timeout: float | None = None) -> bool:
        """Lets it be done again; returns whether it had been done."""
        forgotten: bool = self._run(self._core.once_forget(self._key, timeout))
        return forgotten

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorates a function, whose calls then return the one result."""
        once_of = self._maker(function, awaits=False)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            value: R = once_of(*args, **kwargs).run(function, *args, **kwargs).value
            return value

        return run

    def __enter__(self) -> OnceTurn:
        owner = owner_here()
        self._refuse_itself(owner)
        return self._enter(owner, self._begin(owner))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        turn = self._leave(owner_here())
        hold = self._hold_of(turn, kind)
        if hold is None:
            return
        if kind is not None:
            if issubclass(kind, Exception):
                self._give_back(hold)
            else:
                hold.give_back()
            return
        try:
            storing, wrong = self._storing(turn)
            stored = self._run(storing)
        except BaseException:
            hold.give_back()
            raise
        self._give_back(hold)
        self._judge(stored, wrong)

    def _begin(self, owner: Owner) -> OnceTurn:
        found = self._run(self._core.once_get(self._key))
        if found is not None:
            return self._done(found)
        left = self._patience()
        turn = self._try(owner, "w", 0)
        if turn is None:  # somebody is at it: when it is done, all who wait look together
            turn = self._try(owner, "r", left())
            if turn is not None and turn.mine:  # nothing was stored, so somebody else has to do it
                self._give_back(turn._hold)  # noqa: SLF001
                turn = self._try(owner, "w", left())
        if turn is None:
            raise self._busy()
        return turn

    def _try(self, owner: Owner, kind: str, wait: float | None) -> OnceTurn | None:
        """A turn with the lock held; or one that is not ours, with what was done; or None if it is taken."""
        hold = self._run(self._acquiring(owner.who, kind, wait))
        if hold is None:
            return None
        try:
            found = self._run(self._core.once_get(self._key))
        except BaseException:
            hold.give_back()
            raise
        if found is None:
            return OnceTurn(hold)
        self._give_back(hold)
        return self._done(found)

    def _give_back(self, hold: _core.Hold | None) -> None:
        if hold is None:
            return
        try:
            self._run(self._locks.release(hold))
        except Error:  # what was done counts; the lock ends with its lease at the latest
            hold.give_back()
        except BaseException:
            hold.give_back()
            raise


class AsyncOnce(BaseOnce["Callable[[_core.Operation], Awaitable[Any]]"]):
    """`Once` for asyncio: ``async with``, coroutine functions, and the same methods, to be awaited.

    A task that is cancelled while it runs gives its turn to the next.
    """

    async def run(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> OnceResult:
        """Awaits `fn`, or who runs it; returns the result, and whether it ran here."""
        async with self as turn:
            if turn.mine:
                turn.result = await fn(*args, **kwargs)
                refuse_postponed(turn.result, fn)
        return OnceResult(turn.result, turn.mine)

    async def peek(self, *, timeout: float | None = None) -> OnceResult | None:
        """The result that is kept, or None. Waits for nobody."""
        found = await self._run(self._core.once_get(self._key, timeout))
        return None if found is None else OnceResult(self._done(found).result, ran=False)

    async def forget(self, *, timeout: float | None = None) -> bool:
        """Lets it be done again; returns whether it had been done."""
        forgotten: bool = await self._run(self._core.once_forget(self._key, timeout))
        return forgotten

    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorates a coroutine function, whose calls then return the one result."""
        once_of = self._maker(function, awaits=True)

        @functools.wraps(function)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            value: R = (await once_of(*args, **kwargs).run(function, *args, **kwargs)).value
            return value

        return run

    async def __aenter__(self) -> OnceTurn:
        owner = owner_in_task()
        self._refuse_itself(owner)
        return self._enter(owner, await self._begin(owner))

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        turn = self._leave(owner_in_task())
        hold = self._hold_of(turn, kind)
        if hold is None:
            return
        if kind is not None:
            if issubclass(kind, Exception):
                await self._give_back(hold)
            else:
                hold.give_back()
            return
        try:
            storing, wrong = self._storing(turn)
            stored = await self._run(storing)
        except BaseException:
            hold.give_back()
            raise
        await self._give_back(hold)
        self._judge(stored, wrong)

    async def _begin(self, owner: Owner) -> OnceTurn:
        found = await self._run(self._core.once_get(self._key))
        if found is not None:
            return self._done(found)
        left = self._patience()
        turn = await self._try(owner, "w", 0)
        if turn is None:  # somebody is at it: when it is done, all who wait look together
            turn = await self._try(owner, "r", left())
            if turn is not None and turn.mine:  # nothing was stored, so somebody else has to do it
                await self._give_back(turn._hold)  # noqa: SLF001
                turn = await self._try(owner, "w", left())
        if turn is None:
            raise self._busy()
        return turn

    async def _try(self, owner: Owner, kind: str, wait: float | None) -> OnceTurn | None:
        """A turn with the lock held; or one that is not ours, with what was done; or None if it is taken."""
        hold = await self._run(self._acquiring(owner.who, kind, wait))
        if hold is None:
            return None
        try:
            found = await self._run(self._core.once_get(self._key))
        except BaseException:
            hold.give_back()
            raise
        if found is None:
            return OnceTurn(hold)
        await self._give_back(hold)
        return self._done(found)

    async def _give_back(self, hold: _core.Hold | None) -> None:
        if hold is None:
            return
        try:
            await self._run(self._locks.release(hold))
        except Error:  # what was done counts; the lock ends with its lease at the latest
            hold.give_back()
        except BaseException:
            hold.give_back()
            raise
