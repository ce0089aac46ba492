"""Fixtures for every suite: real servers that belong to the test run alone."""

import fcntl
import itertools
import os
import tempfile
from pathlib import Path

import pytest
import redis

from redislock._server import PrivateServer

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def one_locust_at_a_time(request):
    """Locust's master listens on one port: of the processes that run tests only one starts it at a time."""
    if not request.path.stem.startswith("test_locust"):
        yield
        return
    lock = Path(tempfile.gettempdir(), f"redislock-tests-{os.getuid()}.locust")
    with lock.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def server():
    """A running server for all tests together: use accounts of your own, change no setting."""
    with PrivateServer(port=0) as running:
        yield running


@pytest.fixture
def start_server():
    """Start servers that this test alone may configure, stop and kill; keywords as PrivateServer's."""
    started = []

    def start(**wanted):
        fresh = PrivateServer(**wanted)
        started.append(fresh)
        return fresh.start()

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def postgres():
    """A running PostgreSQL for all tests together: use accounts of your own, change no setting."""
    from redislock import sql
    from redislock.sql import PrivatePostgres

    with PrivatePostgres() as running:
        with sql.connect(running.url) as client:
            client.migrate()
        yield running


@pytest.fixture
def user():
    """Name an account that no other test uses."""
    return f"user-{os.getpid()}-{next(_numbers):05}"  # with a digit behind it, it is still no other's


@pytest.fixture
def raw(server):
    """Look at the shared server from outside, with redis-py."""
    # Some tests leave keys of any bytes there.
    with redis.Redis.from_url(
        server.url, decode_responses=True, encoding_errors="backslashreplace"
    ) as client:
        yield client
