"""What the locks of both faces share: what one is told, and what its owners hold of it.

Makes operations and reads their outcomes; does not wait for them. Arguments, exceptions and
messages are those of redis-py's `Lock`.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from redislock import _core
from redislock._errors import DeadlockError, LockError, LockLostError, LockNotOwnedError
from redislock._locks.scope import everybody
from redislock._locks.states import State, States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

    from redislock._core import Hold, Locks, Operation
    from redislock._locks.lost import Watch
    from redislock._locks.scope import Owner

__all__ = ["NOT_ACQUIRED", "NOT_OWNED_AT_EXIT", "BaseLock", "Name", "State", "wait_of"]

Name = str | bytes | memoryview

NOT_ACQUIRED = "Unable to acquire lock within the time specified"
NOT_OWNED_AT_EXIT = "Lock was unlocked or no longer owned when exiting context manager."

_FOR_EVER = 1e8  # seconds, and more than the core takes


def wait_of(blocking: bool, blocking_timeout: float | None) -> float | None:
    """How long to wait: not at all, so many seconds, or None for as long as it takes."""
    if not blocking:
        return 0
    return None if blocking_timeout is None or blocking_timeout > _FOR_EVER else max(blocking_timeout, 0)


class Local:
    """redis-py's `lock.local`: the token of whoever asks."""

    __slots__ = ("_lock",)

    def __init__(self, lock: BaseLock) -> None:
        self._lock = lock

    @property
    def token(self) -> bytes | None:
        """What is stored on the server while the lock is held; None while it is not."""
        return self._lock._state().token  # noqa: SLF001  # a part of it

    @token.setter
    def token(self, token: bytes | None) -> None:
        state = self._lock._state()  # noqa: SLF001
        state.hold = state.watch = state.below = None
        state.depth = 0
        state.doubtful = False
        state.token = token


class BaseLock:
    """A lock of either face. See `redislock.Lock` for its arguments."""

    __slots__ = (
        "__weakref__",
        "_client",
        "_locks",
        "_names",
        "_owner",
        "_run",
        "_shortcut",
        "_states",
        "auto_renew",
        "blocking",
        "blocking_timeout",
        "detect_deadlocks",
        "fair",
        "max_hold",
        "name",
        "on_lost",
        "raise_on_release_error",
        "redis",
        "reentrant",
        "sleep",
        "thread_local",
        "timeout",
    )

    _kind: ClassVar[str] = "m"
    _stacks: ClassVar[bool] = False  # whether one owner may hold it several times
    _owner_of_caller: ClassVar[Callable[[], Owner]]
    _client_for: ClassVar[Callable[[Any], Any]]
    _runner_for: ClassVar[Callable[[Any, Any], Callable[[Operation], Any]]]

    def __init__(  # noqa: PLR0917  # redis-py's order
        self,
        redis: Any,
        name: Name,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
        *,
        fair: bool = True,
        auto_renew: bool = False,
        max_hold: float | None = None,
        on_lost: Callable[[Any], Any] | None = None,
        reentrant: bool = False,
        detect_deadlocks: bool = True,
    ) -> None:
        if auto_renew and not timeout:
            raise ValueError("auto_renew needs a lease to renew: give timeout, in seconds")
        if max_hold is not None and not auto_renew:
            raise ValueError("max_hold limits the renewal: it needs auto_renew=True")
        if reentrant and not thread_local:
            raise ValueError("a reentrant lock belongs to one owner: it needs thread_local=True")
        if on_lost is not None and not callable(on_lost):
            raise TypeError(f"on_lost must be callable, not {type(on_lost).__name__}")
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = raise_on_release_error
        self.fair = fair
        self.auto_renew = auto_renew
        self.max_hold = max_hold
        self.on_lost = on_lost
        self.reentrant = reentrant
        self.detect_deadlocks = detect_deadlocks
        cls = type(self)
        self._client = client = cls._client_for(redis)
        self._run = cls._runner_for(redis, client)
        self._locks: Locks = client._locks  # noqa: SLF001  # clients and locks are one package
        self._names = self._all_names()
        self._shortcut: Any = None  # made with the first need of it
        self._owner = cls._owner_of_caller if thread_local else everybody
        self._states = self._shared_states() if reentrant else States()

    def _all_names(self) -> tuple[bytes, ...]:
        return (_as_key(self.name),)

    def _shared_states(self) -> States:
        # One owner's reentrant locks of one name know of each other.
        known: MutableMapping[Any, States] = self._client._reentrant  # noqa: SLF001
        key = (self._kind, self._names)
        return known.get(key) or known.setdefault(key, States())

    # ---- what is held

    def _state(self) -> State:
        owner = self._owner()
        return self._states.get(owner.key) or self._states.of(owner)

    def _certain_hold(self) -> Hold | None:
        state = self._state()
        return None if state.token is None or state.doubtful else state.hold

    @property
    def local(self) -> Local:
        """Has the `token` that the server stores for whoever asks, as redis-py's locks do."""
        return Local(self)

    @property
    def fence(self) -> int | None:
        """Grows with each time that a lock of this name is taken, by whomever. None while it is not held.

        Give it to what the lock protects: who has seen a higher one refuses.
        """
        hold = self._certain_hold()
        return None if hold is None else hold.fence

    @property
    def remaining(self) -> float | None:
        """Seconds for which the lock is still certainly held: 0.0 if it is not, None without a lease."""
        hold = self._certain_hold()
        return 0.0 if hold is None else hold.remaining

    def raise_if_lost(self) -> None:
        """Raises `LockLostError` where the lock was lost, and `LockError` where it is not held."""
        state = self._state()
        if state.token is None or state.doubtful:
            raise self._error(LockError, "The lock is not held")
        if state.hold is not None and state.hold.lost:
            raise self._error(LockLostError, "The lock was lost: its lease ended or was refused")

    def __repr__(self) -> str:
        held = "held" if self._state().token is not None else "not held"
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.name!r}, {held} here>"

    def __reduce__(self) -> str:
        raise TypeError(f"cannot pickle a {type(self).__name__}: make one of that name where it is needed")

    # ---- taking it

    def _token(self) -> bytes:
        """What the server will store: a name of the owner and random bits, or just random."""
        who = self._owner().who
        if who:
            return _core.make_token(who, self._client._client_name)  # noqa: SLF001
        return os.urandom(16).hex().encode()

    def _encode(self, token: Any) -> bytes:
        if isinstance(token, bytes):
            return token
        if isinstance(token, memoryview):
            return bytes(token)
        if isinstance(token, str):
            return token.encode(_encoding_of(self.redis))
        raise TypeError(f"token must be str or bytes, not {type(token).__name__}")

    def _limit(self) -> int:
        return 1

    def _acquire(self, token: bytes, wait: float | None, given: bool) -> Operation:
        more: dict[str, Any] = {}  # what differs from the core's defaults: each costs a little
        if given:  # others may be given the same: it is taken with one of ours, then stored
            more["stored_as"] = token
            token = self._token()
        if self._kind == "p":
            more["limit"] = self._limit()
        if not self.fair:
            more["fair"] = False
        if not (self.detect_deadlocks and self.thread_local):
            more["detect"] = False
        if self.auto_renew:
            more["renew"] = True
            if self.max_hold is not None:
                more["max_hold"] = self.max_hold
        if self.on_lost is not None:
            more["watched"] = True
        return self._locks.acquire(self._names, self._kind, token, self.timeout or None, wait, **more)

    def _keep(self, state: State, token: bytes, hold: Hold | None) -> None:
        watched = None if hold is None or self.on_lost is None else self._watch(hold)
        if self._stacks:
            state.push()
        state.depth = 0
        state.doubtful = False
        state.watch = watched
        state.hold = hold
        state.token = token
        if hold is not None:
            hold.kept = True  # last, and no call behind which a signal is handled

    def _watch(self, hold: Hold) -> Watch:
        raise NotImplementedError

    def _until(self, state: State) -> float:
        """When the lease may end, on the monotonic clock."""
        left = 0.0 if state.hold is None else state.hold.remaining
        return math.inf if left is None else time.monotonic() + left

    def _take_anew(self, state: State) -> None:
        """What was given back without an answer is not held, but may still be in the way."""
        if state.doubtful:
            self._abandon(state, state.token)

    def _again(self, state: State) -> bool:
        """Takes a reentrant lock that is held already."""
        if state.hold is not None and state.hold.lost:
            raise self._error(LockLostError, "Cannot acquire again a lock that was lost")
        state.depth += 1
        return True

    # ---- giving it back, and extending it

    def _hold_of(self, token: bytes) -> Hold | None:
        for state in list(self._states.values()):
            if state.token == token:
                return state.hold
        return None

    def _release(self, token: bytes, hold: Hold | None) -> Operation:
        if hold is not None:
            return self._locks.release(hold)
        return self._locks.release_token(self._names, self._kind, token)

    def _abandon(self, state: State, token: bytes | None) -> None:
        """Who gives it back was interrupted once more, or got no answer: it is done without them."""
        if token is None or state.token != token:
            return
        if state.hold is not None:
            state.hold.give_back()
        state.forget(token)

    def _extend(self, token: bytes, hold: Hold | None, seconds: float, add: bool) -> Operation:
        if hold is not None:
            return self._locks.extend_hold(hold, seconds, add)
        return self._locks.extend(self._names, self._kind, token, seconds, add)

    def _to_extend(self, verb: str) -> tuple[bytes, Hold | None]:
        """What is held, checked in redis-py's order and words."""
        state = self._state()
        if state.token is None:
            raise self._error(LockError, f"Cannot {verb} an unlocked lock")
        if self.timeout is None:
            raise self._error(LockError, f"Cannot {verb} a lock with no timeout")
        return state.token, state.hold

    # ---- errors

    def _label(self) -> Any:
        return self.name

    def _error(self, kind: type[LockError], text: str) -> LockError:
        return kind(text, lock_name=self._label())

    def _not_owned(self, verb: str, hold: Hold | None) -> LockError:
        kind = LockNotOwnedError if hold is None else LockLostError
        return self._error(kind, f"Cannot {verb} a lock that's no longer owned")

    def _not_held(self) -> LockError:
        return self._error(LockError, "Cannot release a lock that's not owned or is already unlocked.")

    def _named(self, error: DeadlockError) -> DeadlockError:
        error.lock_name = self._label()
        return error


def _encoding_of(redis: Any) -> str:
    """What a redis-py client encodes with."""
    pool = getattr(redis, "connection_pool", None)
    settings = getattr(pool, "connection_kwargs", None) or {}
    return settings.get("encoding") or "utf-8"


def _as_key(name: Any) -> bytes:
    if isinstance(name, str):
        return name.encode()
    if isinstance(name, (bytes, memoryview)):
        return bytes(name)
    raise TypeError(f"a lock's name must be str or bytes, not {type(name).__name__}")


def as_keys(names: Iterable[Any]) -> tuple[bytes, ...]:
    """Names as the server knows them."""
    return tuple(map(_as_key, names))


def make_reentrant_registry() -> MutableMapping[Any, States]:
    """Where a client keeps the states of its reentrant locks, while there are such locks."""
    return weakref.WeakValueDictionary()
