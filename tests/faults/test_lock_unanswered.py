"""Scenario 10, as users of locks meet it: a lock was given back, and no answer came in time."""

import asyncio

import pytest

import redislock
import redislock.asyncio

kinds = pytest.mark.parametrize("reentrant", [False, True], ids=["plain", "reentrant"])


@kinds
def test_10_a_lock_whose_release_was_not_answered_is_not_taken_for_held(
    reentrant, proxy, connect, server, raw, name
):
    client = connect(proxy.url, timeout=0.3)
    lock = client.lock(name, reentrant=reentrant)
    lock.acquire()
    fence = lock.fence
    proxy.hold("reply")
    with pytest.raises(redislock.Error):
        lock.release()
    proxy.release()
    assert (lock.remaining, lock.fence) == (0.0, None)
    with pytest.raises(redislock.LockError):
        lock.raise_if_lost()
    with connect(server.url).lock(name, blocking_timeout=5):
        assert not lock.acquire(blocking=False)
    with lock:
        assert lock.owned()
        assert lock.fence > fence
    assert not raw.exists(name)


@kinds
@pytest.mark.parametrize("direction", ["request", "reply"])
def test_10_a_release_that_was_not_answered_can_be_tried_again(
    direction, reentrant, proxy, connect, raw, name
):
    lock = connect(proxy.url, timeout=0.3).lock(name, reentrant=reentrant)
    lock.acquire()
    proxy.hold(direction)
    with pytest.raises(redislock.Error):
        lock.release()
    proxy.release()
    lock.release()
    assert lock.local.token is None
    assert not raw.exists(name)


def test_10_tried_again_past_the_lease_it_tells_the_loss(proxy, connect, name):
    lock = connect(proxy.url, timeout=0.3).lock(name, 0.5, auto_renew=False)
    lock.acquire()
    proxy.hold("reply")
    with pytest.raises(redislock.Error):
        lock.release()
    proxy.release()
    assert lock.lost.wait(5)
    with pytest.raises(redislock.LockLostError):
        lock.release()


@kinds
def test_10_with_leaves_it_to_the_keeper(reentrant, proxy, connect, raw, name):
    lock = connect(proxy.url, timeout=0.3).lock(name, None, reentrant=reentrant)
    with pytest.raises(redislock.Error), lock:
        proxy.hold("request")
    proxy.release()
    assert lock.local.token is None
    with lock:  # it has no lease that would end
        assert lock.owned()
    assert not raw.exists(name)


def test_10_with_gives_back_one_permit_and_not_the_one_below(proxy, connect, raw, name):
    semaphore = connect(proxy.url, timeout=0.3).semaphore(name, 2)
    with semaphore:
        below = semaphore.local.token
        with pytest.raises(redislock.Error), semaphore:
            proxy.hold("request")
        proxy.release()
        assert semaphore.local.token == below
        assert semaphore.owned()
    proxy.wait_for(lambda: not raw.exists(name))


def test_10_the_same_for_tasks(proxy, raw, name):
    async def use():
        async with redislock.asyncio.Client(proxy.url, timeout=0.3) as client:
            lock = client.lock(name, reentrant=True)
            await lock.acquire()
            proxy.hold("reply")
            with pytest.raises(redislock.Error):
                await lock.release()
            proxy.release()
            assert lock.remaining == 0.0
            async with lock:
                assert await lock.owned()
            assert not raw.exists(name)

    asyncio.run(use())
