"""How locks are made: from clients, URLs and redis-py's clients; held ones, decorators, arguments."""

import asyncio
import contextlib
import functools
import pickle
import threading

import pytest
import redis
import redis.asyncio
from faces import on_server

import redislock
import redislock.asyncio


@pytest.fixture
def blocking(server):
    with redislock.Client(server.url) as client:
        yield client


# ---- what a lock runs on


def test_a_lock_takes_a_client_a_url_or_a_redis_py_client(server, name):
    with redislock.Client(server.url) as ours, redis.Redis.from_url(server.url) as theirs:
        decoding = redis.Redis.from_url(server.url, decode_responses=True)
        for each in [ours, server.url, theirs, decoding, redis.asyncio.Redis.from_url(server.url)]:
            lock = redislock.Lock(each, name, timeout=5)
            assert lock.redis is each
            with lock:
                assert theirs.get(name) == lock.local.token
                assert lock.locked()
                assert lock.owned()
        decoding.close()


def test_lock_class_of_redis_py(server, name):
    with redis.Redis.from_url(server.url) as theirs:
        lock = theirs.lock(name, timeout=3, lock_class=redislock.Lock, thread_local=False)
        assert type(lock) is redislock.Lock
        with lock:
            assert 2 < theirs.ttl(name) <= 3
            with pytest.raises(redis.exceptions.LockError):
                theirs.lock(name, blocking_timeout=0.2).__enter__()
        assert not theirs.exists(name)


def test_lock_class_of_redis_py_for_asyncio(server, name):
    async def use():
        async with redis.asyncio.Redis.from_url(server.url) as theirs:
            async with theirs.lock(name, timeout=3, lock_class=redislock.asyncio.Lock) as lock:
                assert await theirs.get(name) == lock.local.token
            assert not await theirs.exists(name)

    asyncio.run(use())


def test_locks_of_one_redis_py_client_share_a_client_of_ours(server, name):
    with redis.Redis.from_url(server.url) as theirs:
        first, second = redislock.Lock(theirs, name), redislock.Lock(theirs, f"{name}-2")
        assert first._client is second._client
        other = redis.Redis.from_url(server.url)
        assert redislock.Lock(other, name)._client is not first._client
        assert redislock.Lock(server.url, name)._client is redislock.Lock(server.url, name)._client


@pytest.mark.parametrize("wrong", [None, 5, object(), {"url": "redis://x"}])
def test_what_no_lock_runs_on(wrong):
    with pytest.raises(TypeError, match="needs a redislock client, a URL or a redis-py client"):
        redislock.Lock(wrong, "name")


def test_the_clients_are_not_mixed_up(server):
    with pytest.raises(TypeError, match=r"use redislock\.asyncio\.Lock"):
        redislock.Lock(redislock.asyncio.Client(server.url), "name")
    with pytest.raises(TypeError, match=r"use redislock\.Lock"):
        redislock.asyncio.Lock(redislock.Client(server.url), "name")


def test_defaults_are_redis_py_s_or_our_own(blocking, raw, name):
    lock = redislock.Lock(blocking, name)
    assert (lock.timeout, lock.auto_renew, lock.fair, lock.thread_local) == (None, False, True, True)
    with lock:
        assert raw.ttl(name) == -1
    lock = blocking.lock(name)
    assert (lock.timeout, lock.auto_renew, lock.fair, lock.thread_local) == (30.0, True, True, True)
    with lock:
        assert 29_000 < raw.pttl(name) <= 30_000
    with blocking.lock(name, timeout=None) as lock:
        assert not lock.auto_renew
        assert raw.ttl(name) == -1
    with redislock.Lock(blocking, name, timeout=0):
        assert raw.ttl(name) == -1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"auto_renew": True}, "auto_renew needs a lease"),
        ({"timeout": 5, "max_hold": 3}, "max_hold limits the renewal"),
        ({"reentrant": True, "thread_local": False}, "a reentrant lock belongs to one owner"),
    ],
)
def test_arguments_that_contradict_each_other(blocking, options, words):
    with pytest.raises(ValueError, match=words):
        redislock.Lock(blocking, "name", **options)


def test_arguments_of_the_wrong_type(blocking):
    with pytest.raises(TypeError, match="name must be str or bytes, not int"):
        blocking.lock(5)
    with pytest.raises(TypeError, match="on_lost must be callable"):
        blocking.lock("name", on_lost="later")
    with pytest.raises(TypeError, match="several names, not one"):
        blocking.multi_lock("name")
    with pytest.raises(ValueError, match="names must not be empty"):
        blocking.multi_lock([])
    with pytest.raises(TypeError, match="token must be str or bytes"):
        blocking.lock("name").acquire(token=5)
    with pytest.raises(ValueError, match="cannot be reentrant"):
        redislock.Semaphore(blocking, "name", 1, reentrant=True)
    with pytest.raises(TypeError, match="cannot pickle a Lock"):
        pickle.dumps(blocking.lock("name"))


# ---- redis-py's lock and ours


@on_server
def test_redis_py_s_lock_and_ours_exclude_each_other(world, name, raw):
    theirs = raw.lock(name, timeout=20, thread_local=False)

    async def body(w):
        async with w.held(w.client.lock(name)):
            assert not theirs.acquire(blocking=False)
            assert theirs.locked()
            assert not theirs.owned()
        assert theirs.acquire(blocking=False)
        ours = w.client.lock(name)
        assert not await w(ours.acquire(blocking=False))
        assert await w(ours.locked())

        async def wait():
            async with w.held(w.client.lock(name)) as lock:
                return lock.fence

        waiter = await w.spawn(wait)
        await w.sleep(0.05)
        theirs.release()
        assert await w.join(waiter) > 0

    world.run(body)


def test_many_of_both_on_one_name(server, blocking, name):
    inside, most = [], []

    def work(make):
        for _ in range(20):
            with make():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    with redis.Redis.from_url(server.url) as theirs:
        makers = [lambda: theirs.lock(name, timeout=10, sleep=0.001), lambda: blocking.lock(name)]
        threads = [threading.Thread(target=work, args=(makers[i % 2],)) for i in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
    assert (max(most), len(most)) == (1, 120)


def test_a_token_can_be_given_and_handed_over(blocking, raw, name):
    first = redislock.Lock(blocking, name, timeout=10)
    assert first.acquire(token="mine")
    assert raw.get(name) == "mine"
    second = redislock.Lock(blocking, name, timeout=10)
    second.local.token = b"mine"
    assert second.owned()
    assert second.extend(10)
    assert raw.pttl(name) > 15_000
    assert second.reacquire()
    second.release()
    assert not raw.exists(name)
    with pytest.raises(redislock.LockNotOwnedError):
        first.release()


@pytest.mark.parametrize("made", [redislock.Lock, redislock.asyncio.Lock])
def test_a_user_may_add_attributes_and_replace_methods(server, made, monkeypatch):
    lock = made(server.url, "name")
    lock.purpose = "tests"
    monkeypatch.setattr(lock, "acquire", lambda: "replaced")
    assert (lock.purpose, lock.acquire()) == ("tests", "replaced")


@pytest.mark.parametrize("seconds", [float("inf"), 1e9, threading.TIMEOUT_MAX])
def test_one_may_wait_for_longer_than_anybody_lives(blocking, name, seconds):
    holder = blocking.lock(name, thread_local=False)
    holder.acquire()
    threading.Timer(0.1, holder.release).start()
    assert redislock.Lock(blocking, name, blocking_timeout=seconds).acquire()


class Polled(redislock.Lock):
    tries = 0

    def do_acquire(self, token):
        self.tries += 1
        return self.tries > 2 and super().do_acquire(token)

    def do_release(self, expected_token):
        self.tries = -1
        super().do_release(expected_token)


class Own(redislock.Lock):
    def do_acquire(self, token):
        return bool(self.redis.set(self.name, token, nx=True, px=5000))


def test_hooks_can_be_overridden(server, name):
    with redis.Redis.from_url(server.url) as theirs:
        lock = Polled(theirs, name, sleep=0.01)
        with lock:
            assert lock.tries == 3
            assert lock.fence > 0
            assert not Polled(theirs, name, sleep=0.01, blocking_timeout=0.05).acquire()
        assert lock.tries == -1
        with Own(theirs, name, timeout=5) as own:
            assert own.owned()
            assert own.fence is None
            assert own.remaining == 0.0
            assert not Own(theirs, name, blocking=False).acquire()
        assert not theirs.exists(name)


def test_hooks_can_be_overridden_for_asyncio(server, name):
    class Counted(redislock.asyncio.Lock):
        tries = 0

        async def do_acquire(self, token):
            self.tries += 1
            return self.tries > 2 and await super().do_acquire(token)

        async def do_extend(self, additional_time, replace_ttl):
            return await super().do_extend(additional_time + 5, replace_ttl)

    async def use():
        async with redislock.asyncio.Client(server.url) as client:
            async with Counted(client, name, timeout=5, sleep=0.01) as lock:
                assert lock.tries == 3
                assert await asyncio.wait_for(lock.extend(5), 5)
                assert lock.remaining > 13
            assert not await lock.locked()

    asyncio.run(use())


# ---- try_lock


def test_try_lock_gives_a_held_lock_or_none(world, name):
    async def body(w):
        lock = await w(w.client.try_lock(name, timeout=5))
        assert await w(lock.owned())
        assert await w(w.client.try_lock(name)) is None
        assert await w(w.client.try_lock(name, timeout=0.05, retries=2, retry_delay=0.01)) is None
        async with w.held(lock) as same:
            assert same is lock
            assert await w(w.client.try_lock(name)) is None
        assert not await w(lock.locked())
        async with w.held(lock):  # and once more, as any lock
            assert await w(lock.owned())

    world.run(body)


def test_a_reentrant_try_lock_gives_back_what_it_took(world, name):
    async def body(w):
        outer = w.client.lock(name, reentrant=True)
        async with w.held(outer):
            inner = await w(w.client.try_lock(name, reentrant=True))
            for _ in range(2):
                async with w.held(inner):
                    pass
                assert await w(outer.owned())
        assert not await w(outer.locked())

    world.run(body)


@pytest.mark.parametrize("kind", [("asyncio", "memory"), ("asyncio", "server")], indirect=True)
def test_what_another_task_tried_for_belongs_to_who_asked(world, name):
    async def body(w):
        first, second, none = await asyncio.gather(
            w.client.try_lock(name), w.client.try_lock(f"{name}-2", timeout=5), w.client.try_lock(name)
        )
        assert none is None
        third = await asyncio.wait_for(w.client.try_lock(f"{name}-3", retries=1), 5)
        for each in (first, second, third):
            assert each.fence is not None
            async with each:
                assert await each.owned()
            assert not await each.locked()

    world.run(body)


def test_try_lock_tries_again(world, name):
    async def body(w):
        holder = await w(w.client.try_lock(name))

        async def again():
            return await w(w.client.try_lock(name, retries=200, retry_delay=0.02))

        trying = await w.spawn(again)
        await w.sleep(0.1)
        await w(holder.release())
        assert await w.join(trying) is not None

    world.run(body)


# ---- the decorator


class Order:
    number = "o-1"


def test_a_decorated_function_runs_under_the_lock_of_its_arguments(blocking, name):
    @blocking.locked(name + ":{order.number}:{kind}", blocking_timeout=0.05)
    def charge(order, *, kind="card"):
        """Charges."""
        token = blocking.lock(f"{name}:{order.number}:{kind}").locked()
        with pytest.raises(redislock.LockError) as caught:
            charge(order, kind=kind)
        return token, caught.value.lock_name

    assert charge.__doc__ == "Charges."
    assert charge(Order()) == (True, f"{name}:o-1:card")
    assert charge(Order(), kind="cash") == (True, f"{name}:o-1:cash")
    assert not blocking.lock(f"{name}:o-1:card").locked()


def test_a_decorated_coroutine_function(server, name):
    async def use():
        async with redislock.asyncio.Client(server.url) as client:
            running = []

            @client.locked(name + ":{number:03d}")
            async def work(number):
                running.append(number)
                assert running.count(number) == 1
                assert await client.lock(f"{name}:{number:03d}").locked()
                await asyncio.sleep(0.01)
                running.remove(number)
                return number

            assert await asyncio.gather(work(1), work(1), work(number=2)) == [1, 1, 2]

    asyncio.run(use())


def test_a_decorated_method_and_a_reentrant_one(blocking, name):
    class Shop:
        number = 7

        @blocking.locked(name + ":{self.number}", reentrant=True)
        def outer(self, depth=2):
            return self.outer(depth - 1) + 1 if depth else 0

    assert Shop().outer() == 2


def test_a_decorated_function_tries_again(blocking, name):
    calls = []

    @blocking.locked(name, blocking=False, retries=200, retry_delay=0.02)
    def work():
        calls.append(1)

    holder = blocking.lock(name, thread_local=False)
    holder.acquire()
    threading.Timer(0.1, holder.release).start()
    work()
    assert calls == [1]


@pytest.mark.parametrize("wrong", ["a:{user}", "a:{0}", "a:{}", "a:{order.x[{user}]}", "{x:{width}}", ""])
def test_names_that_cannot_be_made_are_refused_at_once(blocking, wrong):
    with pytest.raises(ValueError, match="name"):
        blocking.locked(wrong)(lambda order, x: None)


def disguise(function):
    @functools.wraps(function)
    def disguised(*args):
        return function(*args)

    return disguised


@pytest.mark.parametrize("kind", ["coroutine", "generator", "async_generator", "context"])
def test_what_a_function_only_prepares_is_refused_when_it_is_called(blocking, kind, name):
    ran = []

    async def coroutine():
        ran.append(1)

    def generator():
        yield ran.append(1)

    async def async_generator():
        yield ran.append(1)

    made = {
        "coroutine": disguise(coroutine),
        "generator": disguise(generator),
        "async_generator": disguise(async_generator),
        "context": contextlib.contextmanager(generator),
    }[kind]
    with pytest.raises(TypeError, match="would run without the lock"):
        blocking.locked(name)(made)()
    assert not blocking.lock(name).locked()
    for _ in range(2):  # nothing was done, and so it is not kept that it was
        with pytest.raises(TypeError, match="has not run"):
            blocking.once(name, ttl=60)(made)()
    assert ran == []


def test_functions_that_cannot_be_locked_are_refused_at_once(server, blocking):
    other = redislock.asyncio.Client(server.url)

    async def coroutine():
        pass

    def generator():
        yield

    async def async_generator():
        yield

    def function():
        pass

    with pytest.raises(TypeError, match="use the locked"):
        blocking.locked("a")(coroutine)
    with pytest.raises(TypeError, match="use the locked"):
        other.locked("a")(function)
    for client in (blocking, other):
        for each in (generator, async_generator):
            with pytest.raises(TypeError, match="is a generator"):
                client.locked("a")(each)
        for each in ("text", Order):
            with pytest.raises(TypeError, match="decorates functions"):
                client.locked("a")(each)
        for above in (classmethod, staticmethod):
            with pytest.raises(TypeError, match=f"put it below @{above.__name__}"):
                client.locked("a")(above(function))
        with pytest.raises(ValueError, match="retries must not be negative"):
            client.locked("a", retries=-1)
        with pytest.raises(TypeError, match="retries must be an int"):
            client.locked("a", retries=1.5)
        with pytest.raises(ValueError, match="retry_delay"):
            client.locked("a", retry_delay=-1)
        with pytest.raises(ValueError, match="max_hold"):
            client.locked("a", auto_renew=False, max_hold=1)(function if client is blocking else coroutine)
