"""Which client a lock runs on: ours, or one made from a URL or from a redis-py client's settings.

The clients register themselves here, so that locks need not know them.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from redislock._errors import Error, as_of_redis_py

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from redislock._core import Operation

__all__ = [
    "async_client_for",
    "async_runner_for",
    "blocking_client_for",
    "blocking_runner_for",
    "register",
]

_classes: dict[str, Any] = {}
_of_pools: MutableMapping[Any, dict[str, Any]] = weakref.WeakKeyDictionary()

_WANTED = "a redislock client, a URL or a redis-py client"


def register(face: str, client_class: type[Any]) -> None:
    """Has locks of that face, "blocking" or "asyncio", use this class."""
    _classes[face] = client_class


@functools.lru_cache(maxsize=64)
def _of_url(face: str, url: str) -> Any:
    return _classes[face](url)


def _client_for(face: str, given: Any) -> Any:
    wanted = _classes[face]
    if isinstance(given, wanted):
        return given
    if isinstance(given, str):
        return _of_url(face, given)
    if isinstance(given, tuple(_classes.values())):
        other = "asyncio" if face == "blocking" else "blocking"
        where = "redislock.asyncio.Lock" if other == "asyncio" else "redislock.Lock"
        raise TypeError(f"this lock does not work with the {other} client; use {where}")
    pool = getattr(given, "connection_pool", None)
    if pool is None:
        raise TypeError(f"a lock needs {_WANTED}, not {type(given).__name__}")
    made = _of_pools.setdefault(pool, {})
    if face not in made:
        made[face] = wanted.from_redis(given)
    return made[face]


blocking_client_for: Callable[[Any], Any] = functools.partial(_client_for, "blocking")
async_client_for: Callable[[Any], Any] = functools.partial(_client_for, "asyncio")


# ---- who came from redis-py catches redis-py's errors


def blocking_runner_for(given: Any, client: Any) -> Callable[[Operation], Any]:
    """What runs the operations of a lock that was made with `given`."""
    run: Callable[[Operation], Any] = client._run  # noqa: SLF001  # clients and locks are one package
    if given is client or isinstance(given, str):
        return run

    def run_as_of_redis_py(operation: Operation) -> Any:
        try:
            return run(operation)
        except Error as error:
            raise as_of_redis_py(error) from None

    return run_as_of_redis_py


def async_runner_for(given: Any, client: Any) -> Callable[[Operation], Any]:
    """The same, to be awaited."""
    run: Callable[[Operation], Any] = client._run  # noqa: SLF001
    if given is client or isinstance(given, str):
        return run

    async def run_as_of_redis_py(operation: Operation) -> Any:
        try:
            return await run(operation)
        except Error as error:
            raise as_of_redis_py(error) from None

    return run_as_of_redis_py
