"""A Locust user whose requests are withdrawals: `RedisLockUser`.

    from locust import task
    from redislock.locust import RedisLockUser

    class Buyer(RedisLockUser):
        @task
        def buy(self):
            self.client.withdraw_lua("alice", 3)

It knows Locust and the blocking client, and nothing of what a task does. The users of a process
share one client, so that those who wait at the same moment share one write and one read; each
waits in its own greenlet. Nothing is opened before the first user exists, so ``--processes`` may
fork after importing the locustfile.
"""

from __future__ import annotations

import functools
import sys
import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, ParamSpec, TypeVar

import locust
import locust.exception
import locust.log
from locust.stats import StatsError

import redislock
from redislock import Error, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from locust.env import Environment

__all__ = ["MeasuredClient", "RedisLockUser", "RefusedError"]

P = ParamSpec("P")
R = TypeVar("R")

REQUEST_TYPE: Final = "redislock"

# Ends a run with one line of log. Older versions of Locust do not know it.
_StopTest: Final[type[Exception]] = getattr(locust.exception, "StopTest", ValueError)

# What a race looks like where it is decided rightly. Failed requests, but no failed run.
_CONTENTION: Final = ("conflict", "lock_busy", "lock_lost")


class RefusedError(Exception):
    """Counts a request as failed because of its status, which is its only argument."""


# One per status: Locust keeps them, and counts by their text.
_refused: Final = {status.value: RefusedError(status.value) for status in redislock.Status}


def _measured(
    method: Callable[Concatenate[redislock.Client, P], R],
) -> Callable[Concatenate[MeasuredClient, P], R | None]:
    name = method.__name__

    @functools.wraps(method)
    def call(self: MeasuredClient, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        begin = perf_counter()
        try:
            answer = method(self._client, *args, **kwargs)
        except Error as fault:
            self._report_fault(name, perf_counter() - begin, fault)
            return None
        self._report(name, perf_counter() - begin, answer)
        return answer

    return call


class MeasuredClient:
    """The methods of `redislock.Client`; each call is one request in Locust's statistics.

    A request is named like its method. A fault (`redislock.Error`) is reported as the request's
    exception, and the method returns None. A wrong argument is a fault of the locustfile and
    raises. A call that is cut off because its user is killed has no known outcome: it is no
    request at all, neither a success nor a failure.
    """

    def __init__(self, user: RedisLockUser, client: redislock.Client) -> None:
        self._user = user
        self._client = client
        self._fire = user.environment.events.request.fire

    init = _measured(redislock.Client.init)
    balance = _measured(redislock.Client.balance)
    deposit = _measured(redislock.Client.deposit)
    deposit_naive = _measured(redislock.Client.deposit_naive)
    withdraw_lua = _measured(redislock.Client.withdraw_lua)
    withdraw_lock = _measured(redislock.Client.withdraw_lock)
    withdraw_watch = _measured(redislock.Client.withdraw_watch)
    withdraw_naive = _measured(redislock.Client.withdraw_naive)
    history = _measured(redislock.Client.history)
    outcome = _measured(redislock.Client.outcome)
    health = _measured(redislock.Client.health)
    delete = _measured(redislock.Client.delete)

    def withdraw(
        self,
        strategy: str,
        user: str | int,
        amount: int,
        **options: Any,
    ) -> redislock.Result | None:
        """Withdraw by the strategy of that name; the request is named ``withdraw_`` and it."""
        name = f"withdraw_{strategy}"
        begin = perf_counter()
        try:
            answer = self._client.withdraw(strategy, user, amount, **options)
        except Error as fault:
            self._report_fault(name, perf_counter() - begin, fault)
            return None
        self._report(name, perf_counter() - begin, answer)
        return answer

    def keys(self, user: str | int) -> dict[str, str]:
        """Return the keys of an account; asks no server and is no request."""
        return self._client.keys(user)

    def _report(self, name: str, seconds: float, answer: object) -> None:
        refusal: Exception | None = None
        if type(answer) is Result and name != "outcome":  # which only reads a record
            seconds = answer.elapsed
            if not answer:
                refusal = self._refusal(answer.status.value)
        elif isinstance(answer, redislock.Health) and not answer.reachable:
            refusal = redislock.ConnectionError(answer.error)
        elif answer is None and name == "balance":
            refusal = self._refusal("missing")
        self._fire(
            request_type=REQUEST_TYPE,
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            response=answer,
            context=self._user.context(),
            exception=refusal,
        )

    def _report_fault(self, name: str, seconds: float, fault: Error) -> None:
        # Applied or not, and never answered: its time means nothing.
        unknown = isinstance(fault, redislock.OutcomeUnknownError)
        self._fire(
            request_type=REQUEST_TYPE,
            name=name,
            response_time=None if unknown else seconds * 1000,
            response_length=0,
            response=None,
            context=self._user.context(),
            exception=fault,
        )

    def _refusal(self, status: str) -> RefusedError | None:
        return _refused[status] if status in self._user.failure_statuses else None


class RedisLockUser(locust.User):
    """A user with `self.client`, a client of the server that `host` names, else ``REDIS_CONN``.

    ``KEY_PREFIX`` and ``MAX_RETRIES`` hold where `client_options` does not say otherwise. A
    subclass that has an `on_stop` of its own calls ``super().on_stop()``, which lets go of the
    client; the last user of a process closes it.

    Run with ``locust``, a run whose only failures are lost races (`conflict`, `lock_busy`,
    `lock_lost`) ends with exit code 0.
    """

    abstract = True

    client_options: ClassVar[Mapping[str, Any]] = {}
    """Keyword arguments of `redislock.Client`. `max_connections` is 1000 by default here, so that
    users of `withdraw_watch` race each other rather than queue for a connection."""

    failure_statuses: ClassVar[Collection[str]] = frozenset({*_CONTENTION, "missing", "overflow"})
    """The statuses that count as failed requests; the others are successes."""

    client: MeasuredClient

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        try:
            self._shared = _share(self)
        except redislock.ConfigurationError as error:
            raise _StopTest(str(error)) from None  # a host typed into the web UI
        self.client = MeasuredClient(self, self._shared.client)

    def on_stop(self) -> None:
        """Let go of the client."""
        self._shared.leave(self)

    @classmethod
    def make_client(cls, environment: Environment | None = None) -> redislock.Client:
        """Return an unmeasured client with this user's settings, as to prepare an account.

        `environment` is Locust's; its ``--host`` comes before the class's `host`.
        """
        host = environment.host if environment is not None and environment.host else cls.host
        return redislock.Client(host or None, **{"max_connections": 1000, **cls.client_options})


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


_shared: dict[tuple[type[RedisLockUser], str | None], _Shared] = {}


def _share(user: RedisLockUser) -> _Shared:
    key = (type(user), user.host)
    if key not in _shared:
        _shared[key] = _Shared(user.make_client())
    _shared[key].join(user)
    return _shared[key]


def _check_settings(environment: Environment, **_: object) -> None:
    """Refuse a wrong URL or environment variable before anything starts, in one sentence."""
    environment.events.quitting.add_listener(_choose_exit_code)  # type: ignore[no-untyped-call]
    for user_class in environment.user_classes:
        if issubclass(user_class, RedisLockUser) and (fault := _fault(user_class, environment)):
            sys.stderr.write(f"redislock: {fault}\n")
            sys.exit(2)


def _fault(user_class: type[RedisLockUser], environment: Environment) -> str | None:
    try:
        if environment.host:
            redislock.Client(environment.host, prefix="", max_retries=0).close()
    except redislock.ConfigurationError as error:
        return f"--host: {error}"
    try:
        user_class.make_client(environment).close()
    except (TypeError, ValueError) as error:  # ConfigurationError is a ValueError
        return str(error)
    return None


def _choose_exit_code(environment: Environment, **_: object) -> None:
    """Let a run end with 0 if lost races are all that failed in it.

    Locust itself would end with 1 after any failed request. What it or the locustfile has decided
    otherwise is left alone.
    """
    runner = environment.runner
    if runner is None or environment.process_exit_code is not None:
        return
    if runner.exceptions or locust.log.unhandled_greenlet_exception:
        return
    if runner.errors and all(_is_lost_race(each) for each in runner.errors.values()):
        environment.process_exit_code = 0


def _is_lost_race(error: StatsError) -> bool:
    # From a worker the exception arrives as its text.
    texts = {repr(_refused[status]) for status in _CONTENTION}
    return error.method == REQUEST_TYPE and StatsError.parse_error(error.error) in texts


locust.events.init.add_listener(_check_settings)  # type: ignore[no-untyped-call]
