"""The blocking lock, for threads and greenlets: redis-py's `Lock`, fair, fenced and renewed.

What the other primitives of this face build on. It only waits; the rest is in `base`.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from redislock._errors import ClosedError, DeadlockError, LockError, LockNotOwnedError
from redislock._locks.base import NOT_ACQUIRED, NOT_OWNED_AT_EXIT, BaseLock, wait_of
from redislock._locks.clients import blocking_client_for, blocking_runner_for
from redislock._locks.lost import Lost, Watch, call_in_hub_or_thread, watch
from redislock._locks.scope import owner_here
from redislock._log import logger
from redislock._waiters import hub_of_this_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from redislock._core import Hold, LocalMutex, Operation
    from redislock._locks.scope import Owner
    from redislock._locks.states import State

__all__ = ["HeldLock", "Lock", "sleep_here"]


def sleep_here(seconds: float) -> None:
    """Sleeps as whoever calls should: a greenlet leaves its hub running."""
    if "gevent" in sys.modules and hub_of_this_thread() is not None:
        import gevent

        gevent.sleep(seconds)
    else:
        time.sleep(seconds)


class Lock(BaseLock):
    """A lock between threads, processes and machines. A drop-in for redis-py's `redis.lock.Lock`.

    `redis` is a `redislock.Client`, a URL, or a redis-py client, of which the settings are used.
    `timeout` is the lease in seconds, after which a lock that was not released ends; None for none.
    `blocking` and `blocking_timeout` say whether and how long `acquire` waits. With
    `thread_local=False` the lock belongs to all threads together, and any of them may release it.
    `raise_on_release_error=False` logs a lock that was lost within `with` instead of raising.
    `sleep` matters only where a subclass overrides `do_acquire`: else nothing is polled.

    Beyond redis-py: `fair=False` may overtake who waits. `auto_renew` extends the lease until the
    lock is released, for at most `max_hold` seconds. `on_lost` is called with the lock once it is
    lost, in this hub or else in a thread of redislock. A `reentrant` lock can be taken again by its
    owner, also through another lock of that name and client. `detect_deadlocks=False` waits also where
    waiting will never end.
    """

    # No __slots__: attributes may be added and methods replaced, as with redis-py's locks.

    _owner_of_caller: ClassVar[Callable[[], Owner]] = staticmethod(owner_here)
    _client_for: ClassVar[Callable[[Any], Any]] = staticmethod(blocking_client_for)
    _runner_for: ClassVar[Callable[[Any, Any], Callable[[Operation], Any]]] = staticmethod(
        blocking_runner_for
    )
    _polls: ClassVar[bool] = False

    _hooked: ClassVar[bool] = False  # whether a hook of taking or giving back is a subclass's
    _releases: ClassVar[bool] = False  # whether `release` is

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._polls = cls.do_acquire is not Lock.do_acquire
        cls._releases = cls.release is not Lock.release
        cls._hooked = cls._polls or cls.do_release is not Lock.do_release

    # ---- taking it

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Takes the lock: True once it is held, False where it was not to be had in time.

        Arguments that are not given are those of the constructor. `token` is what the server stores.
        Raises `DeadlockError` where waiting would never end.
        """
        owner = self._owner()
        state = self._states.get(owner.key) or self._states.of(owner)
        shortcut = self._shortcut
        if shortcut is None:
            shortcut = self._shortcut = self._make_shortcut()
        if (
            shortcut is not False
            and token is None
            and state.token is None
            and shortcut.take(
                state,
                owner.who,
                self.timeout,
                self.auto_renew,
                self.max_hold,
                self.on_lost,
                self.blocking_timeout,
                blocking_timeout,
            )
        ):
            return True
        self._take_anew(state)
        if self.reentrant and state.token is not None:
            return self._again(state)
        given = token is not None
        wait = wait_of(
            self.blocking if blocking is None else blocking,
            self.blocking_timeout if blocking_timeout is None else blocking_timeout,
        )
        own = self._encode(token) if given else self._token()
        if self._polls:
            return self._poll(own, self.sleep if sleep is None else sleep, wait)
        return self._take(state, own, wait, given)

    def _make_shortcut(self) -> LocalMutex | Literal[False]:
        # What takes and gives back at once what nobody else wants, where the server is in this process.
        if self._hooked or self._kind != "m" or len(self._names) > 1 or self._client._makes_hubs:  # noqa: SLF001
            return False
        made = self._locks.local_mutex(self._names, self.timeout, self.auto_renew, self.max_hold)
        return False if made is None else made

    def _take(self, state: State, token: bytes, wait: float | None, given: bool) -> bool:
        try:
            hold = self._run(self._acquire(token, wait, given))
        except DeadlockError as error:
            raise self._named(error) from None
        if hold is None:
            return False
        self._keep(state, token, hold)
        return True

    def _poll(self, token: bytes, sleep: float, wait: float | None) -> bool:
        """As redis-py does, for a subclass with a way of its own to take the lock."""
        state = self._state()
        until = None if wait is None else time.monotonic() + wait
        while not self.do_acquire(token):
            state.forget(token)
            if until is not None and time.monotonic() + sleep > until:
                return False
            sleep_here(sleep)
        if state.token != token:
            self._keep(state, token, None)
        return True

    def do_acquire(self, token: bytes) -> bool:
        """Tries once. A subclass that overrides this is polled."""
        return self._take(self._state(), token, 0, self._kind == "m")

    def _watch(self, hold: Hold) -> Watch:
        return watch(self, hold, call_in_hub_or_thread())

    # ---- giving it back

    def release(self) -> None:
        """Gives the lock back. `LockError` where it is not held, `LockNotOwnedError` where it was lost."""
        # A method may have been replaced in the instance.
        self._release_of(self._state(), not self.__dict__)

    def _release_of(self, state: State, at_once: bool) -> None:
        token = state.token
        if token is None:
            raise self._not_held()
        if state.depth:
            state.depth -= 1
            return
        shortcut = self._shortcut
        if shortcut and at_once and not state.doubtful and shortcut.give_back(state, token):
            return
        # Forgotten only once the server has answered, so that who got no answer can try again.
        until = self._until(state) if state.doubtful else 0.0
        try:
            self.do_release(token)
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

    def do_release(self, expected_token: bytes) -> None:
        """Gives back what is held with that token."""
        hold = self._hold_of(expected_token)
        if not self._run(self._release(expected_token, hold)):
            raise self._not_owned("release", hold)

    # ---- its lease

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Literal[True]:
        """Adds seconds to the lease, or has it last so long from now on where `replace_ttl`."""
        self._to_extend("extend")
        return self.do_extend(additional_time, replace_ttl)

    def do_extend(self, additional_time: float, replace_ttl: bool) -> Literal[True]:
        """Extends what is held."""
        token, hold = self._to_extend("extend")
        # A lease that never ends cannot be extended: redis-py's answer.
        if not self.timeout or not self._run(self._extend(token, hold, additional_time, not replace_ttl)):
            raise self._not_owned("extend", hold)
        return True

    def reacquire(self) -> Literal[True]:
        """Has the lease last for the whole `timeout` again."""
        self._to_extend("reacquire")
        return self.do_reacquire()

    def do_reacquire(self) -> Literal[True]:
        """Renews what is held."""
        token, hold = self._to_extend("reacquire")
        ours = self._run(self._extend(token, hold, self.timeout, False)) if self.timeout else self.owned()
        if not ours:
            raise self._not_owned("reacquire", hold)
        return True

    # ---- looking at it

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return any(self._run(self._locks.holder(name)) is not None for name in self._names)

    def owned(self) -> bool:
        """Whether the server says that whoever asks holds it."""
        token = self._state().token
        return token is not None and all(self._run(self._locks.holder(name)) == token for name in self._names)

    @property
    def lost(self) -> Lost:
        """Set once what is held now was lost. May be handed to other threads."""
        return Lost(self._state().hold, self._locks, self._run)

    # ---- with

    def __enter__(self) -> Self:
        if not self.acquire():
            raise self._error(LockError, NOT_ACQUIRED)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state = self._state()
        token = state.token
        try:
            if self._releases or self.__dict__:
                self.release()
            else:  # the same, and need not ask once more who calls
                self._release_of(state, True)
        except LockError:
            if self.raise_on_release_error:
                raise
            logger.warning(NOT_OWNED_AT_EXIT)
        except BaseException:  # nobody will try again
            self._abandon(state, token)
            raise


class HeldLock(Lock):
    """What `Client.try_lock` gives: the first `with` does not take it again, and gives it back."""

    __slots__ = ("_fresh",)

    def take(self, wait: float | None) -> bool:
        """Takes it, for the first `with`."""
        self._fresh = self.acquire(blocking_timeout=wait)
        return self._fresh

    def release(self) -> None:
        """Gives the lock back."""
        self._fresh = False
        super().release()

    def __enter__(self) -> Self:
        if not self._fresh:
            return super().__enter__()
        self._fresh = False
        return self
