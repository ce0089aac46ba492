"""Rate limits on every front end and backend: bursts, costs, waiting, pacing, what is refused."""

import threading
import time

import pytest
from faces import call, on_server

import redislock
import redislock.asyncio
from redislock import RateLimitResult

SLOW = 1000  # seconds, in which a test sees no place come back


@pytest.fixture
def make(client, user):
    """Make a limit for the test's own key."""
    return lambda *args, **kwargs: client.part("rate_limit", user, *args, **kwargs)


def allowed(limit, times, **kwargs):
    return [limit.acquire(**kwargs).allowed for _ in range(times)]


def test_the_burst_and_one_at_once(make):
    assert allowed(make(1, SLOW, burst=4), 7) == [True] * 5 + [False] * 2


def test_without_a_burst_the_rate_comes_at_once(make):
    limit = make(3, SLOW)
    assert (limit.rate, limit.per, limit.burst) == (3, SLOW, 2)
    assert allowed(limit, 5) == [True] * 3 + [False] * 2


def test_without_any_burst_they_are_evenly_spaced(make):
    assert allowed(make(100, SLOW * 100, burst=0), 3) == [True, False, False]


def test_what_it_says(make):
    limit = make(10, SLOW, burst=1)
    first, second, third = (limit.acquire() for _ in range(3))
    assert isinstance(first, RateLimitResult)
    assert first == RateLimitResult(True, 1, 0.0, 100.0)
    assert (bool(second), second.remaining, second.retry_after) == (True, 0, 0.0)
    assert 199 < second.reset_after <= 200
    assert (bool(third), third.remaining) == (False, 0)
    assert 99 < third.retry_after <= 100
    assert 199 < third.reset_after <= 200


def test_costs(make):
    limit = make(10, SLOW)
    assert limit.acquire(4).remaining == 6
    refused = limit.acquire(7)
    assert (refused.allowed, refused.remaining) == (False, 6), "nothing is counted"
    assert 90 < refused.retry_after <= 100
    assert limit.acquire(6).remaining == 0


def test_peeking_counts_nothing(make):
    limit = make(2, SLOW)
    assert limit.peek() == RateLimitResult(True, 2, 0.0, 0.0)
    limit.acquire()
    assert (limit.peek().remaining, limit.peek(2).allowed) == (1, False)
    assert allowed(limit, 2) == [True, False]
    assert not limit.peek()


def test_a_reset(make):
    limit = make(1, SLOW)
    assert allowed(limit, 2) == [True, False]
    assert limit.reset() is None
    assert allowed(limit, 2) == [True, False]


def test_two_keys_are_two_limits(client, user, make):
    assert allowed(make(1, SLOW), 2) == [True, False]
    assert client.part("rate_limit", user + "x", 1, SLOW).acquire()
    assert not client.part("rate_limit", user.encode(), 1, SLOW).acquire(), "the same key as bytes"


def test_places_come_back(make):
    limit = make(1, 0.05)
    assert limit.acquire()
    give_up = time.monotonic() + 5
    while not (said := limit.acquire()):
        assert 0 < said.retry_after <= 0.05
        time.sleep(said.retry_after)
        assert time.monotonic() < give_up


def test_after_retry_after_it_is_allowed(make):
    limit = make(3, 0.1, burst=0)
    for _ in range(5):
        limit.acquire()
        if not (said := limit.acquire()):
            time.sleep(said.retry_after)
            assert limit.acquire()


def test_another_limit_goes_on_with_what_is_used_up(make):
    wide, strict = make(1, SLOW, burst=999), make(1, SLOW, burst=4)
    assert wide.acquire(1000)
    said = strict.acquire()
    assert not said
    assert said.retry_after <= SLOW, "one burst of the stricter limit is gone, and no more"
    assert strict.peek().reset_after <= 5 * SLOW


# --- waiting ------------------------------------------------------------------------------------


def test_waiting_for_a_turn(make):
    limit = make(1, 0.05)
    begin = time.monotonic()
    assert [limit.wait().allowed for _ in range(4)] == [True] * 4
    assert time.monotonic() - begin >= 0.149


def test_not_waiting_longer_than_allowed(make):
    limit = make(1, SLOW)
    assert limit.acquire()
    begin = time.monotonic()
    for said in (limit.wait(10), limit.acquire(wait=10), limit.wait(timeout=0), limit.acquire(wait=0)):
        assert not said
        assert 0.99 * SLOW < said.retry_after <= SLOW, "nothing was counted"
    assert time.monotonic() - begin < 5, "it is known at once"


def test_waiters_take_their_turns_one_after_the_other(client, user):
    limit = client.client.rate_limit(user, 1, 0.02)
    begin = time.monotonic()
    ended = client.together([[call(limit.wait), call(limit.wait)] for _ in range(6)])
    assert [bool(each) for each in ended] == [True] * 12
    assert time.monotonic() - begin >= 11 * 0.02 - 0.001


def test_who_does_not_wait_goes_behind_those_who_do(client, user, make):
    limit = make(1, 0.3)
    assert limit.acquire()
    [taken] = client.together([[call(client.client.rate_limit(user, 1, 0.3).wait, 1)]])
    assert taken
    assert 0.2 < limit.acquire().retry_after <= 0.3


@pytest.mark.parametrize("pace", ["with", "decorator"])
def test_pacing(client, user, pace):
    limit = client.client.rate_limit(user, 1, 0.03)
    done = []
    begin = time.monotonic()

    def step():
        with limit as entered:
            assert entered is limit
            done.append(time.monotonic())

    async def step_async():
        async with limit as entered:
            assert entered is limit
            done.append(time.monotonic())

    def note(value):
        """Says what it does."""
        done.append(time.monotonic())
        return value

    async def note_async(value):
        """Says what it does."""
        return note(value)

    asynchronous = isinstance(client.client, redislock.asyncio.Client)
    if pace == "with":
        for _ in range(3):
            client.run(call(step_async if asynchronous else step))
    else:
        paced = limit(note_async if asynchronous else note)
        assert paced.__doc__ == "Says what it does."
        assert [client.run(call(paced, i)) for i in range(3)] == [0, 1, 2]
    assert done[2] - begin >= 0.059


# --- what is refused ----------------------------------------------------------------------------


def refusals(client):
    make = client.client.rate_limit
    for rate, error in (
        (0, ValueError),
        (-1, ValueError),
        (0.5, TypeError),
        (True, TypeError),
        (10**10, ValueError),
    ):
        yield "rate", error, lambda rate=rate: make("k", rate, 1)
    for per, error in (
        (0, ValueError),
        (-1, ValueError),
        ("1", TypeError),
        (1e-9, ValueError),
        (1e9, ValueError),
    ):
        yield "per", error, lambda per=per: make("k", 1, per)
    for burst, error in ((-1, ValueError), (1.5, TypeError), (10**10, ValueError)):
        yield "burst", error, lambda burst=burst: make("k", 1, 1, burst=burst)
    yield "rounder", ValueError, lambda: make("k", 999_999_937, 1.000003)
    yield "key", ValueError, lambda: make("", 1, 1)
    yield "key", TypeError, lambda: make(5, 1, 1)
    part = client.part("rate_limit", "k", 5, 1)
    for cost, error in ((0, ValueError), (6, ValueError), (1.0, TypeError)):
        yield "cost", error, lambda cost=cost: part.acquire(cost)
        yield "cost", error, lambda cost=cost: part.peek(cost)
    yield "wait", ValueError, lambda: part.acquire(wait=-1)
    yield "wait", TypeError, lambda: part.wait("1")
    yield "timeout", ValueError, lambda: part.acquire(timeout=0)


def test_wrong_arguments_are_refused_before_anything_is_sent(client):
    for name, error, what in refusals(client):
        with pytest.raises(error, match=name):
            what()


@pytest.mark.parametrize("rate", [1, 7, 999_983, 10**9])
@pytest.mark.parametrize("per", [0.001, 1, 60, 86400])
def test_what_people_use_is_accepted(make, rate, per):
    limit = make(rate, per)
    assert limit.acquire()
    assert limit.peek().remaining <= rate


@on_server
@pytest.mark.parametrize("text", ["", "x", "1 2 3", "list"])
def test_a_foreign_key_is_left_alone(client, user, raw, text):
    key = f"{{{user}}}:redislock:rate"
    if text == "list":
        raw.rpush(key, "x")
    else:
        raw.set(key, text)
    limit = client.part("rate_limit", user, 1, 1)
    for each in (limit.acquire, limit.peek, limit.wait):
        with pytest.raises(redislock.WrongTypeError, match="nothing was changed"):
            each()
    assert text == "list" or raw.get(key) == text
    limit.reset()
    assert limit.acquire()


@on_server
def test_its_state_goes_when_it_is_of_no_use(client, user, raw):
    client.part("rate_limit", user, 1, 2).acquire()
    assert 2900 < raw.pttl(f"{{{user}}}:redislock:rate") <= 3000


def test_its_name(make, user):
    limit = make(5, 60, burst=1)
    assert limit.key == user
    assert repr(limit.made).endswith(f"RateLimit {user!r}: 5 in 60 s, burst 1>")


# --- threads ------------------------------------------------------------------------------------


@pytest.mark.threads
@pytest.mark.parametrize(
    "kind", [("threads", "server"), ("threads", "memory")], indirect=True, ids=["server", "memory"]
)
def test_threads_that_press_get_no_more_than_allowed(client, user):
    limit = client.client.rate_limit(user, 50, 0.1, burst=9)
    ask = lambda: client.client._run(limit._core.rate_ask(user, limit._limit))  # noqa: E731
    times = []
    end = time.monotonic() + 0.4

    def press():
        while time.monotonic() < end:
            said = ask()
            if said[0]:
                times.append(said[5])

    threads = [threading.Thread(target=press) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    times.sort()
    assert len(times) > 10
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            most = 10 + (times[last] - begin) * 50 // 100_000
            assert last - first + 1 <= most, "burst + 1 + rate * t / per"


def test_what_cannot_be_paced_is_refused_when_it_is_decorated():
    async def coroutine():
        """Nothing."""

    for kind in (redislock.Client, redislock.asyncio.Client):
        limit = kind("memory://").rate_limit("key", 1, per=1)
        for wrong in (5, None, RateLimitResult):
            with pytest.raises(TypeError, match="decorates functions"):
                limit(wrong)
    with pytest.raises(TypeError, match="is a coroutine function; use the rate_limit"):
        redislock.Client("memory://").rate_limit("key", 1, per=1)(coroutine)
