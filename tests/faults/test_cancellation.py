"""Scenario 27: callers that are cancelled or killed at every moment of their calls.

Whatever the moment: no lock and no connection is lost, nothing in flight is counted as ok, and
the client goes on working.
"""

import ast
import asyncio
import sys

import programs
import pytest
from changes import CHANGES, WITHDRAWALS
from waiting import at_most, eventually

import redislock.asyncio

LANES = 2


def in_flight(client):
    return sum(each._core.in_flight for each in client._waiters.values())


async def settles(client):
    """Wait until no operation is under way."""
    for _ in range(1000):
        if in_flight(client) == 0:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{in_flight(client)} operations never end")


def call(client, how, user, key=None):
    if how == "deposit":
        return client.deposit(user, 1, idempotency_key=key)
    return client.withdraw(how, user, 1, idempotency_key=key, lock_wait=5, max_retries=100)


async def books_hold(client, raw, user, how, ended):
    """Compare what callers were told with what the server has."""
    counted = sum(1 for each in ended if not isinstance(each, BaseException) and each.status == "ok")
    cut = sum(isinstance(each, asyncio.CancelledError) for each in ended)
    assert counted + cut == len(ended), [each for each in ended if not hasattr(each, "status")]
    moved = abs(10**6 - await client.balance(user))
    assert counted <= moved <= counted + cut
    assert len(await client.history(user)) == min(moved, 1000)
    return cut


async def still_works(client, user):
    """Have every exclusive connection at once, and the lock."""
    with at_most(2):
        ended = await asyncio.gather(
            *(client.withdraw_watch(user, 1, max_retries=100) for _ in range(2 * LANES)),
            client.withdraw_lock(user, 1),
        )
    assert {each.status for each in ended} == {"ok"}


async def cancel_after(task, steps):
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    return (await asyncio.gather(task, return_exceptions=True))[0]


@pytest.fixture(params=["asyncio", "uvloop"])
def run_loop(request):
    """Run a coroutine in a new event loop of either kind."""
    module = pytest.importorskip(request.param)

    def run_in_new_loop(main):
        loop = module.new_event_loop()
        try:
            loop.run_until_complete(main)
        finally:
            loop.close()

    return run_in_new_loop


@pytest.mark.parametrize("keyed", [False, True], ids=["once", "keyed"])
@pytest.mark.parametrize("how", CHANGES)
def test_27_cancelled_after_every_number_of_steps(how, keyed, run_loop, server, raw, user):
    async def run():
        async with redislock.asyncio.Client(server.url, max_connections=LANES) as client:
            await client.init(user, 10**6)
            ended = []
            for steps in range(60):
                key = f"{steps}" if keyed else None
                for _ in range(3):
                    task = asyncio.ensure_future(call(client, how, user, key))
                    ended.append(await cancel_after(task, steps))
                    key = key and key + "x"
            await settles(client)
            assert await books_hold(client, raw, user, how, ended) >= 3
            eventually(lambda: not raw.exists(client.keys(user)["lock"]), 1)
            await still_works(client, user)

    run_loop(run())


@pytest.mark.parametrize("how", CHANGES)
def test_27_cancelled_at_every_time_of_a_slow_connection(how, proxy, server, raw, user):
    async def run():
        name = f"cancelled-{how}"
        async with redislock.asyncio.Client(proxy.url, max_connections=LANES, client_name=name) as client:
            await client.init(user, 10**6)
            await call(client, how, user)
            await call(client, how, user)
            proxy.dribble(0.0003)
            ended = []
            for number in range(0, 40, 2):
                tasks = [asyncio.ensure_future(call(client, how, user)) for _ in range(3)]
                await asyncio.sleep(number * 0.001)
                for task in tasks[: 2 + number // 2 % 2]:
                    task.cancel()
                ended += await asyncio.gather(*tasks, return_exceptions=True)
            proxy.dribble(0)
            await settles(client)
            assert sum(isinstance(each, asyncio.CancelledError) for each in ended) > 10
            counted = sum(getattr(each, "status", None) == "ok" for each in ended)
            moved = abs(10**6 - await client.balance(user)) - 2
            assert counted <= moved <= len(ended)
            # A lock of somebody who left is released when the answer to its acquire comes.
            eventually(lambda: not raw.exists(client.keys(user)["lock"]), 2)
            await still_works(client, user)
            mine = [each for each in raw.client_list() if each["name"] == name]
            assert len(mine) <= 1 + LANES

    asyncio.run(run())


def test_27_cancelled_in_line_for_a_connection(proxy, raw, user):
    async def run():
        async with redislock.asyncio.Client(proxy.url, max_connections=LANES) as client:
            await client.init(user, 100)
            await still_works(client, user)
            before = await client.balance(user)
            proxy.hold("reply")
            tasks = [asyncio.ensure_future(client.withdraw_watch(user, 1)) for _ in range(20)]
            await asyncio.sleep(0.02)
            for task in tasks[LANES:][::2]:
                task.cancel()
            await asyncio.sleep(0)
            assert in_flight(client) <= 20
            proxy.release()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            ok = sum(getattr(each, "status", None) == "ok" for each in ended)
            assert sum(isinstance(each, asyncio.CancelledError) for each in ended) == 9
            assert await client.balance(user) == before - ok
            await still_works(client, user)

    asyncio.run(run())


def test_27_a_timeout_around_a_call_and_a_call_that_is_thrown_away(proxy, raw, user):
    async def run():
        async with redislock.asyncio.Client(proxy.url, max_connections=LANES) as client:
            await client.init(user, 100)
            await client.withdraw_lock(user, 1)
            proxy.hold("reply")
            for how in WITHDRAWALS:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.withdraw(how, user, 1), 0.05)
                # Without a task: closed in the middle, as a collected coroutine is.
                coroutine = client.withdraw(how, user, 1)
                coroutine.send(None)
                await asyncio.sleep(0.02)
                coroutine.close()
            proxy.release()
            await settles(client)
            await asyncio.sleep(0.05)
            eventually(lambda: not raw.exists(client.keys(user)["lock"]), 1)
            assert await client.balance(user) >= 100 - 1 - 2  # both calls of the script
            await still_works(client, user)

    asyncio.run(run())


GEVENT = """
    import sys, random, gevent, redislock
    from proxy import Proxy
    client = redislock.Client(sys.argv[1], max_connections=2)
    slow = redislock.Client(sys.argv[2], max_connections=2)
    user, how = sys.argv[3:]
    def call(client):
        if how == "deposit":
            return client.deposit(user, 1)
        return client.withdraw(how, user, 1, lock_wait=5, max_retries=100)
    gevent.sleep(0)
    ok = cut = other = 0
    def count(job):
        global ok, cut, other
        if isinstance(job.value, gevent.GreenletExit) or isinstance(job.exception, gevent.Timeout): cut += 1
        elif job.successful() and job.value.status == "ok": ok += 1
        else: other += 1; print(job.value, job.exception, file=sys.stderr)
    def timed(client, seconds):
        with gevent.Timeout(seconds): return call(client)
    # Killed after each number of steps of the hub ...
    for steps in range(40):
        jobs = [gevent.spawn(call, client) for _ in range(3)]
        for _ in range(steps): gevent.sleep(0)
        gevent.killall(jobs[:2])
        gevent.joinall(jobs)
        for each in jobs: count(each)
    # ... and timed out at each moment of a slow connection.
    for number in range(30):
        jobs = [gevent.spawn(timed, slow, 0.0005 + number * 0.001) for _ in range(2)]
        gevent.joinall(jobs)
        for each in jobs: count(each)
    # A sleeping greenlet is not woken by the answer to what it gave up.
    def gives_up():
        try:
            with gevent.Timeout(0.002): call(slow)
        except gevent.Timeout: pass
        begin = gevent.get_hub().loop.now()
        return gevent.sleep(0.1) is None
    sleepers = [gevent.spawn(gives_up) for _ in range(10)]
    gevent.joinall(sleepers)
    assert all(each.value for each in sleepers), [each.exception for each in sleepers]
    waiters = [*client._waiter._hubs.values(), *slow._waiter._hubs.values()]
    with gevent.Timeout(5):
        while sum(each._core.in_flight for each in waiters): gevent.sleep(0.01)
    gevent.sleep(0.01)
    assert not any(each._io.ref for each in waiters)
    with gevent.Timeout(5):
        jobs = [gevent.spawn(client.withdraw_watch, "rich", 1, max_retries=100) for _ in range(6)]
        gevent.joinall(jobs, raise_error=True)
        assert all(each.value for each in jobs)
    print({"ok": ok, "cut": cut, "other": other, "left": client.balance(user)})
    client.close(); slow.close()
"""


@pytest.mark.parametrize("how", CHANGES)
def test_27_killed_greenlets_and_gevent_timeouts(how, proxy, server, connect, raw, user):
    client = connect(server.url)
    client.init(user, 10**6)
    client.init("rich", 10**6)
    proxy.dribble(0.0003)
    said = programs.run(GEVENT, server.url, proxy.url, user, how, seconds=60)
    books = ast.literal_eval(said)
    moved = abs(10**6 - books["left"])
    assert books["other"] == 0
    assert books["cut"] > 10
    assert books["ok"] <= moved <= books["ok"] + books["cut"] + 10
    eventually(lambda: not raw.exists(client.keys(user)["lock"]), 2)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
def test_27_an_answer_that_came_with_the_cancellation_is_not_counted(server, user):
    async def run():
        async with redislock.asyncio.Client(server.url) as client:
            await client.init(user, 1000)
            for _ in range(100):
                task = asyncio.ensure_future(client.withdraw_lua(user, 1))
                await asyncio.sleep(0)
                # The answer is there before the loop looks again: both come in one turn.
                client._latest._core.pump()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await settles(client)
            assert 900 <= await client.balance(user) <= 1000

    asyncio.run(run())
