"""What the account suites share: every front end on every backend, through one fixture."""

import itertools
import os
import sys
from pathlib import Path

import pytest
import redis

# In importlib mode no test folder is on the path; this one holds a module that its suites share.
sys.path.insert(0, str(Path(__file__).parent))

from faces import EVERY_KIND, FACES
from lock_scripts import Scripts
from worlds import make_world

_numbers = itertools.count(1)


@pytest.fixture(params=EVERY_KIND)
def kind(request):
    """A front end and a backend, by name."""
    return request.param


@pytest.fixture
def url(kind, request):
    """Where the backend is."""
    if kind[1] == "server":
        return request.getfixturevalue("server").url
    return f"memory://test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def connect(kind, url):
    """Make faces of this kind, with the client's options; they are closed after the test."""
    made = []

    def make(**options):
        made.append(FACES[kind[0]](url, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def client(connect):
    """A face with default options."""
    return connect()


@pytest.fixture
def world(kind, url):
    """A front end of this kind in which test bodies run, with a client of its own."""
    made = make_world(kind[0], url, timeout=10.0)
    yield made
    made.close()


@pytest.fixture
def name():
    """Name a lock that no other test uses."""
    return f"lock-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def bare(server):
    """Look at the shared server from outside, in bytes."""
    with redis.Redis.from_url(server.url) as outside:
        yield outside


@pytest.fixture
def locks(bare):
    """Locks by their scripts alone."""
    bare.delete(b"redislock:waits:host:1:nonce")  # their owners have the same names in all tests
    return Scripts(bare)


@pytest.fixture
def names(user):
    """Name three locks that no other test uses."""
    return [f"{user}-{each}".encode() for each in "abc"]
