"""Rate limits against a reference in exact fractions, fed with the server's own clock.

The reference is the virtual scheduling algorithm as ITU-T I.371 states it: what comes at `t` conforms
where ``t >= TAT - L``; then ``TAT = max(t, TAT) + I``.
"""

import math
import os
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import redislock
from redislock import _core

SETTINGS = settings(
    max_examples=400 if os.environ.get("CI") else 100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

rates = st.integers(1, 12) | st.sampled_from([997, 30_011, 10**6, 999_983])
periods = st.sampled_from([10, 333, 1000, 7919, 10**6, 86_400 * 10**6])  # µs


class Reference:
    """A limit as it is supposed to be. Times are microseconds."""

    def __init__(self, rate, per, burst):
        self.interval = Fraction(per, rate)
        self.capacity = burst + 1
        self.tat = Fraction(0)

    def ask(self, now, cost, patience, looks):
        """Return allowed, remaining, retry_after, reset_after and the wait."""
        tat = max(Fraction(now), self.tat)
        after = tat + cost * self.interval
        wait = max(0, math.ceil(after - self.capacity * self.interval) - now)
        allowed = wait <= patience
        if allowed and not looks:
            tat = after
        self.tat = tat
        remaining = max(0, math.floor((now + self.capacity * self.interval - tat) / self.interval))
        return allowed, remaining, 0 if allowed else wait, math.ceil(tat) - now, wait if allowed else 0


@pytest.mark.parametrize("backend", ["server", "memory"])
def test_it_is_what_the_reference_says(request, backend, user):
    url = request.getfixturevalue("server").url if backend == "server" else "memory://"
    told = iter(range(10**9))
    with redislock.Client(url) as client:
        core = client._coordination

        @SETTINGS
        @given(rate=rates, per=periods, burst=st.none() | st.integers(0, 20), data=st.data())
        def tell(rate, per, burst, data):
            key = f"{user}-{next(told)}"
            limit = _core.Rate(rate, per / 1e6, burst)
            reference = Reference(rate, per, limit.burst)
            for _ in range(data.draw(st.integers(1, 12))):
                cost = data.draw(st.integers(1, min(limit.burst + 1, 30)))
                patience = data.draw(st.sampled_from([0, 0, 0, 50, 1000, 10**9]))  # µs
                looks = data.draw(st.booleans())
                *said, now = client._run(core.rate_ask(key, limit, cost, patience / 1e6, looks))
                assert tuple(said) == reference.ask(now, cost, patience, looks)

        tell()


def state_of(raw, key):
    return [int(each) for each in raw.get(f"{{{key}}}:redislock:rate").split()]


def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing(server, raw, user):
    """As if the state had been written an hour later than it was."""
    hour = 3600 * 10**6
    with redislock.Client(server.url) as client:
        limit = client.rate_limit(user, 1, 100, burst=9)
        for _ in range(7):
            assert limit.acquire()
        due, part, written, *rest = state_of(raw, user)
        later = " ".join(map(str, [due + hour, part, written + hour, *rest]))
        raw.set(f"{{{user}}}:redislock:rate", later, px=10**7)
        said = limit.peek()
        assert said.remaining == 3
        assert 699 < said.reset_after <= 700
        assert [bool(limit.acquire()) for _ in range(4)] == [True, True, True, False]
        assert state_of(raw, user)[2] < written + hour


def test_nothing_is_rounded_in_the_long_run(server, raw, user):
    """A third of a microsecond more or less would show after a million."""
    with redislock.Client(server.url) as client:
        limit = client.rate_limit(user, 3, 0.001, burst=3 * 10**6)
        begin = None
        for _ in range(900):
            assert limit.acquire(3001)
            due, part, _, *rest = state_of(raw, user)
            begin = begin or (due, part)
        assert rest == [333, 1, 3, 3 * 10**6]
        gone = Fraction(due - begin[0]) + Fraction(part - begin[1], 3)
        assert gone == 899 * Fraction(3001 * 1000, 3)
