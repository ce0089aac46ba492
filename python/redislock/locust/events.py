"""Where Locust's events meet this package: settings are checked, runs begin and end, exit codes."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import gevent
import locust
from locust.runners import MasterRunner, WorkerRunner

import redislock
from redislock.locust import web
from redislock.locust.ledger import Opening
from redislock.locust.run import run_of
from redislock.locust.user import RedisLockUser
from redislock.locust.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from locust.env import Environment

__all__ = ["listen"]


def listen() -> None:
    """Take part in every run of this process; called once, when the package is imported."""
    locust.events.init.add_listener(_on_init)  # type: ignore[no-untyped-call]


def _on_init(environment: Environment, **_: object) -> None:
    if not any(_classes(environment)):
        return
    # Its clock stood still during the imports, and Locust is about to start that of --run-time by it.
    gevent.get_hub().loop.update_now()
    if said := find_fault(environment):
        sys.stderr.write(f"redislock: {said}\n")
        sys.exit(2)
    run = run_of(environment)
    run.register()
    events = environment.events
    events.test_start.add_listener(_on_test_start)  # type: ignore[no-untyped-call]
    events.test_stop.add_listener(_on_test_stop)  # type: ignore[no-untyped-call]
    events.quitting.add_listener(_on_quitting)  # type: ignore[no-untyped-call]
    if environment.web_ui is not None:
        web.extend(environment, run, partial(find_fault, environment))


def find_fault(environment: Environment, form: Mapping[str, str] | None = None) -> str | None:
    """Look for a wrong URL, argument or variable before anything starts, and say it in one sentence.

    `form` is what was typed into the web UI, and comes before what is set already.
    """
    host = environment.host if form is None else form.get("host") or environment.host
    try:
        if host:
            redislock.Client(host, prefix="", max_retries=0).close()
    except redislock.ConfigurationError as error:
        return f"--host: {error}"
    try:
        Workload.of(environment, form)
        for user_class in _classes(environment):
            user_class.check_settings(environment)
    except (TypeError, ValueError) as error:  # ConfigurationError is a ValueError
        return str(error)
    return None


def _classes(environment: Environment) -> Iterator[type[RedisLockUser]]:
    for user_class in environment.user_classes:
        if issubclass(user_class, RedisLockUser):
            yield user_class


def _on_test_start(environment: Environment, **_: object) -> None:
    openings = [] if isinstance(environment.runner, WorkerRunner) else list(_openings(environment))
    run_of(environment).begin(openings)


def _openings(environment: Environment) -> Iterator[Opening]:
    for user_class in _classes(environment):
        accounts = {str(user): balance for user, balance in user_class.accounts(environment).items()}
        limit = user_class.client_options.get("history_limit")
        make_client = partial(user_class.make_client, environment)
        if limit is None:
            yield Opening(user_class.__name__, accounts, make_client)
        else:
            yield Opening(user_class.__name__, accounts, make_client, limit)


def _on_test_stop(environment: Environment, **_: object) -> None:
    run_of(environment).end()


def _on_quitting(environment: Environment, **_: object) -> None:
    """Ctrl-C and SIGTERM come here with users still at it."""
    run, runner = run_of(environment), environment.runner
    if runner is None:
        return
    if run.going and isinstance(runner, WorkerRunner):
        runner.stop()  # and sends the last counts, before Locust says goodbye to the master
    elif run.going or isinstance(runner, MasterRunner):
        runner.quit()  # what a worker has seen last comes with its goodbye, and is to be judged too
    run.choose_exit_code()
