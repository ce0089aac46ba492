"""What the clients offer besides accounts and locks: entities, rate limits, and what is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redislock._coordination.entity import AsyncEntity, Entity
from redislock._coordination.once import AsyncOnce, Once
from redislock._coordination.once_base import Links
from redislock._coordination.rate_limit import AsyncRateLimit, RateLimit
from redislock._locks.factories import LEASE

if TYPE_CHECKING:
    from redislock import _core
    from redislock._coordination.entity import Codec

__all__ = ["AsyncCoordinating", "Coordinating"]


class _Lending:
    """What a client has."""

    _coordination: _core.Coordination
    _locks: _core.Locks
    _client_name: str
    _run: Any

    def _links(self) -> Links[Any]:
        return Links(self._coordination, self._locks, self._run, self._client_name)


class Coordinating(_Lending):
    """Makes entities and the like that run on this client."""

    def entity(self, key: str | bytes, *, codec: Codec = "json", ttl: float | None = None) -> Entity:
        """A value with an etag, written only where nobody else wrote since; see `Entity`."""
        return Entity(self._coordination, self._run, key, codec=codec, ttl=ttl)

    def once(
        self,
        key: str | bytes,
        *,
        ttl: float | None,
        codec: Codec = "json",
        lease: float = LEASE,
        wait: float | None = None,
    ) -> Once:
        """Something that is done once, and whose result lives for `ttl` seconds; see `Once`."""
        return Once(self._links(), key, ttl=ttl, codec=codec, lease=lease, wait=wait)

    def rate_limit(self, key: str | bytes, rate: int, per: float, *, burst: int | None = None) -> RateLimit:
        """At most `rate` in `per` seconds, for all who use `key`; see `RateLimit`."""
        return RateLimit(self._coordination, self._run, key, rate, per, burst=burst)


class AsyncCoordinating(_Lending):
    """The same for asyncio."""

    def entity(self, key: str | bytes, *, codec: Codec = "json", ttl: float | None = None) -> AsyncEntity:
        """A value with an etag, written only where nobody else wrote since; see `redislock.Entity`."""
        return AsyncEntity(self._coordination, self._run, key, codec=codec, ttl=ttl)

    def once(
        self,
        key: str | bytes,
        *,
        ttl: float | None,
        codec: Codec = "json",
        lease: float = LEASE,
        wait: float | None = None,
    ) -> AsyncOnce:
        """Something that is done once, and whose result lives for `ttl` seconds; see `redislock.Once`."""
        return AsyncOnce(self._links(), key, ttl=ttl, codec=codec, lease=lease, wait=wait)

    def rate_limit(
        self, key: str | bytes, rate: int, per: float, *, burst: int | None = None
    ) -> AsyncRateLimit:
        """At most `rate` in `per` seconds, for all who use `key`; see `redislock.RateLimit`."""
        return AsyncRateLimit(self._coordination, self._run, key, rate, per, burst=burst)
