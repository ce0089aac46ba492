"""A lock that was handed over is begun with at once while the keeper claims it, or is lost in time."""

import concurrent.futures
import time

import pytest
from locking import line_of
from waiting import eventually, in_background


@pytest.fixture
def hand_over(proxy, server, locker, raw, name):
    """Return who hands a lock over to one behind the proxy, which holds back whatever comes then."""
    holder, client = locker(server.url), locker(proxy.url)

    def hand_over(**more):
        for _ in range(10):
            held = holder.acquire(name, wait=5)
            waiting = in_background(lambda: client.acquire(name, wait=20, **more))
            eventually(lambda: raw.zcard(line_of(name)) == 1)
            eventually(lambda: proxy.connections >= 2)  # the keeper's, and the waiter's
            proxy.hold("request")
            assert holder.release(held)
            try:
                return client, waiting.result(1)
            except concurrent.futures.TimeoutError:  # not begun with at once, since this machine is busy
                proxy.release()
                client.release(waiting.result(5))
        pytest.fail("a lock that was handed over is never begun with at once")

    return hand_over


def test_what_is_begun_with_is_ours_for_as_long_as_it_says(hand_over, proxy, locker, server, name):
    client, got = hand_over()
    assert 0.15 < got.remaining < 0.3
    assert not got.lost
    other = locker(server.url)
    assert other.acquire(name) is None
    proxy.release()
    eventually(lambda: got.remaining > 20)
    assert client.release(got)


def test_one_that_cannot_be_claimed_is_lost_before_the_server_gives_it_away(
    hand_over, proxy, locker, server, name
):
    client, got = hand_over(watched=True)
    eventually(lambda: got.lost)
    lost_at = time.monotonic()
    other = locker(server.url)
    theirs = other.acquire(name, wait=5)
    assert time.monotonic() > lost_at
    assert theirs.fence > got.fence
    proxy.release()  # the claim runs late, and takes nothing
    assert client.release(got) is False
    assert got.lost
    assert other.release(theirs)


@pytest.mark.parametrize("adding", [False, True], ids=["anew", "longer"])
def test_it_is_extended_once_it_was_claimed(hand_over, proxy, raw, name, adding):
    # A claim that ran behind the extension would shorten the lease again.
    client, got = hand_over()
    extending = in_background(lambda: client.run(client.locks.extend_hold(got, 60.0, adding)))
    time.sleep(0.05)
    assert not extending.done()
    proxy.release()
    assert extending.result(5) is True
    assert 55 < got.remaining <= raw.pttl(name) / 1000 + 0.001
    assert client.release(got)


def test_its_release_leaves_nothing_behind(hand_over, proxy, raw, name):
    client, got = hand_over(renew=True)
    releasing = in_background(lambda: client.release(got))
    proxy.release()
    assert releasing.result(5)
    assert not raw.exists(name, line_of(name))
    assert got.released


def test_an_exit_of_the_process_frees_it_soon(server, started, raw, locker, name):
    waiter = started(
        """
        import os, sys
        from locking import Locker
        locker = Locker(sys.argv[1])
        print("ready")
        locker.acquire(sys.argv[2], wait=20)
        os._exit(3)
        """,
        server.url,
        name,
    )
    holder = locker(server.url)
    held = holder.acquire(name)
    assert waiter.stdout.readline() == "ready\n"
    eventually(lambda: raw.zcard(line_of(name)) == 1)
    assert holder.release(held)
    waiter.wait(10)
    eventually(lambda: raw.exists(name) == 0 or raw.pttl(name) > 1000, 2)
    raw.delete(name)


def test_where_the_message_came_late_it_is_claimed_first(proxy, server, locker, raw, name):
    holder, client = locker(server.url), locker(proxy.url)
    held = holder.acquire(name)
    waiting = in_background(lambda: client.acquire(name, wait=20))
    eventually(lambda: raw.zcard(line_of(name)) == 1)
    eventually(lambda: proxy.connections >= 2)
    proxy.hold("reply")
    assert holder.release(held)
    time.sleep(0.15)  # too little of the 0.3 s is left
    proxy.release()
    got = waiting.result(5)
    assert got.remaining > 20
    assert client.release(got)
