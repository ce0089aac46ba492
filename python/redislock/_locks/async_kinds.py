"""The other primitives of the asyncio face: semaphores, read-write locks, several locks at once."""

from __future__ import annotations

from typing import Any

from redislock._locks.async_lock import Lock
from redislock._locks.kinds import (
    MultiLockParts,
    ReadLockParts,
    RWLockParts,
    SemaphoreParts,
    SharedParts,
    WriteLockParts,
)

__all__ = ["MultiLock", "RWLock", "ReadLock", "Semaphore", "WriteLock"]


class _Shared(SharedParts, Lock):
    __slots__ = ()

    async def locked(self) -> bool:
        """Whether there are as many holders as there can be of this kind; one, where it is no semaphore."""
        return len(self._holders(await self._run(self._listing()))) >= self._limit()

    async def _holds(self, token: bytes | None) -> bool:
        return token is not None and token in self._holders(await self._run(self._listing()))


class Semaphore(SemaphoreParts, _Shared):
    """At most `limit` holders at the same time. See `redislock.Semaphore`."""

    __slots__ = ()


class ReadLock(ReadLockParts, _Shared):
    """Held by any number of readers while nobody writes."""

    __slots__ = ()


class WriteLock(WriteLockParts, _Shared):
    """Held by one writer while nobody reads."""

    __slots__ = ()


class RWLock(RWLockParts):
    """Many readers or one writer, first come first served. See `redislock.RWLock`."""

    __slots__ = ()

    _lock_class = ReadLock

    def read(self, **options: Any) -> ReadLock:
        """A lock for reading; options override those of the constructor."""
        return ReadLock(self._redis, self.name, **{**self._options, **options})

    def write(self, **options: Any) -> WriteLock:
        """A lock for writing; options override those of the constructor."""
        return WriteLock(self._redis, self.name, **{**self._options, **options})


class MultiLock(MultiLockParts, Lock):
    """Several locks at once: all of them or none. See `redislock.MultiLock`."""

    __slots__ = ()
