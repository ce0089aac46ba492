"""Threads, greenlets and tasks behind one face, so that one test body serves the locks of all three.

A body is a coroutine function that is given a world. In threads and greenlets it never suspends: it
blocks, as the code of a user would.
"""

import asyncio
import contextlib
import threading
import time

import pytest
from faces import FACES

ONE_AT_A_TIME = {
    "lock": lambda client, name, **options: client.lock(name, **options),
    "semaphore": lambda client, name, **options: client.semaphore(name, 1, **options),
    "write": lambda client, name, **options: client.rw_lock(name, **options).write(),
    "multi": lambda client, name, **options: client.multi_lock([name, f"{name}-b"], **options),
}
EVERY = {**ONE_AT_A_TIME, "read": lambda client, name, **options: client.rw_lock(name, **options).read()}

one_at_a_time = pytest.mark.parametrize("make", ONE_AT_A_TIME.values(), ids=ONE_AT_A_TIME)
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


def drive(coroutine):
    """Run a coroutine that blocks instead of suspending."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a body for threads must not suspend")


class Owner:
    """Something that was spawned: its outcome, once it has ended."""

    def __init__(self):
        self.value = None
        self.error = None

    async def work(self, body, *args):
        try:
            self.value = await body(*args)
        except BaseException as error:
            self.error = error
            if not isinstance(error, Exception):
                raise

    def outcome(self):
        if self.error is not None:
            raise self.error
        return self.value


class World:
    """What all worlds share."""

    killable = True

    def __init__(self, name, url, **options):
        self.face = FACES[name](url, **options)
        self.client = self.face.client

    async def __call__(self, outcome):
        """Await what only asyncio has to await."""
        return outcome

    def held(self, lock):
        return _Held(lock)

    def close(self):
        self.face.close()

    async def together(self, *bodies):
        """Spawn all of these and wait for them."""
        owners = [await self.spawn(each) for each in bodies]
        return [await self.join(each) for each in owners]

    async def until_in_line(self, name, number, patience=10.0):
        """Wait until so many wait for a lock."""
        end = time.monotonic() + patience
        while True:
            seen = await self(self.client._run(self.client._locks.list([name])))
            if seen and seen[0]["waiting"] == number:
                return
            assert time.monotonic() < end, seen
            await self.sleep(0.005)

    async def until(self, condition, patience=10.0):
        """Wait for something that must come true."""
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, "did not come true"
            await self.sleep(0.005)


class _Held:
    """`with`, for a body that writes `async with`."""

    def __init__(self, lock):
        self.lock = lock

    async def __aenter__(self):
        return self.lock.__enter__()

    async def __aexit__(self, *exc):
        return self.lock.__exit__(*exc)


class ThreadWorld(World):
    killable = False

    def run(self, body):
        return drive(body(self))

    async def spawn(self, body, *args):
        owner = Owner()
        owner.thread = threading.Thread(target=lambda: drive(owner.work(body, *args)), daemon=True)
        owner.thread.start()
        return owner

    async def join(self, owner, patience=30):
        owner.thread.join(patience)
        assert not owner.thread.is_alive(), "still waiting"
        return owner.outcome()

    async def sleep(self, seconds):
        time.sleep(seconds)  # noqa: ASYNC251  # it blocks, as a thread does


class GeventWorld(World):
    def run(self, body):
        def job():
            try:
                return drive(body(self)), None
            except BaseException as error:  # noqa: BLE001  # it belongs to the test's thread
                return None, error

        value, error = self.face._in_hub(job)
        if error is not None:
            raise error
        return value

    async def spawn(self, body, *args):
        import gevent

        owner = Owner()

        def work():
            with contextlib.suppress(gevent.GreenletExit):
                drive(owner.work(body, *args))

        owner.greenlet = gevent.spawn(work)
        gevent.sleep(0)
        return owner

    async def join(self, owner, patience=30):
        owner.greenlet.join(patience)
        assert owner.greenlet.dead, "still waiting"
        return owner.outcome()

    async def kill(self, owner, times=1):
        import gevent

        for _ in range(times):
            owner.greenlet.kill(block=False)
            gevent.sleep(0)
        owner.greenlet.join()

    async def sleep(self, seconds):
        import gevent

        gevent.sleep(seconds)


class AsyncWorld(World):
    async def __call__(self, outcome):
        return await outcome

    def held(self, lock):
        return lock

    def run(self, body):
        return self.face.loop.run_until_complete(body(self))

    async def spawn(self, body, *args):
        owner = Owner()
        owner.task = asyncio.ensure_future(owner.work(body, *args))
        await asyncio.sleep(0)
        return owner

    async def join(self, owner, patience=30):
        done, _ = await asyncio.wait([owner.task], timeout=patience)
        assert done, "still waiting"
        if owner.task.cancelled():
            raise asyncio.CancelledError
        return owner.outcome()

    async def kill(self, owner, times=1):
        for _ in range(times):
            owner.task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([owner.task])

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


WORLDS = {"threads": ThreadWorld, "gevent": GeventWorld, "asyncio": AsyncWorld, "uvloop": AsyncWorld}


def make_world(name, url, **options):
    return WORLDS[name](name, url, **options)
