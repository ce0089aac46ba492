"""Stock against a reference in Python, and the strategies against each other: same steps, same answers."""

import collections
import dataclasses
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import redislock

STORIES = settings(
    max_examples=150 if os.environ.get("CI") else 50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
STRATEGIES = ["lua", "lock", "watch", "naive"]
BRIEF = 0.001  # seconds; nobody confirms in time
LONG = 60.0
BACKLOG = 4

IDS = "abcdefgh"
ids = st.sampled_from(IDS)
quantities = st.sampled_from([1, 1, 1, 2, 3, 8])
users = st.sampled_from([(None, None), ("u", None), ("u", 2), ("v", 3), ("v", 1)])
take = st.tuples(
    st.sampled_from(["order", "order", "reserve", "reserve", "lapse"]), quantities, ids, users, st.booleans()
)
steps = st.lists(
    st.one_of(
        take,
        take,
        take,
        st.tuples(st.sampled_from(["confirm", "confirm", "cancel", "cancel", "outcome"]), ids),
        st.tuples(st.sampled_from(["set", "set if missing"]), st.integers(0, 12)),
        st.tuples(st.sampled_from(["level", "sweep", "backlog"])),
    ),
    min_size=25,
    max_size=25,
)


@dataclasses.dataclass
class Order:
    """What is known of an order."""

    qty: int
    level: int
    state: str
    user: str | None


class Reference:
    """A stock as it is supposed to be. What lapses comes back at the next step that settles."""

    def __init__(self):
        self.level = None
        self.orders = {}
        self.has = collections.Counter()
        self.lapsed = []
        self.open = set()
        self.outbox = []

    def settle(self):
        if self.level is None:
            return 0
        count = len(self.lapsed)
        for order in self.lapsed:
            self.level += order.qty
            self.has[order.user] -= order.qty
        self.lapsed = []
        return count

    def take(self, kind, qty, order_id, user, limit, most):
        """Return status, level, qty, state and reason."""
        if order_id in self.orders:
            return self.told("duplicate", self.orders[order_id])
        if self.level is None:
            return "missing", None, None, None, None
        self.settle()
        if limit is not None and self.has[user] + qty > limit:
            return "limit", self.level, None, None, None
        if self.level < qty:
            return "sold_out", self.level, None, None, None
        if most and len(self.outbox) + len(self.open) >= most:
            return "retry_later", self.level, None, None, "backlog"
        self.level -= qty
        self.has[user] += qty
        state = "confirmed" if kind == "order" else "reserved"
        order = self.orders[order_id] = Order(qty, self.level, state, user)
        said = self.told("ok", order)
        if kind == "order":
            self.outbox.append((order_id, qty, user))
        elif kind == "reserve":
            self.open.add(order_id)
        else:
            order.state = "expired"
            self.lapsed.append(order)
        return said

    @staticmethod
    def told(status, order):
        return status, order.level, order.qty, order.state, None

    def confirm(self, order_id):
        order = self.orders.get(order_id)
        if order is None:
            return "missing", None, None, None, None
        if order.state != "reserved":
            return self.told("duplicate" if order.state == "confirmed" else "missing", order)
        order.state = "confirmed"
        self.open.remove(order_id)
        self.outbox.append((order_id, order.qty, order.user))
        return self.told("ok", order)

    def cancel(self, order_id):
        order = self.orders.get(order_id)
        if order is None:
            return "missing", None, None, None, None
        if order.state != "reserved":
            return self.told("duplicate" if order.state == "cancelled" else "missing", order)
        self.level += order.qty
        self.has[order.user] -= order.qty
        order.state, order.level = "cancelled", self.level
        self.open.remove(order_id)
        return self.told("ok", order)

    def outcome(self, order_id):
        order = self.orders.get(order_id)
        return order and self.told("ok", order)

    def set(self, level, if_missing):
        if if_missing and self.level is not None:
            return "ok", self.level, None, None, None
        for each in self.open:
            self.orders[each].state = "expired"
        self.level = level
        self.open, self.lapsed, self.has = set(), [], collections.Counter()
        return "ok", level, None, None, None


def told(result):
    if isinstance(result, redislock.StockResult):
        return str(result.status), result.level, result.qty, result.state, result.reason
    return result


def perform(stocks, strategy, step):
    """Make one step; `stocks` are those of the same name, by hold and backlog."""
    what, *arguments = step
    plain = stocks[LONG, None]
    if what in ("order", "reserve", "lapse"):
        qty, order_id, (user, limit), bounded = arguments
        stock = stocks[BRIEF if what == "lapse" else LONG, BACKLOG if bounded else None]
        method = stock.order if what == "order" else stock.reserve
        said = told(method(qty, order_id, strategy=strategy, user=user, limit=limit))
        if what == "lapse" and said[0] == "ok":
            time.sleep(BRIEF + 0.0015)  # the server counts in whole milliseconds
        return said
    if what in ("set", "set if missing"):
        return told(plain.set(arguments[0], if_missing=what != "set"))
    return told(getattr(plain, what)(*arguments))


def expect(reference, step):
    what, *arguments = step
    if what in ("order", "reserve", "lapse"):
        qty, order_id, (user, limit), bounded = arguments
        return reference.take(what, qty, order_id, user, limit, BACKLOG if bounded else None)
    if what in ("set", "set if missing"):
        return reference.set(arguments[0], what != "set")
    if what == "level":
        reference.settle()
        return reference.level
    if what == "sweep":
        return reference.settle()
    return len(reference.outbox) if what == "backlog" else getattr(reference, what)(*arguments)


def stocks_of(client, sku):
    return {
        (hold, most): client.stock(sku, hold=hold, backlog=most)
        for hold in (BRIEF, LONG)
        for most in (None, BACKLOG)
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("backend", ["server", "memory"])
def test_it_is_what_the_reference_says(request, backend, strategy, user):
    url = request.getfixturevalue("server").url if backend == "server" else "memory://"
    stories = iter(range(10**9))
    with redislock.Client(url) as client:

        @STORIES
        @given(steps)
        def tell(story):
            stocks = stocks_of(client, f"{user}-{next(stories)}")
            reference = Reference()
            for step in [("set", 10), *story]:
                wanted = expect(reference, step)
                assert perform(stocks, strategy, step) == wanted, step

        tell()


def stored(raw, keys):
    """Whatever is stored of a stock, without what is drawn at random or read from the clock."""
    records = {}
    for order_id, text in zip(IDS, raw.mget([keys["orders"] + each for each in IDS]), strict=True):
        if text is not None:
            state, qty, level, made, ended, user = text.split(" ", 5)
            assert len(made) == 16
            records[order_id] = (state, qty, level, ended == "-", user)
    entries = [{**fields, "at": None} for _, fields in raw.xrange(keys["outbox"])]
    holds = set(raw.zrange(keys["holds"], 0, -1))
    return raw.get(keys["level"]), raw.hgetall(keys["buyers"]), holds, records, entries


def test_the_strategies_store_the_same(server, raw, user):
    stories = iter(range(10**9))
    with redislock.Client(server.url) as client:

        @STORIES
        @given(steps)
        def compare(story):
            number = next(stories)
            left = []
            for strategy in STRATEGIES:
                stocks = stocks_of(client, f"{user}-{number}-{strategy}")
                for step in [("set", 10), *story, ("sweep",)]:
                    perform(stocks, strategy, step)
                state = stored(raw, stocks[LONG, None].keys())
                for entry in state[-1]:
                    assert entry.pop("sku") == f"{user}-{number}-{strategy}"
                left.append(state)
            assert left[1:] == left[:1] * (len(left) - 1)

        compare()
