"""The fixtures of redislock for pytest. This is what the entry point `pytest11` names.

Each pytest run in an environment that holds redislock loads this file, also for suites that never
heard of it. So it stands outside of the package, whose import would load the native module, and it
imports what a fixture needs when that fixture is used. `-p no:redislock` switches it off.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redislock import Client
    from redislock.testing import AsyncStrategyCheck, PrivateServer, StrategyCheck

__all__ = ["check_strategy", "check_strategy_async", "redislock_client", "redislock_server"]


@pytest.fixture(scope="session")
def redislock_server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A real server of this session alone, on a free loopback port; emptied after each test.

    `redislock_server.url` is where it listens, `.port` its port. A test may kill or stop it: the
    next one finds it running and empty. Under pytest-xdist each worker has its own.
    """
    from redislock.testing._keeper import keep_server

    with keep_server(request.config.pluginmanager) as server:
        yield server


@pytest.fixture
def redislock_client(redislock_server: PrivateServer) -> Iterator[Client]:
    """A `redislock.Client` on `redislock_server`, closed after the test."""
    from redislock import Client

    with Client(redislock_server.url) as client:
        yield client


@pytest.fixture
def check_strategy(redislock_client: Client) -> StrategyCheck:
    """`redislock.testing.check_strategy` on the accounts of `redislock_client`."""
    from redislock.testing import check_strategy

    return functools.partial(check_strategy, bank=redislock_client)


@pytest.fixture
def check_strategy_async(redislock_client: Client) -> AsyncStrategyCheck:
    """`redislock.testing.check_strategy_async` on the accounts of `redislock_client`."""
    from redislock.testing import check_strategy_async

    return functools.partial(check_strategy_async, bank=redislock_client)
