"""The front ends behind one blocking face, so that one test body serves them all.

A face makes a client and runs calls on it, one at a time or many together. It knows nothing of what
the calls do.
"""

import asyncio
import importlib.util
import queue
import threading
from itertools import chain

import pytest

import redislock
import redislock.asyncio


def call(name, *args, **kwargs):
    """A call to be made later: a method, or the name of the client's, and its arguments."""
    return name, args, kwargs


class Face:
    """What all faces share: the client's methods, called and awaited as its kind demands."""

    client = None

    def __getattr__(self, name):
        if name.startswith("_") or self.client is None:
            raise AttributeError(name)
        return lambda *args, **kwargs: self.run(call(name, *args, **kwargs))

    def method(self, wanted):
        return wanted if callable(wanted) else getattr(self.client, wanted)

    def part(self, name, *args, **kwargs):
        """What the client's method of that name makes, behind this face."""
        return Part(self, getattr(self.client, name)(*args, **kwargs))

    def withdraw_by(self, strategy, *args, **kwargs):
        """Use the method of that strategy, as a user would."""
        return self.run(call(f"withdraw_{strategy}", *args, **kwargs))


class Part:
    """Something that a client has made: its methods, called and awaited as the client's are."""

    def __init__(self, face, made):
        self.face = face
        self.made = made

    def __getattr__(self, name):
        found = getattr(self.made, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: self.face.run(call(found, *args, **kwargs))


class ThreadFace(Face):
    """`redislock.Client`, in plain threads."""

    client_type = redislock.Client

    def __init__(self, url, **options):
        self.client = self.client_type(url, **options)

    def run(self, wanted):
        name, args, kwargs = wanted
        return self.method(name)(*args, **kwargs)

    def together(self, sequences):
        """Run each sequence of calls in a thread of its own; all begin at once. Exceptions are outcomes."""
        outcomes = [[] for _ in sequences]
        start = threading.Barrier(len(sequences))

        def work(index):
            start.wait()
            for wanted in sequences[index]:
                try:
                    outcomes[index].append(self.run(wanted))
                except Exception as error:  # noqa: BLE001, PERF203
                    outcomes[index].append(error)

        threads = [threading.Thread(target=work, args=[i]) for i in range(len(sequences))]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return list(chain.from_iterable(outcomes))

    def close(self):
        self.client.close()


class AsyncFace(Face):
    """`redislock.asyncio.Client`, in a loop of its own."""

    client_type = redislock.asyncio.Client
    new_loop = staticmethod(asyncio.new_event_loop)

    def __init__(self, url, **options):
        self.client = self.client_type(url, **options)
        self.loop = self.new_loop()

    async def _run(self, wanted):
        name, args, kwargs = wanted
        return await self.method(name)(*args, **kwargs)

    async def _work(self, sequence):
        outcomes = []
        for wanted in sequence:
            try:
                outcomes.append(await self._run(wanted))
            except Exception as error:  # noqa: BLE001, PERF203
                outcomes.append(error)
        return outcomes

    async def _together(self, sequences):
        return list(chain.from_iterable(await asyncio.gather(*map(self._work, sequences))))

    def run(self, wanted):
        return self.loop.run_until_complete(self._run(wanted))

    def together(self, sequences):
        return self.loop.run_until_complete(self._together(sequences))

    def close(self):
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()


class UvloopFace(AsyncFace):
    """The same in uvloop."""

    @staticmethod
    def new_loop():
        import uvloop

        return uvloop.new_event_loop()


class GeventFace(Face):
    """`redislock.Client` in greenlets. Their hub lives in a thread of its own: nothing is patched."""

    client_type = redislock.Client

    def __init__(self, url, **options):
        self.client = self.client_type(url, **options)
        self.jobs = queue.SimpleQueue()
        self.answers = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        import gevent

        gevent.get_hub()
        while (job := self.jobs.get()) is not None:
            self.answers.put(job())
        self.client.close()
        gevent.get_hub().destroy(destroy_loop=True)

    def _in_hub(self, job):
        self.jobs.put(job)
        return self.answers.get()

    def _work(self, sequence):
        outcomes = []
        for name, args, kwargs in sequence:
            try:
                outcomes.append(self.method(name)(*args, **kwargs))
            except Exception as error:  # noqa: BLE001, PERF203
                outcomes.append(error)
        return outcomes

    def run(self, wanted):
        [outcome] = self._in_hub(lambda: self._work([wanted]))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def together(self, sequences):
        import gevent

        def spawn():
            greenlets = [gevent.spawn(self._work, each) for each in sequences]
            gevent.joinall(greenlets)
            return list(chain.from_iterable(each.get() for each in greenlets))

        return self._in_hub(spawn)

    def close(self):
        self.jobs.put(None)
        self.thread.join()


FACES = {"threads": ThreadFace, "asyncio": AsyncFace, "uvloop": UvloopFace, "gevent": GeventFace}


def _kinds(*backends):
    for face in FACES:
        missing = face in ("uvloop", "gevent") and importlib.util.find_spec(face) is None
        marks = [pytest.mark.skipif(missing, reason=f"{face} is not installed")]
        if face == "threads":
            marks.append(pytest.mark.threads)
        for backend in backends:
            yield pytest.param((face, backend), id=f"{face}-{backend}", marks=marks)


EVERY_KIND = list(_kinds("server", "memory"))

# For tests that look at the server from outside.
on_server = pytest.mark.parametrize("kind", list(_kinds("server")), indirect=True)
