"""Every primitive, from every front end, on a server and in memory: who holds it, who waits, who may
give it back.
"""

import time

import pytest
from faces import on_server
from worlds import EVERY, ONE_AT_A_TIME, every, one_at_a_time

import redislock

# ---- holding it


@one_at_a_time
@pytest.mark.parametrize("shared", [True, False], ids=["one-object", "an-object-each"])
def test_one_holder_at_a_time(world, make, shared, name):
    async def body(w):
        inside = []
        most = 0
        rounds = 0
        common = make(w.client, name)

        async def work():
            nonlocal most, rounds
            for _ in range(10):
                async with w.held(common if shared else make(w.client, name)):
                    inside.append(1)
                    most = max(most, len(inside))
                    await w.sleep(0.001)
                    rounds += 1
                    inside.pop()

        await w.together(*[work] * 4)
        assert (most, rounds) == (1, 40)

    world.run(body)


@every
def test_takes_and_gives_back(world, make, name):
    async def body(w):
        lock = make(w.client, name)
        assert lock.local.token is None
        assert lock.fence is None
        assert lock.remaining == 0.0
        assert await w(lock.acquire()) is True
        assert isinstance(lock.local.token, bytes)
        assert 29 < lock.remaining <= 30
        assert lock.fence > 0
        assert await w(lock.owned()) is True
        assert await w(lock.locked()) is True
        assert await w(make(w.client, name).locked()) is True
        assert await w(make(w.client, name).owned()) is False
        assert not lock.lost.is_set()
        lock.raise_if_lost()
        assert await w(lock.release()) is None
        assert lock.local.token is None
        assert lock.fence is None
        assert await w(lock.owned()) is False
        assert await w(lock.locked()) is False
        with pytest.raises(redislock.LockError, match="not held"):
            lock.raise_if_lost()

    world.run(body)


@one_at_a_time
def test_a_second_one_does_not_get_it(world, make, name):
    async def body(w):
        async with w.held(make(w.client, name)):
            other = make(w.client, name)
            assert await w(other.acquire(blocking=False)) is False
            assert await w(other.acquire(blocking_timeout=0)) is False
            begun = time.monotonic()
            assert await w(other.acquire(blocking_timeout=0.1)) is False
            assert time.monotonic() - begun >= 0.09
            assert other.local.token is None
        assert await w(other.acquire(blocking=False)) is True
        await w(other.release())

    world.run(body)


@one_at_a_time
def test_a_waiter_gets_it_when_it_is_given_back(world, make, name):
    async def body(w):
        lock = make(w.client, name)
        await w(lock.acquire())

        async def wait():
            async with w.held(make(w.client, name)):
                return time.monotonic()

        waiter = await w.spawn(wait)
        await w.until_in_line(name, 1)
        given = time.monotonic()
        await w(lock.release())
        assert 0 <= await w.join(waiter) - given < 5

    world.run(body)


@one_at_a_time
def test_first_come_first_served(world, make, name):
    async def body(w):
        served = []
        lock = make(w.client, name)
        await w(lock.acquire())

        async def wait(number):
            async with w.held(make(w.client, name)):
                served.append(number)

        waiters = []
        for number in range(5):
            waiters.append(await w.spawn(wait, number))
            await w.until_in_line(name, number + 1)
        await w(lock.release())
        for each in waiters:
            await w.join(each)
        assert served == [0, 1, 2, 3, 4]

    world.run(body)


@every
def test_a_name_is_text_or_bytes_and_is_kept(world, make, name):
    async def body(w):
        lock = make(w.client, name)
        assert name in repr(lock)
        assert "not held" in repr(lock)
        async with w.held(lock):
            assert "not held" not in repr(lock)
            same = make(w.client, name.encode()) if make is ONE_AT_A_TIME["lock"] else None
            if same is not None:
                assert await w(same.acquire(blocking=False)) is False

    world.run(body)


# ---- giving it back


@every
def test_what_is_not_held_cannot_be_given_back(world, make, name):
    async def body(w):
        lock = make(w.client, name)
        expected = "Cannot release a lock that's not owned or is already unlocked."
        with pytest.raises(redislock.LockError) as caught:
            await w(lock.release())
        assert str(caught.value) == expected
        assert caught.value.lock_name in (name, (name, f"{name}-b"))
        async with w.held(lock):
            pass
        with pytest.raises(ValueError, match="not owned or is already unlocked"):
            await w(lock.release())

    world.run(body)


@every
def test_another_owner_cannot_give_it_back_unless_it_is_shared(world, make, name):
    async def body(w):
        async def give_back(lock):
            await w(lock.release())

        lock = make(w.client, name)
        await w(lock.acquire())
        other = await w.spawn(give_back, lock)
        with pytest.raises(redislock.LockError, match="not owned"):
            await w.join(other)
        assert lock.local.token is not None
        await w(lock.release())

        shared = make(w.client, name, thread_local=False)
        await w(shared.acquire())
        await w.join(await w.spawn(give_back, shared))
        assert shared.local.token is None
        async with w.held(make(w.client, name)):
            pass

    world.run(body)


@pytest.mark.parametrize("reentrant", [False, True], ids=["plain", "reentrant"])
def test_one_object_has_any_number_of_users(world, reentrant, name):
    async def body(w):
        lock = w.client.lock(name, reentrant=reentrant)
        turns = []

        async def work():
            async with w.held(lock):
                turns.append(lock.fence)

        async with w.held(lock):
            users = [await w.spawn(work) for _ in range(150)]
            await w.until_in_line(name, 150)
        for each in users:
            await w.join(each)
        assert turns == sorted(set(turns))
        assert len(turns) == 150
        assert not await w(lock.locked())

    world.run(body)


@one_at_a_time
def test_a_shared_object_is_like_threading_lock(world, make, name):
    async def body(w):
        lock = make(w.client, name, thread_local=False)
        assert await w(lock.acquire()) is True
        assert await w(lock.acquire(blocking=False)) is False
        assert await w(lock.acquire(blocking_timeout=0.05)) is False

        async def wait():
            return await w(lock.acquire(blocking_timeout=20))

        waiter = await w.spawn(wait)
        await w.sleep(0.05)
        await w(lock.release())
        assert await w.join(waiter) is True
        await w(lock.release())
        with pytest.raises(redislock.LockError):
            await w(lock.release())

    world.run(body)


@every
def test_with_raises_what_it_could_not_get(world, make, name):
    async def body(w):
        writer = w.client.rw_lock(name).write() if make is EVERY["read"] else make(w.client, name)
        async with w.held(writer):
            with pytest.raises(redislock.LockError) as caught:
                async with w.held(make(w.client, name, blocking_timeout=0.05)):
                    pass
            assert str(caught.value) == "Unable to acquire lock within the time specified"
            assert caught.value.lock_name in (name, (name, f"{name}-b"))
            with pytest.raises(redislock.LockError):
                async with w.held(make(w.client, name, blocking=False)):
                    pass

    world.run(body)


@every
def test_an_error_within_with_gives_it_back(world, make, name):
    async def body(w):
        with pytest.raises(KeyError):
            async with w.held(make(w.client, name)):
                raise KeyError
        assert await w(make(w.client, name).acquire(blocking=False))

    world.run(body)


# ---- reentrancy


@pytest.mark.parametrize("which", ["lock", "write", "multi"])
def test_a_reentrant_lock_is_given_back_as_often_as_it_was_taken(world, which, name):
    make = EVERY[which]

    async def body(w):
        lock = make(w.client, name, reentrant=True)
        async with w.held(lock):
            fence = lock.fence
            async with w.held(lock):
                assert lock.fence == fence
                # another object of that name and client
                async with w.held(make(w.client, name, reentrant=True)) as again:
                    assert again.fence == fence

            async def other():
                return await w(make(w.client, name, reentrant=True).acquire(blocking=False))

            assert await w.join(await w.spawn(other)) is False
        assert lock.local.token is None
        assert await w(make(w.client, name).acquire(blocking=False)) is True

    world.run(body)


def test_a_lock_is_not_reentrant_by_itself(world, name):
    async def body(w):
        lock = w.client.lock(name)
        async with w.held(lock):
            assert await w(lock.acquire(blocking_timeout=0.05)) is False
            assert lock.local.token is not None

    world.run(body)


# ---- fences


@every
def test_fences_grow(world, make, name):
    async def body(w):
        fences = []

        async def take(**options):
            lock = make(w.client, name, **options)
            await w(lock.acquire())
            fences.append(lock.fence)
            return lock

        async def other():
            await w((await take()).release())

        for _ in range(3):
            await w((await take()).release())
        await w.join(await w.spawn(other))
        await take(timeout=0.05, auto_renew=False)  # and its lease ends
        await w.sleep(0.1)
        await take()
        assert fences == sorted(set(fences))

    world.run(body)


def test_several_locks_have_a_fence_each(world, name):
    async def body(w):
        names = [f"{name}-2", f"{name}-1"]
        lock = w.client.multi_lock(names)
        assert lock.fences is None
        async with w.held(lock):
            assert list(lock.fences) == names
            assert lock.fences[names[0]] == lock.fence
            first = lock.fences
        for each in names:
            async with w.held(w.client.lock(each)) as one:
                assert one.fence > first[each]

    world.run(body)


# ---- what is special to each


def test_a_semaphore_has_its_permits(world, name):
    async def body(w):
        inside = []
        most = 0

        async def work():
            nonlocal most
            for _ in range(5):
                async with w.held(w.client.semaphore(name, 3)):
                    inside.append(1)
                    most = max(most, len(inside))
                    await w.sleep(0.01)
                    inside.pop()

        await w.together(*[work] * 6)
        assert most == 3

        many = w.client.semaphore(name, 3)
        for _ in range(3):
            assert not await w(many.locked())
            assert await w(many.acquire(blocking=False))
        assert await w(many.locked())
        assert not await w(many.acquire(blocking=False))
        for _ in range(3):
            await w(many.release())
        with pytest.raises(redislock.LockError):
            await w(many.release())

    world.run(body)


def test_readers_share_and_a_writer_is_alone(world, name):
    async def body(w):
        both = w.client.rw_lock(name)
        readers = [both.read() for _ in range(3)]
        for each in readers:
            assert await w(each.acquire(blocking=False))
        writer = both.write()
        assert not await w(writer.acquire(blocking=False))
        for each in readers:
            await w(each.release())
        assert await w(writer.acquire(blocking=False))
        assert not await w(both.read().acquire(blocking=False))
        assert not await w(both.write().acquire(blocking=False))
        await w(writer.release())

    world.run(body)


def test_a_waiting_writer_is_not_starved_by_readers(world, name):
    async def body(w):
        both = w.client.rw_lock(name)
        first = both.read()
        await w(first.acquire())
        order = []

        async def use(lock, what):
            async with w.held(lock):
                order.append(what)

        writer = await w.spawn(use, both.write(), "write")
        await w.until_in_line(name, 1)
        reader = await w.spawn(use, both.read(), "read")
        await w.until_in_line(name, 2)
        assert order == []
        await w(first.release())
        await w.join(writer)
        await w.join(reader)
        assert order == ["write", "read"]

    world.run(body)


def test_several_locks_are_taken_together_or_not_at_all(world, name):
    async def body(w):
        a, b = f"{name}-a", f"{name}-b"
        async with w.held(w.client.lock(b)):
            assert not await w(w.client.multi_lock([a, b]).acquire(blocking=False))
            async with w.held(w.client.lock(a, blocking=False)):
                pass

        rounds = 0

        async def work(names):
            nonlocal rounds
            for _ in range(10):
                async with w.held(w.client.multi_lock(names)):
                    before = rounds
                    await w.sleep(0.001)
                    rounds = before + 1

        await w.together(lambda: work([a, b]), lambda: work([b, a]), lambda: work([b]))
        assert rounds == 30

    world.run(body)


@on_server
def test_several_locks_are_the_locks_of_their_names(world, name, raw):
    async def body(w):
        a, b = f"{name}-a", f"{name}-b"
        async with w.held(w.client.multi_lock([a, b])) as lock:
            assert raw.get(a) == raw.get(b) == lock.local.token.decode()
            assert await w(w.client.lock(a).locked())
            assert await w(lock.locked())
            assert await w(lock.owned())
        assert raw.exists(a, b) == 0

    world.run(body)


# ---- deadlocks


def test_a_deadlock_is_told_to_the_youngest_waiter(world, name):
    async def body(w):
        a, b = f"{name}-a", f"{name}-b"
        told = []

        async def work(first, second, ready, other):
            async with w.held(w.client.lock(first)):
                ready.append(first)
                await w.until(lambda: other)
                try:
                    async with w.held(w.client.lock(second)):
                        pass
                except redislock.DeadlockError as error:
                    told.append(error)

        one, two = [], []
        await w.together(lambda: work(a, b, one, two), lambda: work(b, a, two, one))
        [error] = told
        assert error.lock_name in (a, b)
        assert sorted(lock for _, lock, _ in error.parties) == [a, b]
        assert len({owner for owner, _, _ in error.parties}) == 2
        assert isinstance(error, redislock.LockError)
        assert isinstance(error, ValueError)

    world.run(body)


# ---- tokens that callers give


def test_a_token_that_two_callers_give_is_still_one_holders(world, name):
    async def body(w):
        one, two = w.client.lock(name), w.client.lock(name)
        assert await w(one.acquire(token="worker")) is True
        assert one.local.token == b"worker"
        assert await w(one.owned()) is True
        for other in (one, two):
            assert await w(other.acquire(blocking=False, token=b"worker")) is False
            assert await w(other.acquire(blocking_timeout=0.05, token="worker")) is False
        assert await w(two.do_acquire(b"worker")) is False

        async def wait():
            assert await w(two.acquire(token="worker")) is True
            fence = two.fence
            assert await w(two.owned()) is True
            await w(two.release())
            return fence

        waiting = await w.spawn(wait)
        await w.until_in_line(name, 1)
        fence = one.fence
        assert await w(one.extend(5)) is True
        await w(one.release())
        assert await w.join(waiting) > fence
        assert await w(one.locked()) is False

    world.run(body)


def test_only_mutexes_store_what_callers_give(world, name):
    async def body(w):
        assert await w(w.client.lock(name).acquire(token="worker")) is True
        for lock in (w.client.semaphore(name, 2), w.client.rw_lock(name).read()):
            with pytest.raises(ValueError, match="token is what a mutex stores"):
                await w(lock.acquire(token="worker"))

    world.run(body)
