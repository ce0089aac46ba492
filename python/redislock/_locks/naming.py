"""The decorator behind `client.locked("order:{order_id}")`: names from a function's arguments.

What can be wrong with a name or a function is refused where it is decorated, not where it is called.
"""

from __future__ import annotations

import inspect
from contextlib import _AsyncGeneratorContextManager, _GeneratorContextManager
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_attempts", "check_function", "make_namer", "pause", "refuse_postponed"]

_POSTPONED = (
    AsyncGeneratorType,
    CoroutineType,
    GeneratorType,
    _AsyncGeneratorContextManager,
    _GeneratorContextManager,
)


def make_namer(function: Callable[..., Any], name: str) -> Callable[..., str]:
    """What makes the lock's name from the arguments of a call."""
    from string import Formatter

    if not isinstance(name, str):
        raise TypeError(f"the lock's name must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError("the lock's name must not be empty")
    signature = inspect.signature(function)
    known = signature.parameters
    used = False
    for _, field, spec, _ in Formatter().parse(name):
        if field is None:
            continue
        used = True
        first = field.split(".")[0].split("[")[0]
        if first not in known or "{" in field + (spec or ""):
            has = ", ".join(known) or "none"
            raise ValueError(
                f"the lock's name {name!r} has a placeholder {{{field}}}, "
                f"which is no parameter of {function.__qualname__}(); its parameters: {has}"
            )
    if not used:
        fixed = name.format()
        return lambda *_, **__: fixed

    def name_of(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return name.format_map(bound.arguments)

    return name_of


def check_function(function: Any, *, awaits: bool) -> None:
    """Refuses what would not run under the lock, and what does not fit the client."""
    if isinstance(function, (classmethod, staticmethod)):
        raise TypeError(
            f"locked() decorates functions: put it below @{type(function).__name__}, next to the def"
        )
    if not callable(function) or isinstance(function, type):
        raise TypeError("locked() decorates functions: @client.locked('name') above a def")
    named = getattr(function, "__qualname__", repr(function))
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{named} is a generator: it would run after the lock was given back")
    if awaits != inspect.iscoroutinefunction(function):
        if awaits:
            raise TypeError(f"{named} is no coroutine function; use the locked() of a redislock.Client")
        raise TypeError(f"{named} is a coroutine function; use the locked() of a redislock.asyncio.Client")


def refuse_postponed(result: Any, function: Any) -> None:
    """Refuses what a function only prepared, which looked like any other when it was decorated."""
    if not isinstance(result, _POSTPONED):
        return
    if isinstance(result, CoroutineType):
        result.close()  # nobody will await it
    named = getattr(function, "__qualname__", repr(function))
    what = type(result).__name__.strip("_")
    raise TypeError(f"{named} has not run: it returned a {what}, which would run without the lock")


def check_attempts(retries: int, retry_delay: float) -> None:
    """Refuses what cannot be repeated."""
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise TypeError(f"retries must be an int, not {type(retries).__name__}")
    if retries < 0:
        raise ValueError("retries must not be negative")
    if not 0 <= retry_delay < float("inf"):
        raise ValueError("retry_delay must be a number of seconds")


def pause(retry_delay: float) -> float:
    """How long to wait before another attempt: so that many who failed together do not come together."""
    import random

    return retry_delay * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
