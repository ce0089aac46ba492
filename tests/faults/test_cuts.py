"""Scenarios 1, 2, 3 and 35: the connection or the server ends at the worst moment."""

import itertools

import pytest
import redis
from changes import CHANGES, after, change, measure, warm
from waiting import eventually, in_background

import redislock
from redislock import OutcomeUnknownError

MONEY = 10**6
# Of a reply: the server's microseconds in it are not always six digits, so its length varies a little.
LAST_BYTES = 6

unique = itertools.count()


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize("keyed", [False, True], ids=["once", "keyed"])
@pytest.mark.parametrize("how", CHANGES)
def test_2_a_cut_at_every_byte(how, keyed, direction, proxy, connect, raw, user):
    client = connect(proxy.url)
    client.init(user, MONEY)
    keys = client.keys(user)
    new_key = lambda: f"k{next(unique):07}" if keyed else None  # noqa: E731 - all of one length
    length = measure(client, proxy, how, user, new_key())[direction]
    assert length > 10
    outcomes = set()
    for position, end in itertools.product(range(length), ["fin", "rst"]):
        warm(client, how)
        before = int(raw.get(keys["balance"]))
        key = new_key()
        proxy.cut(direction, position, end)
        where = f"{direction} cut by {end} at byte {position}"
        try:
            ended = str(change(client, how, user, key).status)
        except OutcomeUnknownError:
            ended = "unknown"
        except redislock.Error as error:
            ended = type(error).__name__
        outcomes.add(ended)
        assert not proxy.cutting, where
        now = int(raw.get(keys["balance"]))
        assert now in (before, after(how, before)), where
        if ended == "ok":
            assert now == after(how, before), where
        elif ended != "unknown":
            assert now == before, f"{where}: charged, and {ended}"
        if how == "lock":
            eventually(lambda: not raw.exists(keys["lock"]))
        if keyed:
            # The client has repeated it by itself; repeated by hand it changes nothing.
            assert ended == "ok", where
            again = change(client, how, user, key)
            assert (again.status, again.replayed, again.balance) == ("ok", True, now), where
            assert int(raw.get(keys["balance"])) == now, where
    # Acquiring, watching and reading are repeated by themselves; an unanswered change is not.
    assert outcomes <= ({"ok"} if keyed else {"ok", "unknown"})
    assert keyed or "unknown" in outcomes


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize("how", CHANGES)
def test_2_a_cut_at_every_byte_from_the_first_connect_on(how, direction, proxy, connect, raw, user):
    first = connect(proxy.url)
    first.init(user, MONEY)
    before = dict(proxy.carried)
    fresh = redislock.Client(proxy.url)
    change(fresh, how, user)
    fresh.close()
    length = proxy.carried[direction] - before[direction]
    balance = first.keys(user)["balance"]
    for position in range(length):
        old = int(raw.get(balance))
        proxy.cut(direction, position, "rst" if position % 2 else "fin")
        with redislock.Client(proxy.url) as client:
            try:
                ok = change(client, how, user).status == "ok"
            except OutcomeUnknownError:
                continue
            except redislock.ConnectionError:
                ok = False
        assert int(raw.get(balance)) == (after(how, old) if ok else old), position
        proxy.uncut()


@pytest.mark.parametrize("keyed", [False, True], ids=["once", "keyed"])
@pytest.mark.parametrize("how", CHANGES)
def test_1_the_server_dies_between_request_and_reply(how, keyed, start_server, proxied, connect, user):
    server = start_server(port=0, config={"appendonly": "yes", "appendfsync": "always"})
    proxy = proxied(server)
    client = connect(proxy.url, timeout=20)
    client.init(user, 1000)
    size = measure(client, proxy, how, user, "before" if keyed else None)["reply"]
    warm(client, how)
    charged = after(how, client.balance(user))
    key = "others" if keyed else None
    proxy.hold_after("reply", size - LAST_BYTES)
    call = in_background(lambda: change(client, how, user, key))
    eventually(lambda: not proxy.cutting)
    server.kill()
    proxy.release()
    if keyed:
        server.start()
        assert call.result(15).status == "ok"
        again = change(client, how, user, key)
        assert (again.replayed, again.balance) == (True, charged)
    else:
        with pytest.raises(OutcomeUnknownError):
            call.result(10)
        server.start()
    assert client.balance(user) == charged


def test_3_a_lost_reply_of_exec_is_unknown_and_not_repeated(proxy, connect, raw, user):
    client = connect(proxy.url)
    client.init(user, 1000)
    size = measure(client, proxy, "watch", user, None)["reply"]
    warm(client, "watch")
    connections = proxy.accepted
    proxy.cut("reply", size - LAST_BYTES)
    with pytest.raises(OutcomeUnknownError, match="idempotency_key"):
        client.withdraw_watch(user, 1)
    assert proxy.accepted == connections
    assert raw.get(client.keys(user)["balance"]) == "997"


def test_35_lost_between_watch_and_multi_it_starts_again_at_watch(start_server, proxied, connect, user):
    server = start_server(port=0)
    proxy = proxied(server)
    client = connect(proxy.url)
    client.init(user, 1000)
    measure(client, proxy, "watch", user, "before")
    warm(client, "watch")
    looked = proxy.carried["request"]
    client.withdraw_watch(user, 1, idempotency_key="before")  # one look, and nothing to commit
    looked = proxy.carried["request"] - looked
    with redis.Redis.from_url(server.url) as other, other.monitor() as monitor:
        # The answer to WATCH has come; MULTI and what follows it are lost in the middle.
        warm(client, "watch")
        proxy.cut("request", looked)
        result = client.withdraw_watch(user, 1, idempotency_key="others")
        other.echo("done")
        said = [line["command"].split()[0] for line in until_done(monitor)]
    assert (result.status, result.balance) == ("ok", 997)
    assert not proxy.cutting
    first, second, third = (at for at, word in enumerate(said) if word == "WATCH")
    assert first < second < said.index("HELLO") < third < said.index("DECRBY")
    assert said.count("DECRBY") == 1


def until_done(monitor):
    for line in monitor.listen():
        if line["command"].startswith("ECHO done"):
            return
        yield line
