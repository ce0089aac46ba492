"""redis-py's own tests of its locks, unedited, run against ours.

They come from the sdist of the installed redis-py, fetched when this runs. Our classes are put into
`redis.lock.Lock` and `redis.asyncio.lock.Lock` before the tests import them.
"""

import os
import re
import subprocess
import sys
import tarfile

import pytest
import redis

# They replace the clock inside redis-py's module and count the polls of a waiting lock. Ours is told
# when it can have the lock, and never polls.
COUNT_POLLS = ("test_blocking_timeout", "test_context_manager_blocking_timeout")

OURS = """
import pytest, redis.asyncio.lock, redis.lock
import redislock, redislock.asyncio

redis.lock.Lock = redis.client.Lock = redislock.Lock
redis.asyncio.lock.Lock = redis.asyncio.client.Lock = redislock.asyncio.Lock

used = set()
for each in (redislock.Lock, redislock.asyncio.Lock):
    def counted(self, *args, _made=each.__init__, **kwargs):
        used.add(type(self))
        _made(self, *args, **kwargs)
    each.__init__ = counted

def pytest_sessionfinish(session):
    if session.testscollected > 1:
        print("\\nours:", sorted(each.__module__ for each in used))
"""


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"pip {arguments[0]} failed: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The unpacked sdist, with the plugin for asyncio that its tests need."""
    folder = tmp_path_factory.mktemp("redis-py")
    wanted = f"redis=={redis.__version__}"
    pip("download", "--no-deps", "--no-binary", "redis", "-d", str(folder), wanted)
    pip("install", "--no-deps", "--target", str(folder / "plugins"), "pytest-asyncio>=1.0")
    with tarfile.open(next(folder.glob("redis-*.tar.gz"))) as archive:
        for each in archive.getmembers():  # 3.10 has no filters
            assert not each.name.startswith("/")
            assert ".." not in each.name.split("/")
        archive.extractall(folder)
    [root] = folder.glob("redis-*/")
    (folder / "plugins" / "ours.py").write_text(OURS, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("tests", "module", "least"),
    [
        ("tests/test_lock.py", "redislock._locks.lock", 28),
        ("tests/test_asyncio/test_lock.py", "redislock._locks.async_lock", 28),
    ],
)
def test_redis_py_s_own_tests_pass(suite, start_server, tests, module, least):
    url = start_server(port=0).url
    deselected = [f"--deselect={tests}::TestLock::{each}" for each in COUNT_POLLS]
    search = os.pathsep.join([str(suite.parent / "plugins"), *filter(None, sys.path)])
    options = ["-q", "-p", "ours", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--redis-url={url}", tests, *deselected],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [passed] = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= least, done.stdout
    assert f"ours: ['{module}']" in done.stdout, done.stdout
