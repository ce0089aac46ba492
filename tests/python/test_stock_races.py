"""Confirming, cancelling and timing out at the same moment: each reservation ends in one way, once."""

import collections
import itertools
import random
import time

import pytest
from faces import call

ROUNDS = 3
TOTAL = 60
HOLD = 0.04


@pytest.fixture
def stock(client, user):
    made = client.part("stock", user, hold=HOLD)
    made.set(TOTAL)
    return made


def ends_of(said):
    """How the reservations ended, by what was told: 'confirmed', 'cancelled' or nothing."""
    ended = collections.defaultdict(list)
    for (what, order_id), each in said:
        assert each.status in {"ok", "duplicate", "missing"}
        if each:
            ended[order_id].append(what)
        # Whatever is told of it is final.
        assert each.state in {"confirmed", "cancelled", "expired"}
    return ended


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch"])
def test_each_reservation_ends_once(client, stock, strategy):
    rng = random.Random(strategy)
    numbers = itertools.count()
    sold = 0
    for _ in range(ROUNDS):
        begin = time.monotonic()
        ids = [f"o{next(numbers)}" for _ in range(20)]
        for each in ids:
            assert stock.reserve(1, each, strategy=strategy, user="bob")
        ways = [(what, each) for each in ids for what in ("confirm", "cancel", "confirm", "cancel")]
        rng.shuffle(ways)
        # So that the holds end in the middle of it.
        time.sleep(max(0, HOLD - 0.004 * rng.random() - (time.monotonic() - begin)))
        lanes = [ways[i::4] for i in range(4)]
        said = client.together(
            [[call(getattr(stock.made, what), each) for what, each in lane] for lane in lanes]
        )
        ended = ends_of(zip(itertools.chain.from_iterable(lanes), said, strict=True))
        time.sleep(HOLD)
        for each in ids:
            told = ended[each]
            state = stock.outcome(each).state
            assert len(told) <= 1
            assert state == ({"confirm": "confirmed", "cancel": "cancelled"}[told[0]] if told else "expired")
            sold += state == "confirmed"
        assert (stock.level(), stock.backlog()) == (TOTAL - sold, sold)
    assert stock.sweep() == 0


def test_many_find_the_same_that_timed_out(client, stock):
    """Calls that settle meet each other: what timed out comes back once."""
    for number in range(TOTAL):
        assert stock.reserve(1, number)
    time.sleep(HOLD)
    methods = [call(stock.made.level), call(stock.made.sweep), call(stock.made.cancel, 3)]
    said = client.together([methods * 3 for _ in range(5)])
    assert set(said[0::3]) == {TOTAL}
    assert sum(said[1::3]) <= TOTAL
    assert stock.level() == TOTAL


def test_a_user_cannot_have_more_by_being_quick(client, stock):
    orders = [
        [call(stock.made.reserve, 1, f"{lane}-{n}", user="bob", limit=3) for n in range(4)]
        for lane in range(5)
    ]
    said = client.together(orders)
    assert sum(bool(each) for each in said) == 3
    assert {each.status for each in said if not each} == {"limit"}
