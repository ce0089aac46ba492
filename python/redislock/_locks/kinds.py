"""The other primitives, as far as both faces share them; and the blocking ones.

Semaphores, read-write locks, several locks at once: each is a lock with another kind of holding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redislock._locks.base import BaseLock, Name, as_keys
from redislock._locks.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redislock._core import Operation

__all__ = [
    "MultiLock",
    "MultiLockParts",
    "RWLock",
    "RWLockParts",
    "ReadLock",
    "ReadLockParts",
    "Semaphore",
    "SemaphoreParts",
    "WriteLock",
    "WriteLockParts",
]


class SharedParts(BaseLock):
    """What may have several holders."""

    __slots__ = ()

    def _listing(self) -> Operation:
        return self._locks.list(self._names)

    def _holders(self, listing: list[dict[str, Any]]) -> list[bytes]:
        return [each["token"] for lock in listing for each in lock["holders"]]


class SemaphoreParts(SharedParts):
    """A lock of which there are `limit` permits."""

    __slots__ = ("limit",)

    _kind = "p"
    _stacks = True

    def __init__(self, redis: Any, name: Name, limit: int, **options: Any) -> None:
        if options.get("reentrant"):
            raise ValueError("a semaphore gives another permit each time: it cannot be reentrant")
        self.limit = limit
        super().__init__(redis, name, **options)

    def _limit(self) -> int:
        return self.limit


class ReadLockParts(SharedParts):
    """A lock that readers share."""

    __slots__ = ()

    _kind = "r"


class WriteLockParts(SharedParts):
    """A lock of one writer, without readers."""

    __slots__ = ()

    _kind = "w"


class MultiLockParts(BaseLock):
    """All of several mutexes."""

    __slots__ = ("names",)

    def __init__(self, redis: Any, names: Iterable[Name], **options: Any) -> None:
        if isinstance(names, (str, bytes, memoryview)):
            raise TypeError("names must be several names, not one")
        self.names: tuple[Name, ...] = tuple(names)
        if not self.names:
            raise ValueError("names must not be empty")
        super().__init__(redis, self.names[0], **options)

    def _all_names(self) -> tuple[bytes, ...]:
        return as_keys(self.names)

    def _label(self) -> Any:
        return self.names

    @property
    def fences(self) -> dict[Name, int] | None:
        """The fence of each name; None while they are not held."""
        state = self._state()
        if state.token is None or state.hold is None:
            return None
        known = dict(zip(state.hold.names, state.hold.fences, strict=True))
        return {name: known[key] for name, key in zip(self.names, self._names, strict=True)}


class RWLockParts:
    """Makes read locks and write locks of one name."""

    __slots__ = ("_options", "_redis", "name")

    _lock_class: type[BaseLock]

    def __init__(self, redis: Any, name: Name, **options: Any) -> None:
        self._redis = redis
        self.name = name
        self._options = options
        self._lock_class(redis, name, **options)  # refuses wrong arguments now

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.name!r}>"


# ---- the blocking face


class _Shared(SharedParts, Lock):
    __slots__ = ()

    def locked(self) -> bool:
        """Whether there are as many holders as there can be of this kind; one, where it is no semaphore."""
        return len(self._holders(self._run(self._listing()))) >= self._limit()

    def owned(self) -> bool:
        """Whether the server says that whoever asks holds it."""
        token = self._state().token
        return token is not None and token in self._holders(self._run(self._listing()))


class Semaphore(SemaphoreParts, _Shared):
    """At most `limit` holders at the same time. The permit of a crashed one comes back with its lease.

    One owner may take several permits, and gives back the latest first. All users of a name must
    give the same limit.
    """

    __slots__ = ()


class ReadLock(ReadLockParts, _Shared):
    """Held by any number of readers while nobody writes."""

    __slots__ = ()


class WriteLock(WriteLockParts, _Shared):
    """Held by one writer while nobody reads."""

    __slots__ = ()


class RWLock(RWLockParts):
    """Many readers or one writer, first come first served.

    Each call of `read` and `write` makes a lock. A reader cannot become a writer: it would wait for
    itself.
    """

    __slots__ = ()

    _lock_class = ReadLock

    def read(self, **options: Any) -> ReadLock:
        """A lock for reading; options override those of the constructor."""
        return ReadLock(self._redis, self.name, **{**self._options, **options})

    def write(self, **options: Any) -> WriteLock:
        """A lock for writing; options override those of the constructor."""
        return WriteLock(self._redis, self.name, **{**self._options, **options})


class MultiLock(MultiLockParts, Lock):
    """Several locks at once: all of them or none, so that nobody waits for one while holding another.

    Each of them is the lock of that name, which others may take alone.
    """

    __slots__ = ()
