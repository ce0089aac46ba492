"""What is done once, on every front end and backend: one runs, the others get its result."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from faces import call, on_server

import redislock
import redislock.asyncio
from redislock import LockLostError, OnceResult, WrongTypeError


@pytest.fixture
def once(client, user):
    return client.part("once", user, ttl=60)


def asynchronous(client):
    return isinstance(client.client, redislock.asyncio.Client)


def doing(client, what):
    """A function, or a coroutine function, that does something."""

    def do(*args):
        return what(*args)

    async def do_async(*args):
        return what(*args)

    return do_async if asynchronous(client) else do


def eventually(what, seconds=10):
    give_up = time.monotonic() + seconds
    while not (said := what()):
        assert time.monotonic() < give_up
        time.sleep(0.005)
    return said


# --- running ------------------------------------------------------------------------------------


def test_the_first_runs_and_the_others_are_told(client, once):
    calls = []
    do = doing(client, lambda value: calls.append(value) or {"of": value})
    assert once.peek() is None
    assert once.run(do, 1) == OnceResult({"of": 1}, ran=True)
    assert once.run(do, 2) == OnceResult({"of": 1}, ran=False)
    assert once.peek() == OnceResult({"of": 1}, ran=False)
    assert calls == [1]


def test_many_at_once(client, user):
    once = client.client.once(user, ttl=60)
    calls = []

    def slow(value):
        calls.append(value)
        time.sleep(0.02)  # stops a loop too: the others come meanwhile all the same
        return value

    ended = client.together([[call(once.run, doing(client, slow), i)] for i in range(20)])
    assert [type(each) for each in ended] == [OnceResult] * 20
    assert len(calls) == 1
    assert {each.value for each in ended} == set(calls)
    assert sum(each.ran for each in ended) == 1


def test_who_raises_leaves_it_to_the_next(client, once):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once.run(doing(client, fail))
    assert once.peek() is None
    assert once.run(doing(client, lambda: "done")) == ("done", True)


def test_of_many_the_first_that_does_not_raise(client, user):
    once = client.client.once(user, ttl=60)
    calls = []

    def third(value):
        calls.append(value)
        if len(calls) < 3:
            raise ValueError(value)
        return value

    ended = client.together([[call(once.run, doing(client, third), i)] for i in range(8)])
    assert len(calls) == 3
    assert sum(isinstance(each, ValueError) for each in ended) == 2
    assert [each for each in ended if isinstance(each, OnceResult) and each.ran] == [(calls[2], True)]
    assert {each.value for each in ended if isinstance(each, OnceResult)} == {calls[2]}


def test_as_a_context_manager(client, user):
    once = client.client.once(user, ttl=60)
    seen = []

    def use(result):
        with once as turn:
            seen.append((turn.mine, bool(turn), turn.lost, turn.fence is not None, turn.result))
            if turn.mine:
                turn.result = result
        return turn.result

    async def use_async(result):
        async with once as turn:
            seen.append((turn.mine, bool(turn), turn.lost, turn.fence is not None, turn.result))
            if turn.mine:
                turn.result = result
        return turn.result

    body = use_async if asynchronous(client) else use
    assert [client.run(call(body, [i])) for i in range(3)] == [[0]] * 3
    assert seen == [(True, True, False, True, None)] + [(False, False, False, False, [0])] * 2


def test_as_a_decorator(client, user):
    calls = []

    def charge(order, amount):
        """Charges."""
        calls.append((order, amount))
        return amount

    async def charge_async(order, amount):
        """Charges."""
        return charge(order, amount)

    once = client.client.once(user + ":{order}", ttl=60)
    charged = once(charge_async if asynchronous(client) else charge)
    assert charged.__doc__ == "Charges."
    said = [client.run(call(charged, *args)) for args in ((1, 5), (1, 6), (2, 7))]
    assert (said, calls) == ([5, 5, 7], [(1, 5), (2, 7)])
    assert client.part("once", f"{user}:2", ttl=60).peek() == (7, False)


def test_forgetting(client, once):
    assert once.forget() is False
    once.run(doing(client, lambda: 1))
    assert once.forget() is True
    assert once.run(doing(client, lambda: 2)) == (2, True)


def test_a_result_lives_for_its_ttl(client, user):
    once = client.part("once", user, ttl=0.05)
    assert once.run(doing(client, lambda: 1)).ran
    eventually(lambda: once.peek() is None)
    assert once.run(doing(client, lambda: 2)) == (2, True)


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": [1.5, None]}, "ü"], ids=repr)
def test_results_of_json(client, once, value):
    assert once.run(doing(client, lambda: value)) == (value, True)
    assert once.peek() == (value, False)


def test_results_of_bytes(client, user):
    once = client.part("once", user.encode(), ttl=None, codec="bytes")
    assert once.run(doing(client, lambda: b"\x00 v\xff")) == (b"\x00 v\xff", True)
    assert once.peek() == (b"\x00 v\xff", False)
    with pytest.raises(WrongTypeError, match="codec='bytes'"):
        client.part("once", user, ttl=None).peek()


def deep():
    """More lists in each other than JSON can be made of."""
    lists = []
    for _ in range(100_000):
        lists = [lists]
    return lists


UNSTORABLE = {"object": object(), "not a number": float("nan"), "half a letter": "\ud800", "deep": deep()}


@pytest.mark.parametrize("result", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_result_that_cannot_be_stored_is_not_done_again(client, once, result):
    calls = []
    for _ in range(2):
        with pytest.raises(TypeError, match="not be stored"):
            once.run(doing(client, lambda: calls.append(1) or result))
    assert calls == [1]
    assert once.forget()


# --- waiting ------------------------------------------------------------------------------------


def test_waiting_for_as_long_as_is_allowed(client, url, user):
    held = hold_a_turn(client, user)
    begin = time.monotonic()
    with pytest.raises(redislock.TimeoutError, match="still running elsewhere"):
        client.part("once", user, ttl=60, wait=0.1).run(doing(client, lambda: 1))
    assert time.monotonic() - begin < 5
    held.give_back()


def hold_a_turn(client, user, lease=30):
    """Take somebody's turn, who is not of this thread."""
    from redislock import _core

    core = client.client._coordination
    token = _core.make_token("x1", "")
    held = client.run(
        call(
            lambda: client.client._run(
                client.client._locks.acquire([core.once_turn(user)], "w", token, lease, 0, renew=False)
            )
        )
    )
    held.kept = True  # not given back with this object
    return held


def test_one_whose_process_died_is_succeeded(client, user):
    """Nothing renews its lease, and nobody gives it back."""
    hold_a_turn(client, user, 0.2)
    begin = time.monotonic()
    assert client.part("once", user, ttl=60).run(doing(client, lambda: "second")) == ("second", True)
    assert 0.1 < time.monotonic() - begin < 5


def taken_over(once):
    """Operations that do what happens where a process is stopped past its lease."""
    from redislock import _core

    core, locks = once._core, once._locks
    turn = core.once_turn(once.key)
    yield locks.release_token([turn], "w", once._open[-1]._hold.token)
    other = yield locks.acquire([turn], "w", _core.make_token("x2", ""), 30, 0)
    assert (yield core.once_put(once.key, b'"newer"', other.token, other.fence, 60)) is True
    yield locks.release(other)


def test_one_that_was_taken_over_stores_nothing(client, user):
    once, run = client.client.once(user, ttl=60), client.client._run

    def stopped():
        steps, said = taken_over(once), None
        with contextlib.suppress(StopIteration):
            while True:
                said = run(steps.send(said))
        return "older"

    async def stopped_async():
        steps, said = taken_over(once), None
        with contextlib.suppress(StopIteration):
            while True:
                said = await run(steps.send(said))
        return "older"

    with pytest.raises(LockLostError, match="taken over"):
        client.run(call(once.run, stopped_async if asynchronous(client) else stopped))
    assert client.run(call(once.peek)) == ("newer", False)


def test_a_lease_that_ended_unnoticed_is_no_harm_where_nobody_took_over(client, user):
    core, locks, run = client.client._coordination, client.client._locks, client.client._run
    hold = hold_a_turn(client, user)
    client.run(call(lambda: run(locks.release_token([core.once_turn(user)], "w", hold.token))))
    stored = client.run(call(lambda: run(core.once_put(user, b"1", hold.token, hold.fence, 60))))
    assert stored is True
    again = client.run(call(lambda: run(core.once_put(user, b"1", hold.token, hold.fence, 60))))
    assert again is True, "a repetition recognizes itself"
    older = client.run(call(lambda: run(core.once_put(user, b"0", hold.token, hold.fence - 1, 60))))
    assert older is False
    assert client.part("once", user, ttl=60).peek() == (1, False)


@on_server
@pytest.mark.parametrize("held", [True, False], ids=["held", "lost"])
def test_where_the_last_fence_is_not_known_the_lock_must_be_ours(client, user, raw, held):
    core, locks, run = client.client._coordination, client.client._locks, client.client._run
    hold = hold_a_turn(client, user)
    raw.delete(f"{{{user}}}:redislock:turn:redislock:t:fence")
    if not held:
        client.run(call(lambda: run(locks.release_token([core.once_turn(user)], "w", hold.token))))
    stored = client.run(call(lambda: run(core.once_put(user, b"1", hold.token, hold.fence, 60))))
    assert stored is held
    assert raw.exists(f"{{{user}}}:redislock:once") == held


@pytest.mark.threads
@pytest.mark.parametrize(
    "kind", [("threads", "server"), ("threads", "memory")], indirect=True, ids=["server", "memory"]
)
def test_two_that_wait_for_each_other_are_told(client, user):
    left, right = (client.client.once(f"{user}-{each}", ttl=60) for each in "ab")
    both = threading.Barrier(2)
    ended = []

    def cross(outer, inner):
        def wait():
            if len(ended) == 0:
                both.wait(10)
            return inner.run(lambda: "inner").value

        try:
            ended.append(outer.run(wait).value)
        except redislock.DeadlockError as error:
            ended.append(error)

    threads = [threading.Thread(target=cross, args=pair) for pair in ((left, right), (right, left))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    [victim] = [each for each in ended if isinstance(each, redislock.DeadlockError)]
    assert "turn" in str(victim)
    assert len(ended) == 2


def test_it_does_not_wait_for_itself(client, user):
    once = client.client.once(user, ttl=60)

    def again():
        return once.run(lambda: 1)

    async def again_async():
        return await once.run(doing(client, lambda: 1))

    with pytest.raises(RuntimeError, match="wait for itself"):
        client.run(call(once.run, again_async if asynchronous(client) else again))
    in_bytes = client.client.once(user.encode(), ttl=60)
    with pytest.raises(RuntimeError, match="wait for itself"):
        client.run(call(in_bytes.run, again_async if asynchronous(client) else again))
    assert client.run(call(once.run, doing(client, lambda: 2))) == (2, True)


# --- what is refused ----------------------------------------------------------------------------


def refusals(client):
    make = client.client.once
    yield "key", ValueError, lambda: make("", ttl=1)
    yield "key", TypeError, lambda: make(5, ttl=1)
    for ttl, error in ((0, ValueError), (-1, ValueError), ("5", TypeError)):
        yield "ttl", error, lambda ttl=ttl: make("k", ttl=ttl)
    yield "ttl", TypeError, lambda: make("k")
    yield "codec", ValueError, lambda: make("k", ttl=1, codec="pickle")
    yield "lease", ValueError, lambda: make("k", ttl=1, lease=0)
    yield "wait", ValueError, lambda: make("k", ttl=1, wait=-1)
    yield "function", TypeError, lambda: make("k", ttl=1)(5)
    yield "coroutine function", TypeError, lambda: make("k", ttl=1)(wrong_kind(client))
    yield "nobody", ValueError, lambda: make("k:{nobody}", ttl=1)(doing(client, lambda: 1))


def wrong_kind(client):
    async def coroutine():
        """Nothing."""

    return (lambda: 1) if asynchronous(client) else coroutine


def test_wrong_arguments_are_refused_before_anything_is_sent(client):
    for name, error, what in refusals(client):
        with pytest.raises(error, match=name):
            what()


@on_server
@pytest.mark.parametrize("text", ["", "x", "5", "5 ", "5 z", "list"])
def test_a_foreign_key_is_left_alone(client, user, raw, text):
    key = f"{{{user}}}:redislock:once"
    raw.rpush(key, "x") if text == "list" else raw.set(key, text)
    once = client.part("once", user, ttl=60)
    for each in (once.peek, lambda: once.run(doing(client, lambda: 1))):
        with pytest.raises(WrongTypeError, match="nothing was changed"):
            each()
    assert text == "list" or raw.get(key) == text


def test_its_name(once, user):
    assert once.key == user
    assert repr(once.made).endswith(f"Once {user!r}>")


# --- being broken off ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [("asyncio", "server"), ("asyncio", "memory")], indirect=True, ids=str)
def test_a_cancelled_task_leaves_it_to_the_next(client, user):
    import asyncio

    once = client.client.once(user, ttl=60)

    async def forever():
        await asyncio.sleep(1000)

    async def second():
        return "second"

    async def use():
        first = asyncio.create_task(once.run(forever))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(once.run(second))
        leaving = asyncio.create_task(once.run(second))
        await asyncio.sleep(0.05)
        leaving.cancel()
        first.cancel()
        return await asyncio.wait_for(waiting, 5)

    assert client.loop.run_until_complete(use()) == ("second", True)


@pytest.mark.parametrize("kind", [("gevent", "server"), ("gevent", "memory")], indirect=True, ids=str)
def test_a_killed_greenlet_leaves_it_to_the_next(client, user):
    once = client.client.once(user, ttl=60)

    def use():
        import gevent

        first = gevent.spawn(once.run, lambda: gevent.sleep(1000))
        gevent.sleep(0.05)
        waiting = gevent.spawn(once.run, lambda: "second")
        gevent.sleep(0.05)
        first.kill()
        return waiting.get(timeout=5)

    assert client._in_hub(use) == ("second", True)


# --- processes ----------------------------------------------------------------------------------

MIGRATION = """
import os, sys, time, redislock
def migrate():
    print("ran", os.getpid(), flush=True)
    time.sleep(float(sys.argv[3]))
    return os.getpid()
with redislock.Client(sys.argv[1]) as client:
    once = client.once(sys.argv[2], ttl=60, lease=float(sys.argv[4]))
    try:
        print(once.run(migrate).value, flush=True)
    except redislock.LockLostError as error:
        print(type(error).__name__, flush=True)
"""


def start(url, user, seconds, lease=30):
    return subprocess.Popen(
        [sys.executable, "-c", MIGRATION, url, user, str(seconds), str(lease)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kind", [("threads", "server")], indirect=True, ids=str)
def test_one_of_many_processes_runs(client, url, user):
    started = [start(url, user, 0.2) for _ in range(4)]
    said = [each.communicate(timeout=60)[0].split() for each in started]
    assert [each.returncode for each in started] == [0] * 4
    [runner] = [words[1] for words in said if words[0] == "ran"]
    assert {words[-1] for words in said} == {runner}
    assert client.part("once", user, ttl=60).peek().value == int(runner)


@pytest.mark.parametrize("kind", [("threads", "server")], indirect=True, ids=str)
def test_a_killed_process_is_succeeded_after_its_lease(client, url, user):
    first = start(url, user, 1000, lease=0.5)
    assert first.stdout.readline().startswith("ran")
    second = start(url, user, 0, lease=0.5)
    third = threading.Thread(
        target=lambda: got.append(client.part("once", user, ttl=60).run(lambda: "third"))
    )
    got = []
    third.start()
    os.kill(first.pid, signal.SIGKILL)
    begin = time.monotonic()
    first.communicate()
    words = second.communicate(timeout=60)[0].split()
    third.join(60)
    assert time.monotonic() - begin < 10
    ran_in_second = words[0] == "ran"
    assert got[0].ran is not ran_in_second
    assert str(got[0].value) == words[-1]


@pytest.mark.parametrize("kind", [("threads", "server")], indirect=True, ids=str)
def test_a_process_that_was_stopped_past_its_lease_is_told(client, url, user):
    first = start(url, user, 0.3, lease=0.5)
    assert first.stdout.readline().startswith("ran")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        assert client.part("once", user, ttl=60).run(lambda: "second") == ("second", True)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert "LockLostError" in first.communicate(timeout=60)[0]
    assert client.part("once", user, ttl=60).peek() == ("second", False)


FORKED = """
import os, sys, redislock
url, user, leaves = sys.argv[1:]
client = redislock.Client(url)
once = client.once(user, ttl=60)
said = "nothing"
with once as turn:
    child = os.fork()
    if child == 0:
        try:
            turn.result = "the child's"
            if leaves == "raises":
                raise KeyError
            once.__exit__(None, None, None)
        except KeyError as error:
            once.__exit__(KeyError, error, error.__traceback__)
            said = "KeyError"
        except redislock.LockNotOwnedError as error:
            said = "LockNotOwnedError"
        print(said, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    with redislock.Client(url) as other:
        try:
            other.once(user, ttl=60, wait=0.05).run(lambda: "another's")
        except redislock.TimeoutError:
            print("still running", flush=True)
    turn.result = "the parent's"
print(once.peek().value, flush=True)
"""


@pytest.mark.parametrize("kind", [("threads", "server")], indirect=True, ids=str)
@pytest.mark.parametrize("leaves", ["raises", "LockNotOwnedError"])
def test_a_forked_child_ends_no_turn_of_its_parent(client, url, user, leaves):
    program = subprocess.run(
        [sys.executable, "-c", FORKED, url, user, leaves],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert program.stderr == ""
    left = "KeyError" if leaves == "raises" else leaves
    assert program.stdout.splitlines() == [left, "still running", "the parent's"]
    assert client.part("once", user, ttl=60).peek().value == "the parent's"
