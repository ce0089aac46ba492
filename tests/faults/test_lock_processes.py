"""Scenarios 8, 11, 12, 16, 25, 28 with locks: processes die, stop, fork and end; servers forget."""

import concurrent.futures
import itertools
import os
import random
import signal
import time

import programs
import pytest
import redis
from locking import line_of
from waiting import eventually, in_background

# Writes under a fence, as a store does it that refuses whoever is late.
GUARDED = """
    local seen = tonumber(redis.call('GET', KEYS[2]) or 0)
    if tonumber(ARGV[1]) < seen then return 0 end
    redis.call('SET', KEYS[2], ARGV[1])
    return redis.call('RPUSH', KEYS[1], ARGV[2] .. ' ' .. ARGV[1] .. ' ' .. ARGV[3])
"""

WORKER = """
    import os, sys, time, redis
    from locking import Locker
    url, name, guarded, lease = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
    locker, raw = Locker(url, timeout=10), redis.Redis.from_url(url, retry_on_timeout=True)
    write = raw.register_script(guarded)
    print("ready")
    while True:
        held = locker.acquire(name, lease=lease, wait=60, renew=True)
        if write(keys=[name + ":log", name + ":seen"], args=[held.fence, "in", os.getpid()]):
            time.sleep(0.001)
            write(keys=[name + ":log", name + ":seen"], args=[held.fence, "out", os.getpid()])
        locker.release(held)
"""

# Many threads in one line; nothing else.
CROWD = """
    import sys, threading
    from locking import Locker
    url, name, kind, number, wait = sys.argv[1:]
    locker = Locker(url)
    def stand():
        locker.acquire(name, kind=kind, wait=float(wait))
    crowd = [threading.Thread(target=stand) for _ in range(int(number))]
    for each in crowd: each.start()
    for each in crowd: each.join()
    print("gone")
"""


def check_log(lines):
    """No two were inside at once, but for those whose lease had ended, who were refused."""
    last = 0
    inside = None
    for before, line in itertools.pairwise(["", *lines]):
        word, fence, _ = line.split()
        if line == before:
            continue  # redis-py writes again where its connection was killed before the answer
        if word == "in":
            assert int(fence) > last
            last, inside = int(fence), fence
        else:
            assert fence == inside, "went on after another had come"
            inside = None


def test_8_16_processes_that_die_and_stop_exclude_each_other(start_server, started, name):
    server = start_server(port=0)
    lease = 0.5
    dice = random.Random(5)
    with redis.Redis.from_url(server.url, decode_responses=True) as raw:
        workers = [started(WORKER, server.url, name, GUARDED, str(lease)) for _ in range(4)]
        for each in workers:
            assert each.stdout.readline() == "ready\n", each.stderr.read()

        def progress(turns):
            before = raw.llen(name + ":log")
            eventually(lambda: raw.llen(name + ":log") >= before + turns, 20)

        progress(20)
        for what in ("kill", "stop", "flush", "clients", "kill", "stop", "pubsub", "clients"):
            at = dice.randrange(len(workers))
            if what == "kill":
                workers[at].kill()
                workers[at] = started(WORKER, server.url, name, GUARDED, str(lease))
            elif what == "stop":
                workers[at].send_signal(signal.SIGSTOP)
                progress(10)
                time.sleep(lease)  # past the lease, where it was the holder
                workers[at].send_signal(signal.SIGCONT)
            elif what == "flush":
                raw.script_flush()
            else:
                raw.client_kill_filter(_type="pubsub" if what == "pubsub" else "normal", skipme=True)
            progress(20)
        for each in workers:
            assert each.poll() is None, each.stderr.read()
        check_log(raw.lrange(name + ":log", 0, -1))


@pytest.mark.parametrize("crowd", [1, 50])
@pytest.mark.parametrize("how", ["killed", "stopped", "cancelled"])
@pytest.mark.parametrize("kind", ["m", "p", "w"])
def test_waiters_that_are_gone_delay_the_next_by_less_than_a_second(
    kind, how, crowd, server, started, locker, raw, name
):
    first, last = locker(server.url), locker(server.url)
    held = first.acquire(name, kind=kind)
    gone = started(CROWD, server.url, name, kind, str(crowd), "0.5" if how == "cancelled" else "60")
    if how == "cancelled":
        assert gone.stdout.readline() == "gone\n"
        assert not raw.exists(line_of(name))
    else:
        eventually(lambda: raw.zcard(line_of(name)) == crowd, 20)
    waiting = in_background(lambda: (last.acquire(name, kind=kind, wait=60), time.monotonic()))
    eventually(lambda: raw.zcard(line_of(name)) == (1 if how == "cancelled" else crowd + 1))
    if how != "cancelled":
        gone.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)  # it is no more under way
    begun = time.monotonic()
    assert first.release(held)
    got, at = waiting.result(30)
    assert got is not None
    assert at - begun < 2.5  # less than a second on a machine that has time
    last.release(got)


def test_lost_wake_ups_heal(start_server, locker, name):
    server = start_server(port=0)
    client = locker(server.url)
    with redis.Redis.from_url(server.url) as bare:
        for _ in range(3):
            held = client.acquire(name)
            waiting = in_background(lambda: client.acquire(name, wait=30))
            eventually(lambda: bare.zcard(line_of(name)) == 1)
            # Nobody listens when it is handed over.
            bare.client_kill_filter(_type="pubsub")
            client.release(held)
            client.release(waiting.result(20))
        # A holder that knows nothing of waiters says nothing when it goes.
        bare.set(name, "redis-py", px=60000)
        waiting = in_background(lambda: client.acquire(name, wait=30))
        eventually(lambda: bare.zcard(line_of(name)) == 1)
        bare.delete(name)
        client.release(waiting.result(20))


def test_clients_of_one_process_and_databases_of_one_server_do_not_disturb_each_other(server, locker, name):
    clients = [locker(f"{server.url}/{db}") for db in (0, 1, 0, 1)]
    holds = [each.acquire(name, lease=0.9, renew=True) for each in clients[:2]]
    assert holds[0] is not None
    assert holds[1] is not None
    waits = [in_background(lambda each=each: each.acquire(name, wait=30)) for each in clients[2:]]
    for db, each in enumerate(holds):
        assert clients[db].release(each)
        got = waits[db].result(20)
        assert got.fence > each.fence
        assert clients[2 + db].release(got)


def test_where_an_acl_forbids_to_listen_turns_come_later_and_not_never(start_server, locker, name):
    server = start_server(port=0)
    with redis.Redis.from_url(server.url) as bare:
        bare.acl_setuser("default", commands=["-subscribe"], reset_channels=True, enabled=True)
        clients = [locker(server.url) for _ in range(3)]
        held = clients[0].acquire(name)
        begun = time.monotonic()
        waits = [in_background(lambda each=each: each.acquire(name, wait=60)) for each in clients]
        eventually(lambda: bare.zcard(line_of(name)) == 3)
        clients[0].release(held)
        for each in concurrent.futures.as_completed(waits, 30):
            assert clients[0].release(each.result())
        assert time.monotonic() - begun < 15  # a silent waiter would ask after 20 s


@pytest.mark.parametrize("what", ["flushall", "restart"])
def test_a_server_that_forgets_everything_is_waited_at_anew(what, start_server, locker, name):
    server = start_server(port=0)
    client = locker(server.url, timeout=10)
    held = client.acquire(name, renew=True, lease=0.6)
    waits = [in_background(lambda: client.acquire(name, wait=60)) for _ in range(3)]
    with redis.Redis.from_url(server.url) as bare:
        eventually(lambda: bare.zcard(line_of(name)) == 3)
        if what == "flushall":
            bare.flushall()
    if what == "restart":
        server.kill()
        server.start()
    eventually(lambda: held.lost, 20)
    fences = [held.fence]
    for each in concurrent.futures.as_completed(waits, 30):
        fences.append(each.result().fence)
        assert client.release(each.result())
    assert fences == sorted(set(fences))


def test_11_nothing_reaches_the_key_after_its_release(start_server, locker, name):
    server = start_server(port=0)
    client = locker(server.url)
    with redis.Redis.from_url(server.url) as bare, bare.monitor() as monitor:
        for number in range(30):
            held = client.acquire(name, lease=0.03, renew=True)
            time.sleep(0.001 * number)
            client.release(held)
            bare.echo("released")
            time.sleep(0.02)  # longer than a renewal is away
            bare.echo("again")
        bare.echo("done")
        released = False
        renewed = 0
        for line in monitor.listen():
            command = line["command"]
            if command.startswith("ECHO"):
                released = command == "ECHO released"
            assert command.startswith("ECHO") or not released, command
            renewed += command.startswith("PEXPIRE " + name)
            if command == "ECHO done":
                break
        assert renewed > 0


def test_12_lost_is_known_before_the_lease_ends_on_the_server(proxy, server, locker, raw, name):
    client = locker(proxy.url)
    lease = 1.0
    held = client.acquire(name, lease=lease, renew=True)
    other = client.acquire(name + "2", lease=lease, watched=True)
    waiting = in_background(lambda: client.run(client.locks.wait_lost(held, 30.0)))
    before = proxy.carried["reply"]
    proxy.wait_for_bytes("reply", before + 4)  # it has been renewed
    proxy.drop()
    refusals = 0
    while not held.lost:
        assert raw.get(name) is not None or held.lost, "the server ended it, and nobody knew"
        refusals += 1
        assert refusals < 10**6
    assert held.remaining == 0
    assert waiting.result(10) is True
    eventually(lambda: other.lost)
    eventually(lambda: not raw.exists(name), 10)
    proxy.release()
    proxy.cut_all()
    time.sleep(0.1)
    assert held.lost, "what was told to be lost stays so"


def test_25_the_child_has_no_keeper_and_the_parent_goes_on(server, raw, name):
    said = programs.run(
        """
        import os, sys, threading
        from locking import Locker
        locker, name = Locker(sys.argv[1]), sys.argv[2]
        def keepers():
            threads = os.listdir("/proc/self/task")
            return sum(open(f"/proc/self/task/{each}/comm").read() == "redislock\\n" for each in threads)
        held = locker.acquire(name, lease=0.3, renew=True)
        pid = os.fork()
        if pid == 0:
            before = keepers()
            # Locks of its own, in line behind its parent's.
            late = locker.acquire(name, lease=0.3, wait=0.2)
            own = locker.acquire(name + "-child", lease=0.3, renew=True)
            print("child", before, late, keepers(), own.lost, locker.release(own))
            sys.stdout.flush()
            os._exit(0)
        code = os.waitpid(pid, 0)[1]
        print("parent", code, keepers(), held.lost, locker.release(held))
        locker.close()
        """,
        server.url,
        name,
    )
    assert said.splitlines() == ["child 0 None 1 False True", "parent 0 1 False True"]


def test_25_forks_while_threads_take_locks_never_hang_a_child(server, name):
    said = programs.run(
        """
        import os, sys, threading
        from locking import Locker
        locker, name = Locker(sys.argv[1]), sys.argv[2]
        stop = False
        def work(number):
            while not stop:
                held = locker.acquire(name if number else f"{name}-alone", wait=20)
                locker.release(held)
        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for each in threads: each.start()
        good = 0
        for round in range(25):
            pid = os.fork()
            if pid == 0:
                held = locker.acquire(f"{name}-child", wait=20)
                os._exit(not locker.release(held))
            good += os.waitpid(pid, 0)[1] == 0
        stop = True
        for each in threads: each.join()
        print(good)
        """,
        server.url,
        name,
    )
    assert said == "25\n"


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "left"])
def test_28_the_interpreter_ends_with_holds_and_waiters_alive(server, raw, name, stopped):
    programs.run(
        f"""
        import atexit, sys, threading, time
        from locking import Locker
        from redislock import _core
        if {stopped}:
            atexit.register(_core.stop_keeper)
        locker, name = Locker(sys.argv[1]), sys.argv[2]
        held = [locker.acquire(f"{{name}}-{{each}}", lease=5, renew=True) for each in range(20)]
        def wait(each):
            locker.acquire(f"{{name}}-{{each}}", lease=5, wait=None)
        def losses():
            while True:
                _core.next_lost(60.0)
        for each in range(20):
            threading.Thread(target=wait, args=(each,), daemon=True).start()
        threading.Thread(target=losses, daemon=True).start()
        time.sleep(0.3)
        print("end")
        """,
        server.url,
        name,
    )
