"""The asyncio lock: redis-py's `redis.asyncio.lock.Lock`, fair, fenced and renewed.

Whose lock it is, is settled when a method is called, not when its coroutine runs: so
``asyncio.wait_for(lock.acquire(), 1)`` takes it for the caller, though another task runs it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from redislock._errors import ClosedError, DeadlockError, LockError, LockNotOwnedError
from redislock._locks.base import NOT_ACQUIRED, NOT_OWNED_AT_EXIT, BaseLock, wait_of
from redislock._locks.clients import async_client_for, async_runner_for
from redislock._locks.lost import AsyncLost, Watch, call_in_loop, watch
from redislock._locks.scope import acting_for, owner_in_task
from redislock._log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from typing_extensions import Self

    from redislock._core import Hold, Operation
    from redislock._locks.scope import Owner
    from redislock._locks.states import State

__all__ = ["HeldLock", "Lock", "run_for"]


R = TypeVar("R")

_HOOKS = ("do_acquire", "do_release", "do_extend", "do_reacquire")


async def run_for(owner: Owner, do: Callable[..., Coroutine[Any, Any, R]], *args: Any) -> R:
    """Awaits what `do` makes, in whichever task, on behalf of another one."""
    with acting_for(owner):
        return await do(*args)


class Lock(BaseLock):
    """A lock between tasks, processes and machines. A drop-in for redis-py's `redis.asyncio.lock.Lock`.

    `redis` is a `redislock.asyncio.Client`, a URL, or a redis-py client, of which the settings are
    used. The other arguments are those of `redislock.Lock`; with `thread_local=True` the lock belongs
    to a task. `on_lost` is called in the event loop, and may be a coroutine function.
    """

    # No __slots__: attributes may be added and methods replaced, as with redis-py's locks.

    _owner_of_caller: ClassVar[Callable[[], Owner]] = staticmethod(owner_in_task)
    _client_for: ClassVar[Callable[[Any], Any]] = staticmethod(async_client_for)
    _runner_for: ClassVar[Callable[[Any, Any], Callable[[Operation], Any]]] = staticmethod(async_runner_for)
    _polls: ClassVar[bool] = False
    _hooked: ClassVar[bool] = False  # whether a hook is a subclass's, which may ask for `local.token`

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._polls = cls.do_acquire is not Lock.do_acquire
        cls._hooked = any(getattr(cls, each) is not getattr(Lock, each) for each in _HOOKS)

    # ---- taking it

    def acquire(
        self,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> Coroutine[Any, Any, bool]:
        """Takes the lock: True once it is held, False where it was not to be had in time.

        Arguments that are not given are those of the constructor. `token` is what the server stores.
        Raises `DeadlockError` where waiting would never end. A task that is cancelled meanwhile leaves
        neither a lock nor a waiter behind.
        """
        state = self._state()
        given = token is not None
        own = self._encode(token) if given else self._token()
        wait = wait_of(
            self.blocking if blocking is None else blocking,
            self.blocking_timeout if blocking_timeout is None else blocking_timeout,
        )
        if self._polls:
            return run_for(self._owner(), self._poll, state, own, wait)
        return self._acquire_for(state, own, wait, given)

    async def _acquire_for(self, state: State, token: bytes, wait: float | None, given: bool) -> bool:
        self._take_anew(state)
        if self.reentrant and state.token is not None:
            return self._again(state)
        return await self._take(state, token, wait, given)

    async def _take(self, state: State, token: bytes, wait: float | None, given: bool) -> bool:
        try:
            hold = await self._run(self._acquire(token, wait, given))
        except DeadlockError as error:
            raise self._named(error) from None
        if hold is None:
            return False
        self._keep(state, token, hold)
        return True

    async def _poll(self, state: State, token: bytes, wait: float | None) -> bool:
        """As redis-py does, for a subclass with a way of its own to take the lock."""
        self._take_anew(state)
        if self.reentrant and state.token is not None:
            return self._again(state)
        until = None if wait is None else time.monotonic() + wait
        while not await self.do_acquire(token):
            state.forget(token)
            if until is not None and time.monotonic() + self.sleep > until:
                return False
            await asyncio.sleep(self.sleep)
        if state.token != token:
            self._keep(state, token, None)
        return True

    def do_acquire(self, token: bytes) -> Coroutine[Any, Any, bool]:
        """Tries once. A subclass that overrides this is polled."""
        return self._take(self._state(), token, 0, self._kind == "m")

    def _watch(self, hold: Hold) -> Watch:
        return watch(self, hold, call_in_loop())

    # ---- giving it back

    def release(self) -> Coroutine[Any, Any, None]:
        """Gives the lock back. `LockError` where it is not held, `LockNotOwnedError` where it was lost.

        A cancelled release may be tried again.
        """
        if self._hooked:
            return run_for(self._owner(), self._release_for, self._state())
        return self._release_for(self._state())

    async def _release_for(self, state: State) -> None:
        token = state.token
        if token is None:
            raise self._not_held()
        if state.depth:
            state.depth -= 1
            return
        until = self._until(state) if state.doubtful else 0.0
        try:
            await self.do_release(token)
        except LockNotOwnedError:
            state.forget(token)
            if time.monotonic() >= until:
                raise
            return  # by the release before, which was not answered
        except ClosedError:  # there will be no other answer, and it must not be renewed for ever
            self._abandon(state, token)
            raise
        except BaseException:
            state.doubtful = state.token == token
            raise
        state.forget(token)

    async def do_release(self, expected_token: bytes) -> None:
        """Gives back what is held with that token."""
        hold = self._hold_of(expected_token)
        if not await self._run(self._release(expected_token, hold)):
            raise self._not_owned("release", hold)

    # ---- its lease

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Coroutine[Any, Any, Literal[True]]:
        """Adds seconds to the lease, or has it last so long from now on where `replace_ttl`."""
        self._to_extend("extend")
        if self._hooked:
            return run_for(self._owner(), self.do_extend, additional_time, replace_ttl)
        return self.do_extend(additional_time, replace_ttl)

    def do_extend(self, additional_time: float, replace_ttl: bool) -> Coroutine[Any, Any, Literal[True]]:
        """Extends what is held."""
        token, hold = self._to_extend("extend")
        return self._extend_hold("extend", token, hold, additional_time, not replace_ttl)

    def reacquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Has the lease last for the whole `timeout` again."""
        self._to_extend("reacquire")
        if self._hooked:
            return run_for(self._owner(), self.do_reacquire)
        return self.do_reacquire()

    def do_reacquire(self) -> Coroutine[Any, Any, Literal[True]]:
        """Renews what is held."""
        token, hold = self._to_extend("reacquire")
        return self._extend_hold("reacquire", token, hold, self.timeout or 0, False)

    async def _extend_hold(
        self, verb: str, token: bytes, hold: Hold | None, seconds: float, add: bool
    ) -> Literal[True]:
        if self.timeout:
            ours = await self._run(self._extend(token, hold, seconds, add))
        else:  # a lease that never ends cannot be extended: redis-py's answer
            ours = verb == "reacquire" and await self._holds(token)
        if not ours:
            raise self._not_owned(verb, hold)
        return True

    # ---- looking at it

    async def locked(self) -> bool:
        """Whether anybody holds it."""
        for name in self._names:
            if await self._run(self._locks.holder(name)) is not None:
                return True
        return False

    def owned(self) -> Coroutine[Any, Any, bool]:
        """Whether the server says that whoever asks holds it."""
        return self._holds(self._state().token)

    async def _holds(self, token: bytes | None) -> bool:
        if token is None:
            return False
        for name in self._names:
            if await self._run(self._locks.holder(name)) != token:
                return False
        return True

    @property
    def lost(self) -> AsyncLost:
        """Set once what is held now was lost. May be handed to other tasks."""
        return AsyncLost(self._state().hold, self._locks, self._run)

    # ---- async with

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise self._error(LockError, NOT_ACQUIRED)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state = self._state()
        token = state.token
        try:
            await self.release()
        except LockError:
            if self.raise_on_release_error:
                raise
            logger.warning(NOT_OWNED_AT_EXIT)
        except BaseException:  # nobody will try again
            self._abandon(state, token)
            raise


class HeldLock(Lock):
    """What `Client.try_lock` gives: the first `async with` does not take it again, and gives it back."""

    __slots__ = ("_fresh",)

    async def take(self, wait: float | None) -> bool:
        """Takes it, for the first `async with`."""
        self._fresh = await self.acquire(blocking_timeout=wait)
        return self._fresh

    def release(self) -> Coroutine[Any, Any, None]:
        """Gives the lock back."""
        self._fresh = False
        return super().release()

    async def __aenter__(self) -> Self:
        if not self._fresh:
            return await super().__aenter__()
        self._fresh = False
        return self
