"""Under gevent a call waits as a greenlet: made before or after patching, and the hub runs on."""

import subprocess
import sys

import pytest

pytest.importorskip("gevent")


def run(program, url):
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(params=["server", "memory"])
def url(request):
    return request.getfixturevalue("server").url if request.param == "server" else "memory://"


def test_a_client_made_before_patching_is_cooperative(url, user):
    program = f"""
import sys, redislock
client = redislock.Client(sys.argv[1])
client.init({user!r}, 1000)
from gevent import monkey; monkey.patch_all()
import gevent

ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.001)

ticker = gevent.spawn(tick)
callers = [gevent.spawn(client.withdraw_lock, {user!r}, 1, lock_wait=20, timeout=20) for _ in range(64)]
gevent.joinall(callers, raise_error=True)
ticker.kill()
print(sum(bool(each.value) for each in callers), client.balance({user!r}), len(ticks) > 3)
"""
    assert run(program, url)[:2] == ["64", "936"]
    if url != "memory://":  # there nothing needs to wait
        assert run(program, url)[2] == "True"


# A blocking client would show none: its callers never meet.
def test_greenlets_on_one_account_really_race(url, user):
    program = f"""
from gevent import monkey; monkey.patch_all()
import gevent, sys, redislock
client = redislock.Client(sys.argv[1])
client.init({user!r}, 10_000)
def work():
    return [client.withdraw_watch({user!r}, 1) for _ in range(20)]
callers = [gevent.spawn(work) for _ in range(10)]
gevent.joinall(callers, raise_error=True)
results = [each for caller in callers for each in caller.value]
ok = sum(bool(each) for each in results)
assert client.balance({user!r}) == 10_000 - ok
print(sum(each.attempts for each in results) > len(results))
print({{str(each.status) for each in results}} <= {{"ok", "conflict"}})
"""
    assert run(program, url) == ["True", "True"]


def test_greenlets_share_one_connection(server, user, raw):
    program = f"""
import gevent, sys, redislock
client = redislock.Client(sys.argv[1], client_name={user!r})
callers = [gevent.spawn(client.balance, "alice") for _ in range(64)]
gevent.joinall(callers, raise_error=True)
import redis
with redis.Redis.from_url(sys.argv[1]) as raw:
    print(sum(each["name"] == {user!r} for each in raw.client_list()))
"""
    assert run(program, server.url) == ["1"]


def test_one_client_serves_greenlets_and_threads(url, user):
    program = f"""
import gevent, sys, threading, redislock
client = redislock.Client(sys.argv[1])
client.init({user!r}, 1000)
def work():
    for _ in range(50):
        client.withdraw_lua({user!r}, 1)
def hub():
    gevent.joinall([gevent.spawn(work) for _ in range(4)], raise_error=True)
threads = [threading.Thread(target=each) for each in [work, work, hub, hub]]
for each in threads: each.start()
for each in threads: each.join()
print(client.balance({user!r}))
"""
    assert run(program, url) == ["500"]


def test_the_waiter_can_be_chosen(url, user):
    program = f"""
import gevent, sys, redislock
gevent.get_hub()
order = []
for waiter in ["thread", "gevent", None]:
    client = redislock.Client(sys.argv[1], waiter=waiter)
    client.init({user!r}, 5)
    assert client.balance({user!r}) == 5
    order.append(waiter)
    client.close()
print(len(order))
"""
    assert run(program, url) == ["3"]


def test_a_thread_waiter_blocks_the_hub_and_a_greenlet_does_not(server, user, raw):
    program = f"""
import gevent, sys, redislock
blocked = redislock.Client(sys.argv[1], waiter="thread")
free = redislock.Client(sys.argv[1])
for client in [blocked, free]:
    ticks = []
    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.001)
    ticker = gevent.spawn(tick)
    gevent.sleep(0)
    result = client.withdraw_lock({user!r}, 1, lock_wait=0.1)
    assert result.status == "lock_busy", result
    print(len(ticks) > 5)
    ticker.kill()
"""
    import redislock

    with redislock.Client(server.url) as client:
        client.init(user, 1)
        raw.set(client.keys(user)["lock"], "somebody", px=60_000)
    assert run(program, server.url) == ["False", "True"]


def test_a_greenlet_that_is_killed_or_timed_out_leaves_the_others_alone(server, user):
    program = f"""
import gevent, sys, redislock
client = redislock.Client(sys.argv[1])
client.init({user!r}, 1000)
import redis
with redis.Redis.from_url(sys.argv[1]) as raw:
    raw.set(client.keys({user!r})["lock"], "somebody", px=60_000)
waiting = [gevent.spawn(client.withdraw_lock, {user!r}, 1, lock_wait=30) for _ in range(3)]
gevent.sleep(0.02)
waiting[0].kill()
with gevent.Timeout(0.02, False):
    client.withdraw_lock({user!r}, 1, lock_wait=30)
others = [gevent.spawn(client.withdraw_lua, {user!r}, 1) for _ in range(20)]
gevent.joinall(others, raise_error=True)
print(client.balance({user!r}), [each.dead for each in waiting] == [True, False, False])
gevent.killall(waiting)
client.close()
"""
    assert run(program, server.url) == ["980", "True"]


def test_a_program_ends_though_a_client_is_open(url, user):
    program = f"""
import gevent, sys, redislock
client = redislock.Client(sys.argv[1])
gevent.spawn(client.balance, {user!r}).join()
print("end")
gevent.wait()
"""
    assert run(program, url) == ["end"]
