"""Stock whose requests or answers are lost: what is sent again gets the first answer and counts once."""

import itertools

import pytest
import redis
from waiting import eventually, in_background

import redislock
from redislock import OutcomeUnknownError, PermissionDeniedError, ServerError

STRATEGIES = ["lua", "lock", "watch"]
START = 10**6
# Prime, so that in the end it meets all kinds of places.
STRIDE = 7

unique = itertools.count()


def order(strategy):
    return lambda stock, order_id: stock.order(1, order_id, strategy=strategy, user="bob")


def reserve(strategy):
    return lambda stock, order_id: stock.reserve(1, order_id, strategy=strategy, user="bob")


CHANGES = {
    **{f"order {each}": order(each) for each in STRATEGIES},
    "reserve lua": reserve("lua"),
    "reserve watch": reserve("watch"),
    "confirm": lambda stock, order_id: stock.confirm(order_id),
    "cancel": lambda stock, order_id: stock.cancel(order_id),
}
every_change = pytest.mark.parametrize("how", CHANGES)
STATES = {"order": "confirmed", "reserve": "reserved", "confirm": "confirmed", "cancel": "cancelled"}


def prepare(stock, how):
    """Name an order of which the change can be made."""
    order_id = f"o{next(unique):07}"
    if how in ("confirm", "cancel"):
        assert stock.reserve(1, order_id, user="bob")
    return order_id


def warm(client, how):
    """Open the connections that a change needs."""
    client.balance("nobody")
    if "watch" in how:
        client.withdraw_watch("nobody", 1)


def books(stock, raw):
    """The level, how many are held and sold: which together are what there was."""
    keys = stock.keys()
    level, held, sold = int(raw.get(keys["level"])), raw.zcard(keys["holds"]), raw.xlen(keys["outbox"])
    assert level + held + sold == START
    assert int(raw.hget(keys["buyers"], "bob") or 0) == held + sold
    return level, held, sold


@pytest.mark.parametrize("direction", ["request", "reply"])
@every_change
def test_a_cut_at_every_byte(how, direction, proxy, connect, server, raw, user):
    client, other = connect(proxy.url), connect(server.url)
    stock, seen = client.stock(user), other.stock(user)
    seen.set(START)
    change, state = CHANGES[how], STATES[how.split()[0]]
    for _ in range(2):  # the script is known from the second on
        order_id = prepare(seen, how)
        warm(client, how)
        before = dict(proxy.carried)
        change(stock, order_id)
    length = proxy.carried[direction] - before[direction]
    assert length > 10
    for position in range(0, length, STRIDE if direction == "request" else 1):
        order_id = prepare(seen, how)
        warm(client, how)
        level, held, sold = books(seen, raw)
        proxy.cut(direction, position, "rst" if position % 2 else "fin")
        said = change(stock, order_id)  # raises nothing: a repetition recognizes itself
        where = f"{direction} cut at byte {position}"
        assert not proxy.cutting, where
        wanted = {
            "reserved": (level - 1, held + 1, sold),
            "confirmed": (level, held - 1, sold + 1) if how == "confirm" else (level - 1, held, sold + 1),
            "cancelled": (level + 1, held - 1, sold),
        }[state]
        assert books(seen, raw) == wanted, where
        assert (said.status, said.level, said.qty, said.state) == ("ok", wanted[0], 1, state), where
        assert seen.outcome(order_id).state == state, where
    if "lock" in how:
        eventually(lambda: not raw.exists(seen.keys()["lock"]))


@every_change
def test_a_request_that_arrives_after_its_repetition(how, proxy, connect, server, raw, user):
    client, other = connect(proxy.url), connect(server.url)
    stock, seen = client.stock(user), other.stock(user)
    seen.set(START)
    order_id = prepare(seen, how)
    warm(client, how)
    proxy.hold("request", later_too=False)
    before = proxy.carried["request"]
    mine = in_background(lambda: CHANGES[how](stock, order_id))
    proxy.wait_for_bytes("request", before)
    proxy.lose()
    said = mine.result(10)
    assert said.status == "ok"
    after = books(seen, raw)
    proxy.release()
    client.balance("nobody")
    assert books(seen, raw) == after
    assert seen.outcome(order_id).state == said.state


@every_change
def test_an_answer_that_never_comes_is_unknown_and_can_be_asked_for(how, proxy, connect, server, raw, user):
    client, other = connect(proxy.url, timeout=0.2), connect(server.url)
    stock, seen = client.stock(user), other.stock(user)
    seen.set(START)
    for _ in range(2):  # the script is known from the second on
        order_id = prepare(seen, how)
        warm(client, how)
        size = proxy.carried["reply"]
        CHANGES[how](stock, order_id)
        size = proxy.carried["reply"] - size
    order_id = prepare(seen, how)
    warm(client, how)
    before = books(seen, raw)
    proxy.hold_after("reply", size - 6)
    with pytest.raises(OutcomeUnknownError):
        CHANGES[how](stock, order_id)
    proxy.release()
    assert seen.outcome(order_id).state == STATES[how.split()[0]], "this time it was applied"
    again = CHANGES[how](seen, order_id)
    assert (again.status, again.qty) == ("duplicate", 1)
    assert books(seen, raw) != before


@pytest.mark.parametrize("how", ["order lua", "order watch", "confirm"])
def test_the_server_dies_between_request_and_reply(how, start_server, proxied, connect, user):
    server = start_server(port=0, config={"appendonly": "yes", "appendfsync": "always"})
    proxy = proxied(server)
    stock = (client := connect(proxy.url, timeout=20)).stock(user)
    stock.set(10)
    size = 0
    for _ in range(2):
        order_id = prepare(stock, how)
        warm(client, how)
        before = proxy.carried["reply"]
        CHANGES[how](stock, order_id)
        size = proxy.carried["reply"] - before
    order_id = prepare(stock, how)
    warm(client, how)
    proxy.hold_after("reply", size - 6)
    mine = in_background(lambda: CHANGES[how](stock, order_id))
    eventually(lambda: not proxy.cutting)
    server.kill()
    proxy.release()
    server.start()
    said = mine.result(15)
    assert (said.status, said.level, said.state) == ("ok", 7, "confirmed")
    assert (stock.level(), stock.backlog()) == (7, 3)


def test_a_lock_that_was_lost_sells_nothing(proxy, connect, raw, user):
    stock = connect(proxy.url, lock_lease=0.05).stock(user)
    stock.set(10)
    assert stock.order(1, "first", strategy="lock")
    proxy.hold("reply")
    mine = in_background(lambda: stock.order(1, "second", strategy="lock"))
    eventually(lambda: raw.exists(stock.keys()["lock"]))
    eventually(lambda: not raw.exists(stock.keys()["lock"]))
    proxy.release()
    said = mine.result(10)
    assert (said.status, said.reason) == ("retry_later", "lock_lost")
    assert (stock.level(), stock.backlog()) == (9, 1)


# --- what the server refuses in the middle ---------------------------------------------------------


@pytest.fixture
def limited(start_server, connect):
    """Make a stock's owner and one whose user may not do something."""
    server = start_server(port=0)

    def make(forbidden):
        with redis.Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", "shop", "on", ">x", "~*", "&*", "+@all", f"-{forbidden}")
        url = server.url.replace("redis://", "redis://shop:x@")
        return connect(server.url), connect(url)

    return make


FORBIDDEN = [
    *((f"order {each}", command) for each in STRATEGIES for command in ["xadd", "hincrby", "set", "xlen"]),
    *((f"reserve {each}", command) for each in ["lua", "watch"] for command in ["zadd", "decrby", "set"]),
    ("order lua", "decrby"),
    *(("confirm", command) for command in ["zrem", "xadd", "set", "zscore", "get"]),
    *(("cancel", command) for command in ["zrem", "incrby", "set", "zscore", "get"]),
]


@pytest.mark.parametrize(("how", "command"), FORBIDDEN)
def test_what_is_forbidden_changes_nothing(how, command, limited, user):
    owner, guest = limited(command)
    stock = owner.stock(user)
    stock.set(START)
    order_id = prepare(stock, how)
    with redis.Redis.from_url(owner.url, decode_responses=True) as raw:
        before = books(stock, raw)
        record = raw.get(stock.keys()["orders"] + order_id)
        asks_backlog = command == "xlen"
        with pytest.raises(PermissionDeniedError):
            CHANGES[how](guest.stock(user, backlog=9 if asks_backlog else None), order_id)
        assert books(stock, raw) == before
        assert raw.get(stock.keys()["orders"] + order_id) == record
        eventually(lambda: not raw.exists(stock.keys()["lock"]))
    said = CHANGES[how](stock, order_id)
    assert said.status == "ok"


@pytest.mark.parametrize("command", ["zrem", "incrby", "zrangebyscore"])
def test_what_has_timed_out_is_not_lost_where_it_may_not_come_back(command, limited, user):
    owner, guest = limited(command)
    owner.stock(user).set(10)
    assert owner.stock(user, hold=0.001).reserve(3, "o", user="bob").level == 7
    eventually(lambda: owner.stock(user).outcome("o").state == "expired")
    for _ in range(2):
        with pytest.raises(PermissionDeniedError):
            guest.stock(user).level()
    assert owner.stock(user).level() == 10
    assert owner.stock(user).order(1, "p", user="bob", limit=1)


def test_a_server_that_is_full_takes_nothing_and_gives_back(start_server, connect, user):
    server = start_server(port=0)
    client = connect(server.url)
    stock = client.stock(user)
    stock.set(10)
    assert client.stock(user, hold=0.001).reserve(3, "expires")
    assert stock.reserve(1, "kept")
    eventually(lambda: stock.outcome("expires").state == "expired")
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("maxmemory", 1)
        assert stock.level() == 9, "what has timed out comes back nevertheless"
        for strategy in STRATEGIES:
            with pytest.raises(ServerError, match="OOM"):
                stock.order(1, "more", strategy=strategy)
        assert stock.level() == 9
        admin.config_set("maxmemory", 0)
    assert stock.confirm("kept")
    assert [stock.order(3, f"{each}", strategy=each).level for each in STRATEGIES] == [6, 3, 0]
    assert redislock.StockStatus.sold_out == stock.order(1, "last").status
