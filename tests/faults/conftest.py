"""What the fault suites share: proxies before the shared server, and clients that are closed."""

import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path

import pytest

import redislock

# In importlib mode no test folder is on the path; this one holds modules that its suites share.
sys.path.insert(0, str(Path(__file__).parent))

import programs
from locking import Locker
from proxy import Proxy


@pytest.fixture
def proxied():
    """Put a proxy before a server; with `unix` over unix sockets, where ids alone name a client."""
    made = []
    folders = []

    def put(server, *, unix=False):
        if unix:
            folders.append(tempfile.mkdtemp(prefix="proxy-"))
            target = next(
                line.split('"')[1]
                for line in Path(server._folder, "conf").read_text(encoding="utf-8").split("\n")
                if line.startswith("unixsocket ")
            )
            made.append(Proxy(target, f"{folders[-1]}/socket"))
        else:
            made.append(Proxy(urllib.parse.urlsplit(server.url).port))
        return made[-1]

    yield put
    for each in made:
        each.close()
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def proxy(proxied, server):
    """A proxy before the shared server, over TCP."""
    return proxied(server)


@pytest.fixture
def connect():
    """Make blocking clients that are closed after the test."""
    made = []

    def make(url, **options):
        made.append(redislock.Client(url, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def locker():
    """Make clients that take locks, without a face; they are closed after the test."""
    made = []

    def make(url, **options):
        made.append(Locker(url, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def name(user):
    """Name a lock that no other test uses."""
    return f"lock-of-{user}"


@pytest.fixture
def started():
    """Start programs that are killed after the test."""
    running = []

    def start(source, *arguments):
        running.append(programs.start(source, *arguments))
        return running[-1]

    yield start
    for each in running:
        each.kill()
        each.communicate()
