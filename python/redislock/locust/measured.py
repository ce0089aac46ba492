"""The client of a Locust user: each call is one request in Locust's statistics."""

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import redislock
from redislock import Error, Result
from redislock._errors import MAY_HAVE_MOVED
from redislock.locust.outcomes import ERROR, STOPPED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from redislock.locust.outcomes import Recorder
    from redislock.locust.user import RedisLockUser

__all__ = ["CONTENTION", "REQUEST_TYPE", "MeasuredClient", "RefusedError", "StoppedError", "refusal_of"]

P = ParamSpec("P")
R = TypeVar("R")

REQUEST_TYPE: Final = "redislock"

# What a race looks like where it is decided rightly. Failed requests, but no failed run.
CONTENTION: Final = ("conflict", "lock_busy", "lock_lost")

# What a call does to an account.
_TAKES, _GIVES, _RESETS, _READS = "takes", "gives", "resets", "reads"


class RefusedError(Exception):
    """Counts a request as failed because of its status, which is its only argument."""


class StoppedError(redislock.OutcomeUnknownError):
    """A user was stopped in the midst of a request, which may or may not have been applied."""


# One per status: Locust keeps them, and counts by their text.
_refused: Final = {status.value: RefusedError(status.value) for status in redislock.Status}
_stopped: Final = StoppedError("the user was stopped before the answer came")


def refusal_of(status: str) -> RefusedError:
    """Return the exception that counts a request as failed because of that status."""
    return _refused[status]


def _measured(
    method: Callable[Concatenate[redislock.Client, P], R],
    deed: str = _READS,
) -> Callable[Concatenate[MeasuredClient, P], R | None]:
    name = method.__name__

    @functools.wraps(method)
    def call(self: MeasuredClient, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        return self._call(name, deed, functools.partial(method, self._client), args, kwargs)

    return call


class MeasuredClient:
    """The methods of `redislock.Client`; each call is one request in Locust's statistics.

    A request is named like its method. A fault (`redislock.Error`) is reported as the request's
    exception, and the method returns None. A wrong argument is a fault of the locustfile and
    raises. A change that is cut off because its user is stopped has no known outcome: it is
    reported with `StoppedError` and without a time. A read that is cut off is no request at all.
    """

    def __init__(self, user: RedisLockUser, client: redislock.Client, recorder: Recorder) -> None:
        self._user = user
        self._owner = type(user).__name__
        self._client = client
        self._recorder = recorder
        self._fire = user.environment.events.request.fire

    init = _measured(redislock.Client.init, _RESETS)
    balance = _measured(redislock.Client.balance)
    deposit = _measured(redislock.Client.deposit, _GIVES)
    deposit_naive = _measured(redislock.Client.deposit_naive, _GIVES)
    withdraw_lua = _measured(redislock.Client.withdraw_lua, _TAKES)
    withdraw_lock = _measured(redislock.Client.withdraw_lock, _TAKES)
    withdraw_watch = _measured(redislock.Client.withdraw_watch, _TAKES)
    withdraw_naive = _measured(redislock.Client.withdraw_naive, _TAKES)
    history = _measured(redislock.Client.history)
    outcome = _measured(redislock.Client.outcome)
    health = _measured(redislock.Client.health)
    delete = _measured(redislock.Client.delete, _RESETS)

    def withdraw(
        self,
        strategy: str,
        user: str | int,
        amount: int,
        **options: Any,
    ) -> redislock.Result | None:
        """Withdraw by the strategy of that name; the request is named ``withdraw_`` and it."""
        method = functools.partial(self._client.withdraw, strategy)
        return self._call(f"withdraw_{strategy}", _TAKES, method, (user, amount), options)

    def keys(self, user: str | int) -> dict[str, str]:
        """Return the keys of an account; asks no server and is no request."""
        return self._client.keys(user)

    def _call(
        self,
        name: str,
        deed: str,
        method: Callable[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> R | None:
        begin = perf_counter()
        try:
            answer = method(*args, **kwargs)
        except Error as fault:
            unknown = deed != _READS and isinstance(fault, MAY_HAVE_MOVED)
            self._report_fault(name, perf_counter() - begin, fault, unknown=unknown)
            if unknown:
                self._book(deed, args, kwargs, None)
            return None
        except Exception:  # a wrong argument
            raise
        except BaseException:  # the greenlet is killed
            if deed != _READS:
                self._report_fault(name, 0, _stopped, unknown=True)
                self._book(deed, args, kwargs, None)
            raise
        if deed != _READS:
            self._book(deed, args, kwargs, answer)
        self._report(name, perf_counter() - begin, answer)
        return answer

    def _book(self, deed: str, args: tuple[Any, ...], kwargs: dict[str, Any], answer: object) -> None:
        """Note what was done to the account; an answer of None is an unknown outcome."""
        if answer is not None and not answer:
            return  # changed nothing
        user = args[0] if args else kwargs["user"]
        if (key := kwargs.get("idempotency_key")) is not None:
            is_news = self._recorder.hear(self._owner, str(user), str(key))
            if isinstance(answer, Result) and answer.replayed:
                if not is_news:
                    return  # is told of for the second time
                # The first answer was lost, within this call even, or went to somebody else.
                answer = None
        done = self._recorder.money(self._owner, str(user))
        if deed == _RESETS:
            done.reset = True
            return
        amount = args[1] if len(args) > 1 else kwargs["amount"]
        if deed == _GIVES:
            done.deposits += amount
        if answer is None:
            # Of a deposit too: with it the balance may be as high, without it as low.
            done.unknown += amount
            done.unknown_count += 1
        elif deed == _TAKES:
            done.ok += amount

    def _report(self, name: str, seconds: float, answer: object) -> None:
        word = "ok"
        refusal: Exception | None = None
        if type(answer) is Result and name != "outcome":  # which only reads a record
            seconds = answer.elapsed
            if not answer:
                word = answer.status.value
                refusal = self._refusal(word)
        elif isinstance(answer, redislock.Health) and not answer.reachable:
            word, refusal = ERROR, redislock.ConnectionError(answer.error)
        elif answer is None and name == "balance":
            word = "missing"
            refusal = self._refusal(word)
        self._recorder.count(name, word, None if word == ERROR else seconds)
        self._fire(
            request_type=REQUEST_TYPE,
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            response=answer,
            context=self._user.context(),
            exception=refusal,
        )

    def _report_fault(self, name: str, seconds: float, fault: Error, *, unknown: bool) -> None:
        # Applied or not, and never answered: its time means nothing.
        word = ERROR if not unknown else STOPPED if fault is _stopped else UNKNOWN
        self._recorder.count(name, word, None)
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
