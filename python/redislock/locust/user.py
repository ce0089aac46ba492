"""A Locust user with a client, and how the users of a process share one."""

from __future__ import annotations

import collections.abc
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Final

import locust
import locust.exception

import redislock
from redislock.locust.measured import CONTENTION, MeasuredClient
from redislock.locust.run import run_of
from redislock.locust.workload import LARGEST, client_options

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from locust.env import Environment

__all__ = ["RedisLockUser"]

_STATUSES: Final = {each.value: None for each in redislock.Status}  # in their order

# Ends a run with one line of log. Older versions of Locust do not know it.
_StopTest: Final[type[Exception]] = getattr(locust.exception, "StopTest", ValueError)


class RedisLockUser(locust.User):
    """A user with `self.client`, a client of the server that `host` names, else ``REDIS_CONN``.

    ``KEY_PREFIX`` and ``MAX_RETRIES`` hold where `client_options` does not say otherwise. A
    subclass that has an `on_stop` of its own calls ``super().on_stop()``, which lets go of the
    client; the last user of a process closes it.

    Run with ``locust``, a run whose only failures are lost races (`conflict`, `lock_busy`,
    `lock_lost`) and users stopped in mid-request ends with exit code 0, one that lost money with 1.
    """

    abstract = True

    client_options: ClassVar[Mapping[str, Any]] = {}
    """Keyword arguments of `redislock.Client`. `max_connections` is 1000 by default here, so that
    users of `withdraw_watch` race each other rather than queue for a connection."""

    failure_statuses: ClassVar[Collection[str]] = frozenset({*CONTENTION, "missing", "overflow"})
    """The statuses that count as failed requests; the others are successes."""

    client: MeasuredClient

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        try:
            self._shared = _share(self)
        except redislock.ConfigurationError as error:
            raise _StopTest(str(error)) from None  # a host typed into the web UI
        self.client = MeasuredClient(self, self._shared.client, run_of(environment).recorder)

    def on_stop(self) -> None:
        """Let go of the client."""
        self._shared.leave(self)

    @classmethod
    def make_client(cls, environment: Environment | None = None) -> redislock.Client:
        """Return an unmeasured client with this user's settings, as to prepare an account.

        `environment` is Locust's; its ``--host`` comes before the class's `host`.
        """
        host = environment.host if environment is not None and environment.host else cls.host
        given = client_options(environment)
        return redislock.Client(host or None, **{"max_connections": 1000, **given, **cls.client_options})

    @classmethod
    def check_settings(cls, environment: Environment) -> None:
        """Raise ValueError or TypeError for what this class says and cannot work; asks no server."""
        name = cls.__name__
        if strange := sorted(set(cls.failure_statuses) - _STATUSES.keys()):
            raise ValueError(f"{name}.failure_statuses: {strange[0]} is none of {', '.join(_STATUSES)}")
        accounts: Any = cls.accounts(environment)
        if not isinstance(accounts, collections.abc.Mapping):
            raise TypeError(f"{name}.accounts must return a mapping, not {accounts!r}")
        with cls.make_client(environment) as client:
            for user, balance in accounts.items():
                client.keys(user)
                if balance is not None and (type(balance) is not int or not 0 <= balance <= LARGEST):
                    raise ValueError(
                        f"{name}.accounts: the balance of {user} must be a whole number "
                        f"from 0 to {LARGEST} or None, not {balance!r}"
                    )

    @classmethod
    def accounts(cls, environment: Environment) -> Mapping[str, int | None]:
        """Return the accounts that a run keeps books on, and what each starts with; none by default.

        They are opened once a run for the whole fleet, and judged at its end, so nobody else may
        change them meanwhile. None as a balance leaves an account that exists as it is, and gives
        one that is missing 1000000000.
        """
        del environment
        return {}


class _Shared:
    """A client and the users who hold it."""

    def __init__(self, client: redislock.Client) -> None:
        self.client = client
        # Weak: a user whose on_start failed is dropped by Locust without on_stop.
        self._users: weakref.WeakSet[RedisLockUser] = weakref.WeakSet()

    def join(self, user: RedisLockUser) -> None:
        self._users.add(user)

    def leave(self, user: RedisLockUser) -> None:
        self._users.discard(user)
        if self._users:
            return
        for key in [key for key, shared in _shared.items() if shared is self]:
            del _shared[key]
        self.client.close()


_shared: dict[tuple[object, ...], _Shared] = {}


def _share(user: RedisLockUser) -> _Shared:
    environment = user.environment
    key = (type(user), environment.host or user.host, *client_options(environment).items())
    if key not in _shared:
        _shared[key] = _Shared(user.make_client(environment))
    _shared[key].join(user)
    return _shared[key]
