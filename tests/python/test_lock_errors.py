"""The errors of locks: redis-py's too where it is loaded, and the same after a pickle."""

import asyncio
import builtins
import copy
import pickle
import subprocess
import sys

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

import redislock
import redislock.asyncio
from redislock._errors import as_of_redis_py

KINDS = [redislock.LockError, redislock.LockNotOwnedError, redislock.LockLostError, redislock.DeadlockError]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_redis_py_s_too(kind):
    theirs = redis.exceptions.LockError
    if issubclass(kind, redislock.LockNotOwnedError):
        theirs = redis.exceptions.LockNotOwnedError
    with pytest.raises(theirs) as caught:
        raise kind("no", lock_name="n")
    error = caught.value
    assert isinstance(error, kind)
    assert isinstance(error, ValueError)
    assert isinstance(error, redislock.Error)

    assert (str(error), error.message, error.lock_name) == ("no", "no", "n")
    assert repr(error) == f"{kind.__name__}('no')"
    for made in [pickle.loads(pickle.dumps(error)), copy.copy(error)]:
        assert isinstance(made, kind)
        assert isinstance(made, theirs)
        assert (str(made), made.lock_name) == ("no", "n")


OF_REDIS = [
    (redislock.ConnectionError, "ConnectionError"),
    (redislock.AuthenticationError, "AuthenticationError"),
    (redislock.TimeoutError, "TimeoutError"),
    (redislock.ServerError, "ResponseError"),
    (redislock.PermissionDeniedError, "NoPermissionError"),
    (redislock.WrongTypeError, "ResponseError"),
    (redislock.OutcomeUnknownError, "RedisError"),
    (redislock.ProtocolError, "InvalidResponse"),
]


@pytest.mark.parametrize(("kind", "name"), OF_REDIS)
def test_an_error_as_of_redis_py_is_both(kind, name):
    plain = kind("no")
    assert type(plain) is kind
    error = as_of_redis_py(plain)
    for made in [error, pickle.loads(pickle.dumps(error)), copy.copy(error)]:
        assert isinstance(made, kind)
        assert (str(made), made.args, repr(made)) == ("no", ("no",), f"{kind.__name__}('no')")
    assert isinstance(error, getattr(redis.exceptions, name))
    assert isinstance(error, builtins.ConnectionError) is issubclass(kind, builtins.ConnectionError)


def test_a_fault_of_the_server_is_caught_as_with_redis_py_s_lock(tmp_path):
    nobody = str(tmp_path / "nobody")
    for kind in (redis.lock.Lock, redislock.Lock):
        with redis.Redis(unix_socket_path=nobody, retry=Retry(NoBackoff(), 0)) as client:
            lock = client.lock("name", lock_class=kind)
            with pytest.raises(redis.exceptions.ConnectionError):
                lock.acquire(blocking=False)
            with pytest.raises(redis.exceptions.ConnectionError):
                lock.locked()
    with redislock.Client(f"unix://{nobody}") as ours, pytest.raises(redislock.ConnectionError) as caught:
        ours.lock("name").locked()
    assert caught.type is redislock.ConnectionError


def test_a_fault_of_the_server_is_caught_as_with_redis_py_s_lock_for_asyncio(tmp_path):
    async def use(kind):
        nobody = str(tmp_path / "nobody")
        client = redis.asyncio.Redis(unix_socket_path=nobody, retry=AsyncRetry(NoBackoff(), 0))
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.lock("name", lock_class=kind).acquire(blocking=False)
        await client.aclose()

    for kind in (redis.asyncio.lock.Lock, redislock.asyncio.Lock):
        asyncio.run(use(kind))


def test_errors_without_redis_py_and_across_processes():
    program = """
import pickle, sys, redislock
sent = pickle.dumps(redislock.DeadlockError("no", parties=[("me", "it", 1.5)], lock_name="n"))
assert "redis" not in sys.modules
error = pickle.loads(sent)
assert type(error) is redislock.DeadlockError and error.parties == [("me", "it", 1.5)]
import redis
error = pickle.loads(sent)
assert isinstance(error, redis.exceptions.LockError) and error.parties == [("me", "it", 1.5)]
sent = pickle.dumps(error)
assert b"redis.exceptions" not in sent
class Mine(redislock.LockError):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")
assert isinstance(Mine(1, 2), redis.exceptions.LockError)
assert str(pickle.loads(pickle.dumps(Mine(1, 2)))) == "1 and 2"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
