"""Scenarios 33 and 34: a wall clock that jumps, and a server that may forget."""

import json
import shutil
import subprocess
import sys

import programs
import pytest
from clocks import WILD, compile_shim


@pytest.mark.timing
@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler to make a jumping clock with")
def test_33_a_wall_clock_that_jumps_changes_no_deadline(proxy, server, connect, raw, tmp_path, user):
    shim = compile_shim(tmp_path, WILD)
    client = connect(server.url)
    client.init(user, 100)
    raw.set(client.keys(user)["lock"], "another", px=30000)
    proxy.drop("reply")
    said = programs.run(
        """
        import os, sys, time
        url, silent, user, shim = sys.argv[1:]
        if not os.environ.get("LD_PRELOAD"):
            os.environ["LD_PRELOAD"] = shim
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        import redislock
        seen = {time.time() // 86400 for _ in range(12)}
        assert len(seen) > 3, "the clock does not jump"
        client = redislock.Client(url)
        def took(call):
            begin = time.monotonic()
            try: call()
            except redislock.Error: pass
            return time.monotonic() - begin
        times = [
            took(lambda: client.withdraw_lock(user, 1, lock_wait=0.3)),
            took(lambda: redislock.Client(silent, timeout=0.3).withdraw_lua(user, 1)),
            took(lambda: redislock.Client(silent, timeout=0.3).withdraw_watch(user, 1)),
        ]
        result = client.withdraw_lua(user, 1)
        assert 0 < result.elapsed < 1, result
        assert 0 <= client.health().latency < 1
        print(*times)
        """,
        server.url,
        proxy.url,
        user,
        str(shim),
    )
    for each in map(float, said.split()):
        assert 0.29 < each < 0.45
    assert raw.get(client.keys(user)["balance"]) == "99"


EVICTING = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"]


@pytest.mark.parametrize("policy", EVICTING)
def test_34_an_evicting_memory_policy_is_named(policy, start_server, connect):
    server = start_server(port=0, config={"maxmemory": "64mb", "maxmemory-policy": policy})
    client = connect(server.url)
    health = client.health()
    assert health.reachable
    (warning,) = [each for each in health.warnings if policy in each]
    for word in ("locks", "balances", "noeviction"):
        assert word in warning
    if policy != EVICTING[0]:
        return
    pytest.importorskip("typer")
    said = subprocess.run(
        [sys.executable, "-m", "redislock", "health", "--url", server.url],
        capture_output=True,
        env=programs.environment(),
        text=True,
        timeout=30,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert policy in said.stdout + said.stderr
    said = subprocess.run(
        [sys.executable, "-m", "redislock", "health", "--json", "--url", server.url],
        capture_output=True,
        env=programs.environment(),
        text=True,
        timeout=30,
        check=False,
    )
    assert policy in " ".join(json.loads(said.stdout)["warnings"])


def test_34_a_server_that_keeps_what_it_has_is_not_accused(start_server, connect):
    server = start_server(
        port=0,
        config={"maxmemory": "64mb", "maxmemory-policy": "noeviction", "appendonly": "yes"},
    )
    assert connect(server.url).health().warnings == []
