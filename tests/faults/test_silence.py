"""Scenarios 21, 22, 24 and 39: a server that does not answer in time, and late replies."""

import asyncio
import concurrent.futures
import contextlib
import time

import pytest
from changes import CHANGES, after, change, warm
from waiting import at_most, eventually, in_background

import redislock.asyncio
from redislock import OutcomeUnknownError

pytestmark = pytest.mark.timing

LATE = 0.1  # what a call may take beyond its deadline


def ends_in_time(call, timeout):
    with at_most(timeout + LATE):
        begin = time.monotonic()
        with pytest.raises((TimeoutError, OutcomeUnknownError)) as caught:
            call()
        assert time.monotonic() - begin >= timeout - 0.01
    return caught.type


@pytest.mark.parametrize("timeout", [0.15, 0.3])
@pytest.mark.parametrize("how", CHANGES)
def test_21_half_open(how, timeout, proxy, connect, raw, user):
    client = connect(proxy.url, timeout=timeout)
    client.init(user, 100)
    change(client, how, user)
    balance = after(how, 100)
    warm(client, how)
    proxy.drop()
    ended = ends_in_time(lambda: change(client, how, user), timeout)
    # What was not more than acquired or looked at is told as not applied.
    assert (ended is OutcomeUnknownError) == (how in ("lua", "deposit"))
    ends_in_time(lambda: change(client, how, user, "order"), timeout)
    ends_in_time(lambda: client.balance(user), timeout)
    proxy.release()
    proxy.cut_all()
    assert eventually(lambda: can_read(client, user)) == balance
    assert int(raw.get(client.keys(user)["balance"])) == balance


def can_read(client, user):
    try:
        return client.balance(user)
    except TimeoutError:
        return None


@pytest.mark.parametrize("timeout", [0.04, 0.25])
def test_21_a_silent_connection_is_left_for_another(timeout, proxy, connect, user):
    client = connect(proxy.url, timeout=timeout)
    client.init(user, 100)
    proxy.drop(later_too=False)
    # Also where every caller is less patient than it takes to call a connection silent.
    assert eventually(lambda: can_read(client, user), 2) == 100
    assert proxy.accepted == 2


def test_21_a_server_that_accepts_and_says_nothing(proxy, connect):
    proxy.drop()
    client = connect(proxy.url, timeout=0.2)
    # An attempt to connect that one call began may end while the next one waits for it.
    definite = (redislock.TimeoutError, redislock.ConnectionError)
    for how in CHANGES:
        with at_most(0.2 + LATE), pytest.raises(definite):
            change(client, how, "alice")
    with at_most(0.3):
        assert not client.health().reachable


def test_21_asyncio_and_many_at_once(proxy, user):
    async def run():
        async with redislock.asyncio.Client(proxy.url, timeout=0.3) as client:
            await client.init(user, 100)
            proxy.drop()
            begin = time.monotonic()
            answers = await asyncio.gather(
                *(client.withdraw_lua(user, 1) for _ in range(50)),
                *(client.withdraw_watch(user, 1) for _ in range(100)),  # more than connections
                return_exceptions=True,
            )
            assert time.monotonic() - begin < 0.3 + 2 * LATE
            assert {type(each) for each in answers[:50]} == {OutcomeUnknownError}
            assert {type(each) for each in answers[50:]} == {redislock.TimeoutError}
            proxy.release()

    asyncio.run(run())


@pytest.mark.parametrize("interval", [0.002, 0.05])
@pytest.mark.parametrize("how", CHANGES)
def test_22_the_total_deadline_holds_against_one_byte_now_and_then(how, interval, proxy, connect, raw, user):
    client = connect(proxy.url)
    client.init(user, 100)
    change(client, how, user)
    proxy.dribble(interval)
    slow = connect(proxy.url, timeout=0.3)
    # From the first connect on ...
    with at_most(0.3 + LATE):
        try:
            done = change(slow, how, user).status == "ok"
        except (TimeoutError, OutcomeUnknownError):
            done = None
    assert interval == 0.002 or not done  # a byte each 50 ms does not even bring the greeting
    # ... and on a connection that was good before.
    proxy.dribble(0.05)
    with at_most(0.1 + LATE), pytest.raises((TimeoutError, OutcomeUnknownError)):
        change_within(client, how, user, 0.1)


def change_within(client, how, user, timeout):
    if how == "deposit":
        return client.deposit(user, 1, timeout=timeout)
    return client.withdraw(how, user, 1, timeout=timeout)


def test_21_a_silent_connection_is_left_also_where_every_caller_brings_a_timeout_of_its_own(proxy):
    async def run():
        async with redislock.asyncio.Client(proxy.url, timeout=0.5) as client:
            await client.balance("nobody")
            proxy.drop("reply", later_too=False)
            for _ in range(20):
                with contextlib.suppress(asyncio.TimeoutError):
                    return await asyncio.wait_for(client.balance("nobody"), 0.1)
            return "still there"

    assert asyncio.run(run()) is None
    assert proxy.accepted == 2


@pytest.mark.parametrize("how", CHANGES)
def test_24_a_late_reply_is_never_anothers(how, proxy, connect, user):
    client = connect(proxy.url)
    client.init(user, 100)
    client.init(user + "-other", 7)
    change(client, how, user)
    proxy.hold("reply")
    with pytest.raises((TimeoutError, OutcomeUnknownError)):
        change_within(client, how, user, 0.15)
    with pytest.raises(TimeoutError):
        client.balance(user, timeout=0.05)
    proxy.release()
    for _ in range(20):
        assert client.balance(user + "-other") == 7
        assert client.balance("nobody") is None
    assert client.withdraw_watch(user + "-other", 1).balance == 6


def test_24_late_replies_after_cancellation(proxy, user):
    async def run():
        async with redislock.asyncio.Client(proxy.url) as client:
            await client.init(user, 10**6)
            for number in range(20):
                await client.init(f"{user}-{number}", number)
            proxy.hold("reply")
            calls = [asyncio.ensure_future(client.balance(f"{user}-{n}")) for n in range(20)]
            calls += [asyncio.ensure_future(client.withdraw_lua(user, 1)) for _ in range(20)]
            calls += [asyncio.ensure_future(client.withdraw_watch(user, 1)) for _ in range(20)]
            await asyncio.sleep(0.05)
            for call in calls[::2]:
                call.cancel()
            await asyncio.sleep(0)
            proxy.release()
            for number in range(19, -1, -1):
                assert await client.balance(f"{user}-{number}") == number
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert list(answers[1:20:2]) == list(range(1, 20, 2))
            for each in answers[::2]:
                assert isinstance(each, asyncio.CancelledError)
            counted = sum(each.status == "ok" for each in answers[21::2])
            taken = 10**6 - await client.balance(user)
            assert counted <= taken <= counted + 20

    asyncio.run(run())


def test_39_one_impatient_caller_does_not_harm_its_neighbours(proxy, connect, user):
    client = connect(proxy.url, timeout=0.3)
    client.init(user, 100)
    client.withdraw_lua(user, 1)
    connections = proxy.accepted
    proxy.hold("reply", later_too=False)
    patient = [
        in_background(lambda: client.withdraw_lua(user, 1, timeout=10)),
        in_background(lambda: client.deposit(user, 1, timeout=10)),
        in_background(lambda: client.balance("nobody", timeout=10)),
    ]
    proxy.wait_for(lambda: proxy.carried["request"] > 0)
    with pytest.raises(OutcomeUnknownError):
        client.withdraw_lua(user, 1, timeout=0.15)
    assert client.withdraw_lua(user, 1, timeout=0.15).status == "ok"  # on another connection
    # Longer than the client's own patience, which is what silence is measured by.
    with pytest.raises(concurrent.futures.TimeoutError):
        patient[0].result(0.8)
    proxy.release()
    assert patient[0].result(5).status == "ok"
    assert patient[1].result(5).status == "ok"
    assert patient[2].result(5) is None
    assert proxy.accepted > connections
    # What the impatient caller did not see may have been applied: its history tells.
    left = client.balance(user)
    assert left == 100 - sum(each.amount for each in client.history(user))
    assert left == 100 - 1 - 1 + 1 - 1 - 1


def test_39_a_killed_caller_does_not_harm_its_neighbours(proxy, user):
    async def run():
        async with redislock.asyncio.Client(proxy.url) as client:
            await client.init(user, 100)
            proxy.hold("reply")
            calls = [asyncio.ensure_future(client.withdraw_lua(user, 1)) for _ in range(30)]
            await asyncio.sleep(0.05)
            for call in calls[10:20]:
                call.cancel()
            await asyncio.sleep(0.05)
            proxy.release()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            others = answers[:10] + answers[20:]
            assert {each.status for each in others} == {"ok"}
            # All thirty were written: each took its own, in order.
            assert sorted(each.balance for each in others) == sorted([*range(90, 100), *range(70, 80)])
            assert await client.balance(user) == 70
            assert proxy.accepted == 1

    asyncio.run(run())
