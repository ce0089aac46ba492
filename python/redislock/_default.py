"""The functions of the package itself, on a client that is made from the environment at first use."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from redislock._client import Client

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "balance",
    "default_client",
    "delete",
    "deposit",
    "deposit_naive",
    "health",
    "history",
    "init",
    "outcome",
    "withdraw",
    "withdraw_lock",
    "withdraw_lua",
    "withdraw_naive",
    "withdraw_watch",
]

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.RLock()  # a finalizer may call here from within
_client: Client | None = None


def default_client() -> Client:
    """The client behind `redislock.withdraw_lua` and its like.

    Made at first use from ``REDIS_CONN`` (else ``localhost:6379``), ``KEY_PREFIX`` and
    ``MAX_RETRIES``, which are not looked at again afterwards.
    """
    global _client  # noqa: PLW0603  # one per process is the point
    if _client is None:
        with _lock:
            if _client is None:
                _client = Client()
    return _client


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  # the thread that held it may not exist here
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _on_default(method: Callable[Concatenate[Client, P], R]) -> Callable[P, R]:
    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(default_client(), *args, **kwargs)

    signature = inspect.signature(method)
    own = [each for each in signature.parameters.values() if each.name != "self"]
    call.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]  # for help()
    call.__module__, call.__qualname__ = "redislock", method.__name__
    return call


balance = _on_default(Client.balance)
delete = _on_default(Client.delete)
deposit = _on_default(Client.deposit)
deposit_naive = _on_default(Client.deposit_naive)
health = _on_default(Client.health)
history = _on_default(Client.history)
init = _on_default(Client.init)
outcome = _on_default(Client.outcome)
withdraw = _on_default(Client.withdraw)
withdraw_lock = _on_default(Client.withdraw_lock)
withdraw_lua = _on_default(Client.withdraw_lua)
withdraw_naive = _on_default(Client.withdraw_naive)
withdraw_watch = _on_default(Client.withdraw_watch)
