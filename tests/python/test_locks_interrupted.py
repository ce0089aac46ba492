"""Whoever is cancelled, killed or interrupted leaves neither a lock nor a waiter; forks hold nothing."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from faces import EVERY_KIND, on_server
from worlds import EVERY, every, one_at_a_time

import redislock

killable = pytest.mark.parametrize(
    "kind", [each for each in EVERY_KIND if each.values[0][0] != "threads"], indirect=True
)


@killable
@one_at_a_time
def test_a_waiter_that_is_killed_holds_nobody_up(world, make, name):
    async def body(w):
        lock = make(w.client, name)
        await w(lock.acquire())

        async def wait():
            async with w.held(make(w.client, name)):
                return time.monotonic()

        killed = await w.spawn(wait)
        await w.until_in_line(name, 1)
        waiter = await w.spawn(wait)
        await w.until_in_line(name, 2)
        await w.kill(killed)
        given = time.monotonic()
        await w(lock.release())
        assert await w.join(waiter) - given < 5
        assert await w(make(w.client, name).acquire(blocking_timeout=5))

    world.run(body)


@killable
@every
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_holder_that_is_killed_gives_it_back(world, make, name, times):
    async def body(w):
        inside = []

        async def hold():
            async with w.held(make(w.client, name)):
                inside.append(1)
                await w.sleep(60)

        holder = await w.spawn(hold)
        await w.until(lambda: inside)
        await w.kill(holder, times)  # the second one comes while it is given back
        assert await w(make(w.client, name).acquire(blocking_timeout=5))

    world.run(body)


@killable
@one_at_a_time
def test_killed_at_any_moment(world, make, name):
    async def body(w):
        chance = random.Random(7)

        async def use():
            async with w.held(make(w.client, name)):
                await w.sleep(chance.random() * 0.003)

        for _ in range(30):
            users = [await w.spawn(use) for _ in range(3)]
            await w.sleep(chance.random() * 0.006)
            for each in users:
                await w.kill(each)
        lock = make(w.client, name)
        assert await w(lock.acquire(blocking_timeout=5)), "something was left behind"
        await w(lock.release())

    world.run(body)


@on_server
def test_a_lock_is_given_back_although_its_client_was_closed(world, raw, name):
    async def body(w):
        locks = [make(w.client, f"{name}-{kind}") for kind, make in EVERY.items()]
        for each in locks:
            await w(each.acquire())
        await w(w.client.aclose() if hasattr(w.client, "aclose") else w.client.close())
        for each in locks:
            with pytest.raises(redislock.ClosedError):
                await w(each.release())
            assert each.local.token is None
        await w.until(lambda: not raw.exists(*(f"{name}-{kind}" for kind in EVERY)), 5)

    world.run(body)


@pytest.mark.parametrize("kind", [("asyncio", "server"), ("asyncio", "memory")], indirect=True)
def test_wait_for_takes_it_for_its_caller(world, name):
    import asyncio

    async def body(w):
        lock = w.client.lock(name)
        assert await asyncio.wait_for(lock.acquire(), 5)
        assert lock.local.token is not None
        assert await asyncio.gather(lock.owned(), lock.extend(1)) == [True, True]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(w.client.lock(name).acquire(), 0.05)
        await asyncio.wait_for(lock.release(), 5)
        assert lock.local.token is None

    world.run(body)


@on_server
def test_a_released_lock_leaves_no_key_but_the_fence(world, name, raw):
    async def body(w):
        for make in EVERY.values():
            lock = make(w.client, name)
            await w(lock.acquire())

            async def wait(make=make):
                other = make(w.client, name, blocking_timeout=0.05)
                with contextlib.suppress(redislock.LockError):
                    async with w.held(other):
                        pass

            await w.join(await w.spawn(wait))
            await w(lock.release())
        left = {each for each in raw.keys(f"*{name}*") if not each.endswith((":fence", ":alive"))}
        assert left - {name, f"{name}-b"} == set()

    world.run(body)


def python(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WAITS = """
import sys, time, redislock
client = redislock.Client(sys.argv[1])
holder = client.lock(sys.argv[2], thread_local=False)
holder.acquire()
print("waits", flush=True)
try:
    client.lock(sys.argv[2], thread_local=False).acquire()
except KeyboardInterrupt:
    print(time.time(), flush=True)
    holder.release()
    assert client.lock(sys.argv[2]).acquire(blocking_timeout=5)
    print("free", flush=True)
"""


@pytest.mark.timing
@pytest.mark.parametrize("backend", ["server", "memory"])
def test_ctrl_c_ends_a_wait_at_once(backend, server, name):
    program = python(WAITS, server.url if backend == "server" else "memory://", name)
    assert program.stdout.readline() == "waits\n"
    time.sleep(0.3)
    sent = time.time()
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0, err
    assert err == ""
    interrupted, free = out.split()
    assert float(interrupted) - sent < 0.2
    assert free == "free"


FORKS = """
import os, sys, redislock
client = redislock.Client(sys.argv[1])
mine = client.lock("a" + sys.argv[2], timeout=1.0)
shared = client.lock("b" + sys.argv[2], timeout=1.0, thread_local=False)
with mine, shared:
    child = os.fork()
    if child == 0:
        assert mine.local.token is None and shared.local.token is None
        for each in (mine, shared):
            try:
                each.release()
            except redislock.LockError:
                pass
            else:
                os._exit(2)
            if each.acquire(blocking=False):
                os._exit(3)
        own = client.lock("c" + sys.argv[2], timeout=0.6)
        with own:
            import time
            time.sleep(1.5)
            ok = not own.lost.is_set()
        os._exit(0 if ok else 4)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    print(mine.lost.is_set() or shared.lost.is_set())
"""


@pytest.mark.timing
def test_a_forked_child_holds_nothing_and_its_parent_goes_on(server, name):
    program = python(FORKS, server.url, name)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (0, "")
    assert out.split() == ["0", "False"]


ENDS = """
import sys, redislock
client = redislock.Client(sys.argv[1])
lock = client.lock(sys.argv[2], timeout=0.3, on_lost=print)
lock.acquire()
waiting = client.lock(sys.argv[2])
assert not waiting.acquire(blocking_timeout=0.05)
if sys.argv[3] == "loop":
    import asyncio, redislock.asyncio
    async def main():
        other = redislock.asyncio.Client(sys.argv[1])
        await other.lock("c" + sys.argv[2], on_lost=print).acquire()
    asyncio.run(main())
if sys.argv[3] == "gevent":
    import gevent
    gevent.spawn(client.lock("d" + sys.argv[2], on_lost=print).acquire).join()
print("end")
"""


@pytest.mark.parametrize("backend", ["server", "memory"])
@pytest.mark.parametrize("how", ["plain", "loop", "gevent"])
def test_a_program_ends_quietly_with_locks_held(backend, how, server, name):
    if how == "gevent":
        pytest.importorskip("gevent")
    begun = time.monotonic()
    program = python(ENDS, server.url if backend == "server" else "memory://", name, how)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out, err) == (0, "end\n", "")
    assert time.monotonic() - begun < 20


PATCHED = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, threading, redislock
client = redislock.Client(sys.argv[1])
lock = client.lock(sys.argv[2])
lock.acquire()
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.005)
gevent.spawn(tick)
told = []
short = client.lock("b" + sys.argv[2], timeout=0.1, auto_renew=False, on_lost=told.append)
short.acquire()
waiter = threading.Thread(target=lambda: client.lock(sys.argv[2]).acquire())
waiter.start()
while not told:
    gevent.sleep(0.01)
lock.release()
waiter.join()
print(len(ticks) > 5, told == [short])
"""


@pytest.mark.parametrize("backend", ["server", "memory"])
def test_in_a_patched_process(backend, server, name):
    pytest.importorskip("gevent")
    program = python(PATCHED, server.url if backend == "server" else "memory://", name)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out, err) == (0, "True True\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_owners_after_a_fork_have_other_names(server, name):
    program = """
import os, sys, redislock
client = redislock.Client(sys.argv[1])
lock = client.lock(sys.argv[2])
with lock:
    before = lock.local.token
read, write = os.pipe()
if os.fork() == 0:
    with lock:
        os.write(write, lock.local.token)
    os._exit(0)
os.wait()
print(before.split(b"/")[0] != os.read(read, 1000).split(b"/")[0])
"""
    out, err = python(program, server.url, name).communicate(timeout=60)
    assert (out, err) == ("True\n", "")


def test_a_dropped_lock_is_not_renewed_for_ever(server, name):
    client = redislock.Client(server.url)
    client.lock(name, timeout=0.3).acquire()
    assert client.lock(name).acquire(blocking_timeout=10)
    client.close()
