"""Scenario 33 with locks: clocks are set, the server's and a client's, while locks are held and awaited."""

import time

import programs
import pytest
import redis
from clocks import WILD, Clock, compile_shim, needs_shims
from locking import line_of
from waiting import eventually, in_background

from redislock._server import ServerProgram, find_server

pytestmark = needs_shims


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


@pytest.fixture
def server(start_server, clock):
    """A server whose clock can be set."""
    return start_server(
        port=0, program=ServerProgram(clock.wrap(find_server().path), "on a clock of its own")
    )


@pytest.fixture
def raw(server):
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def set_clock(clock, raw):
    """Set the server's clock so many seconds off the true one; Valkey sees it up to 1 ms later."""

    def off_by() -> float:
        seconds, micros = raw.time()
        return seconds + micros / 1e6 - time.time()

    def set_it(seconds: float) -> None:
        clock.set(seconds)
        eventually(lambda: abs(off_by() - seconds) < 0.2)

    return set_it


@pytest.mark.parametrize("seconds", [0.5, -0.5, 5, -5, 3600, -3600])
@pytest.mark.parametrize("lease", [30.0, 1.5])
def test_who_waits_while_the_servers_clock_is_set_holds_it_alone(
    set_clock, server, raw, locker, name, seconds, lease
):
    holder, client, another = locker(server.url), locker(server.url), locker(server.url)
    held = holder.acquire(name)
    waiting = in_background(lambda: client.acquire(name, wait=20, lease=lease))
    eventually(lambda: raw.zcard(line_of(name)) == 1)
    set_clock(seconds)
    holder.release(held)  # where the clock went ahead, its lease may be over
    got = waiting.result(20)
    assert got.fence > held.fence
    for _ in range(50):  # it never promises more than the server keeps
        if got.lost:
            break
        begun, remaining = time.monotonic(), got.remaining
        assert remaining <= raw.pttl(name) / 1000 + time.monotonic() - begun + 0.002
        time.sleep(0.005)
    if not got.lost:
        assert raw.get(name) == got.token.decode()
        assert another.acquire(name) is None
        assert client.release(got)
    assert another.acquire(name, wait=10).fence > got.fence


def test_fences_grow_however_the_servers_clock_is_set(set_clock, server, locker, name):
    client = locker(server.url)
    last = 0
    # Never a day ahead of a fence that is ahead of the time: by then it is forgotten (docs/locks.md).
    for seconds in (0, 3600, -3600, 86400, 0, -86400):
        set_clock(seconds)
        held = client.acquire(name, wait=10)
        assert held.fence > last
        last = held.fence
        client.release(held)


@pytest.mark.timing
def test_leases_are_measured_on_the_clients_monotonic_clock(server, tmp_path, name):
    shim = compile_shim(tmp_path, WILD)
    said = programs.run(
        """
        import os, sys, time
        url, name, shim = sys.argv[1:]
        if not os.environ.get("LD_PRELOAD"):
            os.environ["LD_PRELOAD"] = shim
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        import redislock
        assert len({time.time() // 86400 for _ in range(12)}) > 3, "the clock does not jump"
        client = redislock.Client(url)
        lock = client.lock(name, timeout=1.0, auto_renew=False)
        lock.acquire()
        assert 0.9 < lock.remaining <= 1, lock.remaining
        begun = time.monotonic()
        assert not client.lock(name).acquire(blocking_timeout=0.3)
        assert 0.29 < time.monotonic() - begun < 0.6
        assert lock.lost.wait(5)
        assert 0.9 < time.monotonic() - begun < 1.2, time.monotonic() - begun
        with client.lock(name, timeout=0.5) as renewed:
            time.sleep(1.2)
            renewed.raise_if_lost()
        print("well")
        """,
        server.url,
        name,
        str(shim),
    )
    assert said == "well\n"
