"""Entities whose requests or answers are lost: no false mismatch, and nothing is applied twice."""

import itertools

import pytest
from waiting import eventually, in_background

import redislock
from redislock import ConcurrencyError, OutcomeUnknownError

REMEMBERED = 32  # writes
unique = itertools.count()


def put(entity, etag):
    return entity.put(f"v{next(unique):07}", if_match=etag)


def put_always(entity, _):
    return entity.put(f"v{next(unique):07}")


def create(entity, _):
    return entity.create(f"v{next(unique):07}")


def delete(entity, etag):
    return entity.delete(if_match=etag)


WRITES = {"put": put, "put always": put_always, "create": create, "delete": delete}
every_write = pytest.mark.parametrize("how", WRITES)


def prepare(entity, how):
    """Bring the entity into the state that the write asks for; return its etag."""
    if how != "create":
        return entity.put("before")
    entity.delete()
    return None


@pytest.mark.parametrize("direction", ["request", "reply"])
@every_write
def test_a_cut_at_every_byte(how, direction, proxy, connect, server, user):
    client, other = connect(proxy.url), connect(server.url)
    entity, seen = client.entity(user), other.entity(user)
    write = WRITES[how]
    etag = prepare(seen, how)
    write(entity, etag)  # the script is known from here on
    etag = prepare(seen, how)
    client.balance("nobody")
    before = dict(proxy.carried)
    write(entity, etag)
    length = proxy.carried[direction] - before[direction]
    assert length > (3 if direction == "reply" else 100)
    for position, end in itertools.product(range(length), ["fin", "rst"]):
        etag = prepare(seen, how)
        client.balance("nobody")
        proxy.cut(direction, position, end)
        said = write(entity, etag)  # raises nothing: a repetition recognizes itself
        where = f"{direction} cut by {end} at byte {position}"
        assert not proxy.cutting, where
        now = seen.get()
        if how == "delete":
            assert (said, now) == (True, (None, None)), where
        else:
            assert now.etag == said, where


def lost_answer(proxy, client, how, entity, etag):
    """Begin a write whose answer is kept back."""
    client.balance("nobody")
    proxy.hold("reply", later_too=False)
    return in_background(lambda: WRITES[how](entity, etag))


@every_write
@pytest.mark.parametrize("others", [1, REMEMBERED - 1])
def test_an_answer_is_lost_and_others_write_since(how, others, proxy, connect, server, user):
    """The write was applied and overwritten: it says so, and is not applied again."""
    client, other = connect(proxy.url), connect(server.url)
    entity, seen = client.entity(user), other.entity(user)
    WRITES[how](entity, prepare(seen, how))
    etag = prepare(seen, how)
    mine = lost_answer(proxy, client, how, entity, etag)
    eventually(lambda: seen.get().etag != etag)
    applied = seen.get().etag
    for i in range(others):
        latest = seen.put(i)
    proxy.cut_all()
    assert mine.result(10) == (True if how == "delete" else applied)
    assert seen.get() == (others - 1, latest)


@pytest.mark.parametrize("how", ["put", "delete"])
def test_more_was_written_since_than_is_remembered(how, proxy, connect, server, user):
    client, other = connect(proxy.url), connect(server.url)
    entity, seen = client.entity(user), other.entity(user)
    WRITES[how](entity, prepare(seen, how))
    etag = prepare(seen, how)
    mine = lost_answer(proxy, client, how, entity, etag)
    eventually(lambda: seen.get().etag != etag)
    for i in range(REMEMBERED):
        latest = seen.put(i)
    proxy.cut_all()
    with pytest.raises(OutcomeUnknownError, match="others had written"):
        mine.result(10)
    assert seen.get() == (REMEMBERED - 1, latest)


@every_write
def test_a_request_is_lost_and_another_writes(how, proxy, connect, server, user):
    """The write never came: where it asked for an etag, the mismatch is a true one."""
    client, other = connect(proxy.url), connect(server.url)
    entity, seen = client.entity(user), other.entity(user)
    WRITES[how](entity, prepare(seen, how))
    etag = prepare(seen, how)
    client.balance("nobody")
    proxy.hold("request", later_too=False)
    before = proxy.carried["request"]
    mine = in_background(lambda: WRITES[how](entity, etag))
    proxy.wait_for_bytes("request", before)
    latest = seen.put("another's")
    proxy.cut_all()
    if how == "put always":
        said = mine.result(10)
        assert seen.get().etag == said
        return
    with pytest.raises(ConcurrencyError) as met:
        mine.result(10)
    assert (met.value.value, met.value.etag) == ("another's", latest)
    assert seen.get() == ("another's", latest)


@every_write
def test_a_request_that_arrives_after_its_repetition(how, proxy, connect, server, user, raw):
    """What is left of the lost connection runs late, or is killed: once it counts, never twice."""
    client, other = connect(proxy.url), connect(server.url)
    entity, seen = client.entity(user), other.entity(user)
    WRITES[how](entity, prepare(seen, how))
    etag = prepare(seen, how)
    client.balance("nobody")
    proxy.hold("request", later_too=False)
    before = proxy.carried["request"]
    mine = in_background(lambda: WRITES[how](entity, etag))
    proxy.wait_for_bytes("request", before)
    proxy.lose()
    said = mine.result(10)
    latest = (None, None) if how == "delete" else ("later", seen.put("later"))
    proxy.release()
    client.balance("nobody")
    assert raw.ping()
    assert said is True or len(said) == 32
    assert seen.get() == latest


@every_write
def test_an_answer_that_never_comes_is_unknown(how, proxy, connect, server, user):
    client, other = connect(proxy.url, timeout=0.3), connect(server.url)
    entity, seen = client.entity(user), other.entity(user)
    WRITES[how](entity, prepare(seen, how))
    etag = prepare(seen, how)
    client.balance("nobody")
    proxy.hold("reply")
    with pytest.raises(OutcomeUnknownError):
        WRITES[how](entity, etag)
    assert seen.get().etag != etag, "this time it was applied"
    proxy.release()


def test_an_update_is_not_repeated_where_its_outcome_is_unknown(proxy, connect, server, user):
    client, other = connect(proxy.url, timeout=0.3), connect(server.url)
    other.entity(user).put(1)
    calls = []

    def add(value):
        calls.append(value)
        proxy.hold("reply")
        return value + 1

    with pytest.raises(OutcomeUnknownError):
        client.entity(user).update(add)
    proxy.release()
    assert calls == [1]
    assert other.entity(user).get().value == 2


def test_a_rate_limit_whose_answer_is_lost_never_allows_more(proxy, connect, user):
    client = connect(proxy.url)
    limit = client.rate_limit(user, 10, 1000)
    assert limit.acquire().remaining == 9
    before = proxy.carried["reply"]
    limit.peek()
    length = proxy.carried["reply"] - before
    got = 1
    for position in range(length):
        client.balance("nobody")
        proxy.cut("reply", position)
        got += limit.acquire().allowed
        proxy.uncut()
    assert got <= 10
    assert limit.peek().remaining == 0, "some counted twice"


@pytest.mark.parametrize("forbidden", ["hset", "hmget", "set", "get", "del", "persist", "pexpire", "exists"])
def test_a_forbidden_command_changes_nothing(forbidden, start_server, user):
    import redis

    server = start_server(port=0, config={"user": f"poor on >x ~* &* +@all -{forbidden}"})
    with (
        redis.Redis(port=server.port, username="poor", password="x") as raw,
        redislock.Client(server.url) as rich,
        redislock.Client(f"redis://poor:x@127.0.0.1:{server.port}") as poor,
    ):
        assert raw.ping()
        for name, ttl in itertools.product([user, f"{user}-new"], [None, 100]):
            etag = rich.entity(user, ttl=50).put("before")
            for how in WRITES:
                if refused(how, poor.entity(name, ttl=ttl), etag):
                    left = rich.entity(name).get()
                    assert left == (("before", etag) if name == user else (None, None)), (name, how)
                else:
                    etag = rich.entity(user, ttl=50).put("before")
                    rich.entity(f"{user}-new").delete()


def refused(how, entity, etag):
    try:
        WRITES[how](entity, etag)
    except (redislock.PermissionDeniedError, ConcurrencyError):
        return True
    return False
