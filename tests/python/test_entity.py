"""Entities on every front end and backend: etags, conditions, mismatches, updates, what is refused."""

import pickle
import subprocess
import sys
import time

import pytest
from faces import call, on_server

import redislock
import redislock.asyncio
from redislock import ANYTHING, ConcurrencyError, Versioned, WrongTypeError

VALUES = [{"a": 1}, [], "", "naïve", 0, -1.5, True, None, {"nested": [1, {"x": None}]}, 2**70]
BYTES = [b"", b"\x00\xff\r\n", b"$5\r\n" * 1000, bytes(range(256))]


@pytest.fixture
def entity(client, user):
    return client.part("entity", user)


def mismatch(what):
    with pytest.raises(ConcurrencyError) as met:
        what()
    return met.value.value, met.value.etag


# --- reading and writing ------------------------------------------------------------------------


def test_where_there_is_none(entity):
    assert entity.get() == (None, None)
    assert entity.delete() is False


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_put_is_got(entity, value):
    etag = entity.put(value)
    found = entity.get()
    assert isinstance(found, Versioned)
    assert found == (value, etag)
    assert type(found.value) is type(value)


@pytest.mark.parametrize("value", BYTES, ids=len)
def test_bytes_as_they_are(client, user, value):
    entity = client.part("entity", user.encode(), codec="bytes")
    etag = entity.put(value)
    assert entity.get() == (value, etag)
    assert client.part("entity", user, codec="bytes").get() == (value, etag), "the same key as a str"


def test_bytes_of_other_types(client, user):
    entity = client.part("entity", user, codec="bytes")
    for given in (bytearray(b"abc"), memoryview(b"abc")):
        entity.put(given)
        assert entity.get().value == b"abc"


def test_each_write_has_an_etag_of_its_own(entity):
    etags = []
    for _ in range(5):
        etags += [entity.put("same") for _ in range(3)]
        entity.delete()
        etags.append(entity.create("same"))
    assert len(set(etags)) == 20
    assert {len(each) for each in etags} == {32}


def test_two_keys_are_two_entities(client, user):
    client.part("entity", user).put(1)
    other = client.part("entity", user + "x")
    assert other.get() == (None, None)
    other.create(2)
    assert client.part("entity", user).get().value == 1


# --- conditions ---------------------------------------------------------------------------------


def test_a_put_that_matches(entity):
    first = entity.create(1)
    second = entity.put(2, if_match=first)
    assert entity.get() == (2, second)
    assert entity.put(3, if_match=second) != second


def test_a_put_that_does_not_match_tells_the_latest(entity):
    first = entity.create(1)
    second = entity.put({"of": "another"}, if_match=first)
    assert mismatch(lambda: entity.put(3, if_match=first)) == ({"of": "another"}, second)
    assert entity.get() == ({"of": "another"}, second)


def test_an_etag_of_what_is_gone_does_not_match(entity):
    etag = entity.create(1)
    entity.delete()
    assert mismatch(lambda: entity.put(2, if_match=etag)) == (None, None)
    assert mismatch(lambda: entity.delete(if_match=etag)) == (None, None)
    assert entity.get() == (None, None)
    again = entity.create(1)
    assert mismatch(lambda: entity.put(2, if_match=etag)) == (1, again), "the same value, another etag"


def test_none_means_that_there_must_be_none(entity):
    value, etag = entity.get()
    mine = entity.put("mine", if_match=etag)
    assert mismatch(lambda: entity.put("other", if_match=etag)) == ("mine", mine)
    assert mismatch(lambda: entity.create("other")) == ("mine", mine)
    assert mismatch(lambda: entity.delete(if_match=None)) == ("mine", mine)
    assert value is None


def test_without_a_condition_the_last_writer_wins(entity):
    entity.put(1, if_match=ANYTHING)
    entity.put(2)
    assert entity.get().value == 2
    assert entity.delete(if_match=ANYTHING) is True


def test_a_delete_that_matches_or_not(entity):
    first = entity.create(1)
    second = entity.put(2)
    assert mismatch(lambda: entity.delete(if_match=first)) == (2, second)
    assert entity.delete(if_match=second) is True
    assert entity.get() == (None, None)
    assert entity.delete(if_match=None) is False


@pytest.mark.parametrize("etag", ["*", "=", "nonsense", "ü" * 40, "%s", "[a", " "])
def test_a_strange_etag_is_a_mismatch(entity, etag):
    mine = entity.create(1)
    assert mismatch(lambda: entity.put(2, if_match=etag)) == (1, mine)
    assert entity.get() == (1, mine)


def test_one_of_many_creates(client, user):
    entity = client.client.entity(user)
    ended = client.together([[call(entity.create, i)] for i in range(16)])
    [etag] = [each for each in ended if isinstance(each, str)]
    met = [each for each in ended if isinstance(each, ConcurrencyError)]
    assert len(met) == 15
    assert {each.etag for each in met} == {etag}


# --- time to live -------------------------------------------------------------------------------


def wait_until_gone(entity):
    give_up = time.monotonic() + 5
    while entity.get() != (None, None):
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_a_value_lives_for_its_ttl(client, user):
    entity = client.part("entity", user, ttl=0.05)
    etag = entity.create(1)
    assert mismatch(lambda: client.part("entity", user).create(2)) == (1, etag)
    wait_until_gone(entity)
    assert entity.create(1) != etag


def test_a_write_without_a_ttl_lives_on(client, user):
    client.part("entity", user, ttl=0.05).create(1)
    client.part("entity", user).put(2)
    time.sleep(0.1)
    assert client.part("entity", user).get().value == 2


# --- updates ------------------------------------------------------------------------------------


def test_an_update(entity):
    first = entity.update(lambda value: (value or 0) + 1)
    assert first.value == 1
    assert entity.update(lambda value: value + 1).value == 2
    assert entity.get().value == 2


def test_updates_lose_nothing(client, user):
    entity = client.client.entity(user)
    add = lambda value: (value or 0) + 1  # noqa: E731
    ended = client.together([[call(entity.update, add, retries=1000)] * 5 for _ in range(8)])
    assert sorted(each.value for each in ended) == list(range(1, 41))
    assert client.part("entity", user).get().value == 40


def test_an_update_that_always_meets_another(client, user):
    entity, other = client.part("entity", user), client.client.entity(user)
    seen = []

    def spoil(value):
        seen.append(value)
        other.put(len(seen))
        return "never"

    async def spoil_async(value):
        seen.append(value)
        await other.put(len(seen))
        return "never"

    asynchronous = isinstance(client.client, redislock.asyncio.Client)

    value, etag = mismatch(lambda: entity.update(spoil_async if asynchronous else spoil, retries=3))
    assert seen == [None, 1, 2, 3], "each is given what the last mismatch told"
    assert value == 4
    assert entity.get() == (4, etag)


def test_what_an_update_refuses(entity):
    entity.create([1])
    with pytest.raises(TypeError, match="fn must return"):
        entity.update(lambda value: value.append(2))
    with pytest.raises(ZeroDivisionError):
        entity.update(lambda _: 1 // 0)
    with pytest.raises(TypeError, match="fn must be callable"):
        entity.update(5)
    for wrong, error in ((-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="retries"):
            entity.update(lambda value: value, retries=wrong)
    assert entity.get().value == [1]


# --- what is in the way -------------------------------------------------------------------------


def everything(entity):
    yield entity.get
    yield lambda: entity.put(1)
    yield lambda: entity.put(1, if_match="x")
    yield lambda: entity.create(1)
    yield entity.delete
    yield lambda: entity.update(lambda _: 1)


def test_a_key_of_another_type_is_left_alone(client, user):
    client.init(user, 100)
    for each in everything(client.part("entity", client.client.keys(user)["balance"])):
        with pytest.raises(WrongTypeError, match="nothing was changed"):
            each()
    assert client.balance(user) == 100


@on_server
@pytest.mark.parametrize("kind_of_key", ["hash", "list", "etag alone"])
def test_a_foreign_key_is_left_alone(client, user, raw, kind_of_key):
    if kind_of_key == "list":
        raw.rpush(user, "x")
    else:
        raw.hset(user, "etag" if kind_of_key == "etag alone" else "f", "v")
    before = raw.type(user)
    for each in everything(client.part("entity", user)):
        with pytest.raises(WrongTypeError, match=user):
            each()
    assert raw.type(user) == before
    assert not raw.exists(f"{{{user}}}:redislock:writes")


@on_server
def test_a_foreign_key_beside_it_is_left_alone(client, user, raw):
    raw.rpush(f"{{{user}}}:redislock:writes", "x")
    with pytest.raises(WrongTypeError):
        client.part("entity", user).put(1)
    assert not raw.exists(user)


@on_server
def test_what_is_stored(client, user, raw):
    etag = client.part("entity", user, ttl=100).put({"b": 1, "a": "ü"})
    assert raw.hgetall(user) == {"etag": etag, "value": '{"b":1,"a":"ü"}'}
    assert 99_000 < raw.pttl(user) <= 100_000
    assert 59_000 < raw.pttl(f"{{{user}}}:redislock:writes") <= 60_000
    client.part("entity", f"a{{{user}}}").put(1)
    assert raw.exists(f"a{{{user}}}:redislock:t:writes"), "a hash tag is kept"
    for _ in range(100):
        client.part("entity", user).put(1)
    assert raw.strlen(f"{{{user}}}:redislock:writes") == 32 * 33
    assert raw.pttl(user) == -1


def test_bytes_that_are_no_json(client, user):
    client.part("entity", user, codec="bytes").put(b"\xff")
    with pytest.raises(WrongTypeError, match="codec='bytes'"):
        client.part("entity", user).get()


def refusals(client):
    entity = client.client.entity
    for key, error in (("", ValueError), (b"", ValueError), (5, TypeError), (None, TypeError)):
        yield "key", error, lambda key=key: entity(key)
    for ttl, error in ((0, ValueError), (-1, ValueError), (1e-6, ValueError), ("5", TypeError)):
        yield "ttl", error, lambda ttl=ttl: entity("k", ttl=ttl)
    yield "codec", ValueError, lambda: entity("k", codec="pickle")
    part = client.part("entity", "k")
    yield "if_match", TypeError, lambda: part.put(1, if_match=b"x")
    yield "if_match", ValueError, lambda: part.put(1, if_match="")
    yield "if_match", TypeError, lambda: part.delete(if_match=5)
    yield "JSON", TypeError, lambda: part.put(b"bytes")
    yield "JSON", ValueError, lambda: part.put(float("nan"))
    yield "value", TypeError, lambda: client.part("entity", "k", codec="bytes").put("text")
    yield "timeout", ValueError, lambda: part.get(timeout=0)


def test_wrong_arguments_are_refused_before_anything_is_sent(connect):
    client = connect(timeout=0.001)
    for name, error, what in refusals(client):
        with pytest.raises(error, match=name):
            what()


def test_the_error_survives_a_pickle(entity):
    etag = entity.create([1])
    with pytest.raises(ConcurrencyError) as met:
        entity.create(2)
    copy = pickle.loads(pickle.dumps(met.value))
    assert (copy.etag, copy.value, copy.key, str(copy)) == (etag, [1], entity.key, str(met.value))
    assert isinstance(copy, redislock.Error)


def test_its_name(entity, user):
    assert entity.key == user
    assert repr(entity.made).endswith(f"Entity {user!r}>")


# --- processes ----------------------------------------------------------------------------------

PROGRAM = """
import sys, redislock
with redislock.Client(sys.argv[1]) as client:
    for _ in range(50):
        client.entity(sys.argv[2]).update(lambda value: (value or 0) + 1, retries=10_000)
"""


@pytest.mark.parametrize("kind", [("threads", "server")], indirect=True)
def test_processes_lose_nothing(client, url, user):
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM, url, user]) for _ in range(4)]
    assert [each.wait(60) for each in started] == [0] * 4
    assert client.part("entity", user).get().value == 200
