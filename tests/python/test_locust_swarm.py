"""The Locust user whose withdrawals the native generator makes, in real runs."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import redislock

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")

SWARM = Path(__file__).parents[2] / "locust" / "swarm.py"
START = 2**62


def run_locust(server, user, *arguments, seconds=3):
    kept = {name: value for name, value in os.environ.items() if name not in ("REDIS_CONN", "KEY_PREFIX")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(SWARM), "--headless", "--json"),
            *("-u", "16", "-r", "16", "-t", f"{seconds}s", "--host", server.url),
            *("--user-id", user, "--init-balance", str(START), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=kept,
    )
    begin = done.stdout.find("[\n")
    return done.returncode, json.loads(done.stdout[begin:]) if begin >= 0 else [], done.stderr


def balance_of(server, user):
    with redislock.Client(server.url) as client:
        return client.balance(user)


@pytest.mark.parametrize("arguments", [(), ("--processes", "2")], ids=["one process", "two"])
def test_results_are_in_locusts_statistics_and_every_unit_is_accounted_for(server, user, arguments):
    code, entries, log = run_locust(server, user, "LuaSwarm", *arguments)
    assert code == 0, log
    assert "Traceback" not in log
    (entry,) = entries
    assert entry["name"] == "withdraw_lua"
    assert entry["num_requests"] > 1000
    assert entry["num_failures"] == entry["num_none_requests"] == 0
    assert sum(entry["response_times"].values()) == entry["num_requests"]
    assert sum(entry["num_reqs_per_sec"].values()) == entry["num_requests"]
    assert 0 < entry["min_response_time"] <= entry["max_response_time"]
    # Also what was under way when the users were stopped: nothing is unknown.
    assert balance_of(server, user) == START - 3 * entry["num_requests"]
    assert re.search(rf"withdraw_lua +{entry['num_requests']:,} ", log)
    assert re.search(r"money: held$", log, re.MULTILINE)


def test_lost_races_are_failed_requests_and_no_failed_run(server, user):
    code, entries, log = run_locust(server, user, "WatchSwarm", "--max-retries", "0")
    assert code == 0, log
    (entry,) = entries
    assert 0 < entry["num_failures"] < entry["num_requests"]
    assert "RefusedError('conflict')" in log
    assert balance_of(server, user) == START - 3 * (entry["num_requests"] - entry["num_failures"])


def test_a_server_that_dies_ends_with_1_and_never_with_more_ok_than_taken(start_server, user):
    server = start_server(port=0)

    def kill():
        give_up = time.monotonic() + 60
        while (balance_of(server, user) or START) > START - 3000 and time.monotonic() < give_up:
            time.sleep(0.05)
        server.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    code, entries, log = run_locust(server, user, "LuaSwarm", seconds=4)
    killer.join()
    assert code == 1, log
    (entry,) = entries
    assert 0 < entry["num_failures"] < entry["num_requests"]
    assert entry["num_none_requests"] == entry["num_failures"]
    assert "Traceback" not in log


PROGRAM = """
import os, signal, time
import gevent
import locust
from locust.env import Environment
import redislock
from redislock.locust import RedisLockSwarmUser
from redislock.locust import swarm
from redislock.locust.run import run_of

class Buyer(RedisLockSwarmUser):
    @classmethod
    def accounts(cls, environment):
        return {user: 2**62}

def eventually(look):
    give_up = time.monotonic() + 30
    while not look():
        assert time.monotonic() < give_up
        gevent.sleep(0.02)

def in_flight():
    (only,) = swarm._swarms.values()
    return only._generator.snapshot()["in_flight"]

environment = Environment(user_classes=[Buyer], events=locust.events)
runner = environment.create_local_runner()
environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
with redislock.Client() as client:
    before = client.balance(user)
    for _ in range(2):  # every start opens a new ledger
        runner.start(8, spawn_rate=100)
        eventually(lambda: swarm._swarms and in_flight() == 8)
        runner.start(3, spawn_rate=100)
        eventually(lambda: in_flight() == 3)
        runner.start(6, spawn_rate=100)
        eventually(lambda: in_flight() == 6)
        eventually(lambda: environment.stats.total.num_requests)
        runner.stop()
        assert not swarm._swarms
        total = environment.stats.total
        assert total.num_requests > 0 and total.num_failures == 0
        assert client.balance(user) == 2**62 - 3 * total.num_requests
        assert run_of(environment).verdict_told == "held"
runner.quit()
"""


def test_stopped_and_respawned_users_change_the_number_in_flight(server, user):
    done = subprocess.run(
        [sys.executable, "-c", f"user = {user!r}\n" + PROGRAM],
        env={**os.environ, "REDIS_CONN": server.url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_stalls_delays_neither_locust_nor_its_end_for_ever(start_server, user):
    server = start_server(port=0)

    def stall():
        give_up = time.monotonic() + 60
        while (balance_of(server, user) or START) > START - 3000 and time.monotonic() < give_up:
            time.sleep(0.05)
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(3)  # longer than the client waits, and over when the books are read
        os.kill(server.pid, signal.SIGCONT)

    staller = threading.Thread(target=stall)
    staller.start()
    try:
        code, entries, log = run_locust(
            server, user, "LuaSwarm", "--host", f"{server.url}?timeout=2", seconds=3
        )
    finally:
        staller.join()
    assert code == 1, log  # an operation raised: its outcome is unknown
    (entry,) = entries
    assert entry["num_none_requests"] > 0
    assert "money: held, " in log
