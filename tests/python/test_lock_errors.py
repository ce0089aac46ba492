"""The errors of locks: redis-py's too where it is loaded, and the same after a pickle."""

import copy
import pickle
import subprocess
import sys

import pytest
import redis

import redislock

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
