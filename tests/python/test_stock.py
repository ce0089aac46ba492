"""Stock on every front end and backend: orders, reservations, limits, the backlog, what is refused."""

import itertools
import pickle
import time

import pytest
from faces import call, on_server

import redislock
import redislock.asyncio
from redislock import StockResult, StockStatus

STRATEGIES = ["lua", "lock", "watch"]
LARGEST = 10**15 - 1


@pytest.fixture
def make(client, user):
    """Make the test's own stock, with a level."""

    def make(level=None, **options):
        stock = client.part("stock", user, **options)
        if level is not None:
            assert stock.set(level)
        return stock

    return make


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return request.param


def facts(result):
    assert isinstance(result, StockResult)
    return result.status, result.level, result.qty, result.state


def wait_for(wanted, seconds=5):
    give_up = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < give_up
        time.sleep(0.005)


# --- taking -------------------------------------------------------------------------------------


def test_an_order(make, strategy):
    stock = make(10)
    said = stock.order(3, "o1", strategy=strategy)
    assert facts(said) == ("ok", 7, 3, "confirmed")
    assert (bool(said), said.reason, said.attempts) == (True, None, 1)
    assert said.elapsed > 0
    assert (stock.level(), stock.backlog()) == (7, 1)


def test_a_reservation(make, strategy):
    stock = make(10)
    assert facts(stock.reserve(3, "o1", strategy=strategy)) == ("ok", 7, 3, "reserved")
    assert (stock.level(), stock.backlog()) == (7, 0)
    assert facts(stock.confirm("o1")) == ("ok", 7, 3, "confirmed")
    assert (stock.level(), stock.backlog()) == (7, 1)
    assert facts(stock.confirm("o1")) == ("duplicate", 7, 3, "confirmed")
    assert facts(stock.cancel("o1")) == ("missing", 7, 3, "confirmed")
    assert (stock.level(), stock.backlog()) == (7, 1)


def test_a_cancellation(make, strategy):
    stock = make(10)
    assert stock.reserve(3, "o1", strategy=strategy, user="bob")
    assert facts(stock.cancel("o1")) == ("ok", 10, 3, "cancelled")
    assert facts(stock.cancel("o1")) == ("duplicate", 10, 3, "cancelled")
    assert facts(stock.confirm("o1")) == ("missing", 10, 3, "cancelled")
    assert (stock.level(), stock.backlog()) == (10, 0)
    assert stock.order(2, "o2", strategy=strategy, user="bob", limit=2), "nor is it counted any more"


def test_what_is_not_confirmed_comes_back(make, strategy):
    stock = make(10, hold=0.03)
    assert stock.reserve(3, "o1", strategy=strategy, user="bob")
    assert stock.reserve(4, "o2", strategy=strategy)
    wait_for(lambda: stock.level() == 10)
    assert facts(stock.confirm("o1")) == ("missing", 7, 3, "expired")
    assert facts(stock.cancel("o2")) == ("missing", 3, 4, "expired")
    assert (stock.level(), stock.sweep()) == (10, 0), "once"
    assert stock.order(2, "o3", strategy=strategy, user="bob", limit=2)


def test_an_order_gets_what_has_timed_out(make, strategy):
    stock = make(3, hold=0.02)
    assert stock.reserve(3, "o1", strategy=strategy)
    assert facts(stock.order(1, "o2", strategy=strategy))[:2] == ("sold_out", 0)
    time.sleep(0.03)
    assert facts(stock.order(3, "o2", strategy=strategy)) == ("ok", 0, 3, "confirmed")


def test_many_time_out_together(make):
    stock = make(250, hold=0.2)
    for number in range(250):
        assert stock.reserve(1, number)
    time.sleep(0.21)
    assert stock.order(250, "all").level == 0, "as many as are needed come back"
    assert (stock.sweep(), stock.level()) == (0, 0)


def test_sold_out(make, strategy):
    stock = make(2)
    assert facts(stock.order(3, "o1", strategy=strategy)) == ("sold_out", 2, None, None)
    assert facts(stock.reserve(3, "o1", strategy=strategy)) == ("sold_out", 2, None, None)
    assert stock.outcome("o1") is None, "the id is not used up"
    assert stock.order(2, "o1", strategy=strategy).level == 0
    assert stock.order(1, "o2", strategy=strategy).status is StockStatus.sold_out


def test_the_limit(make, strategy):
    stock = make(10)
    assert stock.order(1, "o1", strategy=strategy, user="bob", limit=2)
    assert facts(stock.order(2, "o2", strategy=strategy, user="bob", limit=2)) == ("limit", 9, None, None)
    assert stock.reserve(1, "o2", strategy=strategy, user="bob", limit=2)
    assert stock.order(1, "o3", strategy=strategy, user="bob", limit=2).status == "limit"
    assert stock.order(1, "o3", strategy=strategy, user="eve", limit=2)
    assert stock.order(1, "o4", strategy=strategy, user="bob"), "who asks without a limit is not bounded"
    assert stock.order(1, "o5", strategy=strategy, user="bob", limit=3).status == "limit", "but counted"
    assert stock.level() == 6


def test_a_duplicate(make, strategy):
    stock = make(10)
    assert stock.order(3, "o1", strategy=strategy, user="bob")
    assert stock.order(1, "o2", strategy=strategy)
    for again in (
        stock.order(3, "o1", strategy=strategy, user="bob"),
        stock.order(5, "o1", strategy=strategy, user="eve", limit=1),
        stock.reserve(5, "o1", strategy=strategy),
    ):
        assert facts(again) == ("duplicate", 7, 3, "confirmed"), "the facts of the first"
    assert (stock.level(), stock.backlog()) == (6, 2)


def test_without_a_stock(make, strategy):
    stock = make()
    assert facts(stock.order(1, "o1", strategy=strategy)) == ("missing", None, None, None)
    assert stock.reserve(1, "o1", strategy=strategy).status == "missing"
    assert stock.confirm("o1").status == "missing"
    assert stock.cancel("o1").status == "missing"
    assert (stock.level(), stock.sweep(), stock.backlog(), stock.outcome("o1")) == (None, 0, 0, None)


def test_the_backlog(make, strategy):
    stock = make(10, backlog=3)
    assert stock.order(1, "o1", strategy=strategy)
    assert stock.reserve(1, "o2", strategy=strategy)
    assert stock.order(1, "o3", strategy=strategy)
    for said in (stock.order(1, "o4", strategy=strategy), stock.reserve(1, "o4", strategy=strategy)):
        assert facts(said) == ("retry_later", 7, None, None)
        assert (bool(said), said.reason) == (False, "backlog")
    assert stock.order(1, "o1", strategy=strategy).status == "duplicate"
    assert stock.order(8, "o4", strategy=strategy).status == "sold_out", "which is final"
    assert stock.confirm("o2"), "a reservation had its place kept"
    assert stock.backlog() == 3
    assert make(backlog=4).order(1, "o4", strategy=strategy)


def test_without_an_outbox(make, strategy):
    stock = make(10, outbox=False)
    assert stock.order(1, "o1", strategy=strategy)
    assert stock.reserve(1, "o2", strategy=strategy)
    assert stock.confirm("o2")
    assert (stock.level(), stock.backlog()) == (8, 0)


# --- the stock ----------------------------------------------------------------------------------


def test_setting(make, strategy):
    stock = make(10)
    assert stock.order(1, "o1", strategy=strategy, user="bob")
    assert stock.reserve(2, "o2", strategy=strategy, user="bob")
    assert facts(stock.set(5, if_missing=True)) == ("ok", 7, None, None)
    assert facts(stock.set(5)) == ("ok", 5, None, None)
    assert facts(stock.confirm("o2")) == ("missing", 7, 2, "expired"), "reservations are forgotten"
    assert stock.order(1, "o1", strategy=strategy).status == "duplicate", "ids are not"
    assert stock.backlog() == 1, "nor is what was sold"
    assert stock.order(2, "o3", strategy=strategy, user="bob", limit=2)
    assert stock.level() == 3
    assert stock.set(0).level == 0
    assert stock.set(LARGEST).level == LARGEST
    assert stock.order(LARGEST, "o4", strategy=strategy).level == 0


def test_only_if_missing(make):
    stock = make()
    assert stock.set(5, if_missing=True).level == 5
    assert stock.set(6, if_missing=True).level == 5


def test_outcomes(make):
    stock = make(10, hold=0.05)
    assert stock.reserve(1, "expired")
    time.sleep(0.06)
    stock = make(hold=60.0)
    assert stock.order(1, "sold")
    assert stock.reserve(1, "open")
    assert stock.reserve(1, "back")
    assert stock.cancel("back")
    said = {each: facts(stock.outcome(each))[2:] for each in ("sold", "open", "back", "expired")}
    assert said == {
        "sold": (1, "confirmed"),
        "open": (1, "reserved"),
        "back": (1, "cancelled"),
        "expired": (1, "expired"),
    }
    assert stock.outcome("never") is None


NAMES = ["a b", "{x}", "%", "naïve", "1 2 3", "\r\n", "\0", "x" * 1024, 7]


def test_any_name_will_do(client, user, strategy):
    stocks = [client.part("stock", f"{user}{name}"[:1024]) for name in NAMES]
    for stock in stocks:
        stock.set(10)
    for number, (stock, name) in enumerate(zip(stocks, NAMES, strict=True)):
        assert stock.reserve(1, name, user=name, strategy=strategy).level == 9
        assert stock.cancel(name).level == 10
        assert stock.order(1, f"{number}", user=name, limit=1, strategy=strategy)
        assert stock.order(1, f"{number} ", user=name, limit=1, strategy=strategy).status == "limit"
    assert [each.level() for each in stocks] == [9] * len(NAMES)


def test_a_number_is_its_digits(make):
    stock = make(10)
    assert stock.order(1, 5, user=7)
    assert stock.order(1, "5").status == "duplicate"
    assert stock.order(1, "6", user="7", limit=1).status == "limit"


def test_names(make, user):
    stock = make()
    assert (stock.sku, stock.hold) == (user, 30.0)
    assert repr(stock.made) == f"<{type(stock.made).__qualname__} '{user}', hold 30 s>"
    side = f"redislock:{{{user}}}:"
    assert stock.made.keys() == {
        "level": side + "stock",
        "holds": side + "stock:holds",
        "buyers": side + "stock:buyers",
        "lock": side + "stock:lock",
        "orders": side + "stock:order:",
        "outbox": side + "outbox",
    }


@on_server
def test_the_outbox(make, user, raw, strategy):
    stock = make(10)
    begin = time.time()
    assert stock.order(2, "o1", strategy=strategy, user="bob")
    assert stock.reserve(1, "o2", strategy=strategy)
    assert stock.confirm("o2")
    entries = [entry for _, entry in raw.xrange(stock.made.keys()["outbox"])]
    times = [int(entry.pop("at")) for entry in entries]
    assert entries == [
        {"order_id": "o1", "sku": user, "qty": "2", "user": "bob"},
        {"order_id": "o2", "sku": user, "qty": "1", "user": ""},
    ]
    assert all(begin - 1 < each / 1000 < time.time() + 1 for each in times)


@on_server
def test_nothing_is_kept_for_ever_but_the_stock(make, raw, strategy):
    stock = make(10, hold=5.0)
    keys = stock.made.keys()
    for which in "ab":
        assert stock.reserve(1, which, strategy=strategy, user="bob")
    assert stock.cancel("a")
    assert raw.hgetall(keys["buyers"]) == {"bob": "1"}
    assert stock.cancel("b")
    assert raw.exists(keys["holds"], keys["buyers"], keys["outbox"], keys["lock"]) == 0
    for which in "ab":
        assert 86_000_000 < raw.pttl(keys["orders"] + which) <= 86_400_000


@on_server
@pytest.mark.parametrize("which", ["holds", "buyers", "outbox", "orders"])
def test_keys_of_another_type(make, raw, strategy, which):
    stock = make(10)
    keys = stock.made.keys()
    other = keys[which] + ("o1" if which == "orders" else "")
    raw.rpush(other, "x")
    with pytest.raises(redislock.WrongTypeError, match="holds something else"):
        stock.order(1, "o1", strategy=strategy, user="bob")
    assert raw.get(keys["level"]) == "10"
    # A lock is given back behind the answer.
    wait_for(lambda: raw.exists(*keys.values()) == (1 if which == "orders" else 2))
    raw.delete(other)
    assert stock.order(1, "o1", strategy=strategy, user="bob")


@on_server
@pytest.mark.parametrize("level", ["007", "-1", "1.5", "", "x", "1000000000000000", None])
def test_a_level_that_is_none(make, raw, strategy, level):
    stock = make()
    key = stock.made.keys()["level"]
    raw.rpush(key, "x") if level is None else raw.set(key, level)
    before = raw.dump(key)
    for attempt in (
        call("order", 1, "o1", strategy=strategy),
        call("reserve", 1, "o1", strategy=strategy),
        call("level"),
        call("sweep"),
        call("set", 3, if_missing=True),
    ):
        name, args, kwargs = attempt
        with pytest.raises(redislock.CorruptBalanceError, match="stock's level"):
            getattr(stock, name)(*args, **kwargs)
    assert raw.dump(key) == before
    assert stock.set(3)


# --- what is refused before anything is sent ------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ([0, "o"], ValueError, "qty must be at least 1"),
        ([-1, "o"], ValueError, "qty must be at least 1"),
        ([LARGEST + 1, "o"], ValueError, "qty must be at most"),
        ([1.0, "o"], TypeError, "qty must be an int"),
        ([True, "o"], TypeError, "qty must be an int"),
        ([1, ""], ValueError, "order_id must not be empty"),
        ([1, "x" * 1025], ValueError, "order_id must be at most 1024 bytes"),
        ([1, None], TypeError, "order_id must be a str or an int"),
        ([1, "o", {"user": ""}], ValueError, "user must not be empty"),
        ([1, "o", {"user": 1.5}], TypeError, "user must be a str or an int"),
        ([1, "o", {"limit": 1}], ValueError, "limit needs a user"),
        ([1, "o", {"user": "u", "limit": 0}], ValueError, "limit must be at least 1"),
        ([1, "o", {"strategy": "magic"}], ValueError, "strategy must be one of"),
        ([1, "o", {"timeout": 0}], ValueError, "timeout must be"),
    ],
)
def test_wrong_orders(make, arguments, error, words):
    stock = make(5)
    options = arguments[2] if len(arguments) > 2 else {}
    for method in (stock.order, stock.reserve):
        with pytest.raises(error, match=words):
            method(*arguments[:2], **options)
    assert (stock.level(), stock.backlog()) == (5, 0)


@pytest.mark.parametrize(
    ("level", "error"), [(-1, ValueError), (LARGEST + 1, ValueError), (1.5, TypeError), ("3", TypeError)]
)
def test_wrong_levels(make, level, error):
    with pytest.raises(error, match="level must be"):
        make().set(level)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"hold": 0}, ValueError, "hold must be"),
        ({"hold": 0.0001}, ValueError, "hold must be at least"),
        ({"hold": "3"}, TypeError, "hold must be"),
        ({"backlog": 0}, ValueError, "backlog must be at least 1"),
        ({"backlog": 5, "outbox": False}, ValueError, "outbox=False"),
        ({"sku": ""}, ValueError, "sku must not be empty"),
        ({"sku": b"x"}, TypeError, "sku must be a str or an int"),
    ],
)
def test_wrong_stocks(client, options, error, words):
    with pytest.raises(error, match=words):
        client.client.stock(**{"sku": "x", **options})


# --- results --------------------------------------------------------------------------------------


def test_results_are_values(make):
    stock = make(5)
    first = stock.order(1, "o1", user="bob")
    again, more = stock.order(1, "o1"), stock.order(1, "o1")
    assert again == more
    assert hash(again) == hash(more)
    assert again != first
    assert first != "ok"
    copy = pickle.loads(pickle.dumps(first))
    assert (copy, copy.elapsed) == (first, first.elapsed)
    assert first.as_dict() == {
        "status": "ok",
        "level": 4,
        "qty": 1,
        "state": "confirmed",
        "reason": None,
        "attempts": 1,
        "elapsed": first.elapsed,
    }
    assert repr(first).startswith("StockResult(status='ok', level=4, qty=1, state='confirmed', reason=None,")
    assert f"{first.status}" == "ok"
    with pytest.raises(AttributeError):
        first.level = 9


# --- together -------------------------------------------------------------------------------------


def test_nothing_is_oversold(client, user, make, strategy):
    stock = make(30)
    order = client.client.stock(user).order
    ids = itertools.count()
    ended = client.together(
        [[call(order, 1, next(ids), strategy=strategy) for _ in range(10)] for _ in range(6)]
    )
    for each in [each for each in ended if each.status == "retry_later"]:
        assert each.reason in {"lock_busy", "conflict"}
    sold = [each.level for each in ended if each]
    assert sorted(sold) == list(range(stock.level(), 30))
    assert stock.backlog() == len(sold) >= 10


def test_naive_oversells(client, user, make, kind):
    stock = make(10)
    assert facts(stock.order(2, "o1", strategy="naive", user="bob")) == ("ok", 8, 2, "confirmed")
    assert facts(stock.order(2, "o1", strategy="naive")) == ("duplicate", 8, 2, "confirmed")
    assert stock.order(1, "o2", strategy="naive", user="bob", limit=2).status == "limit"
    assert stock.order(9, "o3", strategy="naive").status == "sold_out"
    assert stock.reserve(8, "o4", strategy="naive").level == 0
    assert stock.cancel("o4").level == 8
    order = client.client.stock(user).order
    ids = itertools.count()
    ended = client.together(
        [[call(order, 1, next(ids), strategy="naive") for _ in range(5)] for _ in range(8)]
    )
    sold = sum(bool(each) for each in ended)
    assert stock.backlog() == 1 + sold
    if kind[0] == "threads":
        assert sold >= 8
    else:  # here all of a turn read the same level
        assert sold > 8


def test_one_order_sent_by_many(client, user, make, strategy):
    stock = make(30)
    order = client.client.stock(user).order
    ended = client.together([[call(order, 2, "same", strategy=strategy)] * 3 for _ in range(4)])
    told = [each.status for each in ended if each.status != "retry_later"]
    assert told.count("ok") == 1
    assert set(told) <= {"ok", "duplicate"}
    assert (stock.level(), stock.backlog()) == (28, 1)
