"""The scripts at the server: called by digest, sent whole only where they are not known, never half done."""

import logging
import sys

import pytest
from faces import call, on_server

import redislock


@pytest.fixture
def fresh(start_server):
    """A server that knows no script yet."""
    import redis

    server = start_server()
    with redis.Redis.from_url(server.url, decode_responses=True) as raw:
        yield server, raw


def everything(client, user):
    client.init(user, 100)
    for key in [None, f"key of {user}"]:
        client.withdraw_lua(user, 1, idempotency_key=key)
        client.deposit(user, 1, idempotency_key=key and key + "!")
    client.withdraw_lock(user, 1)
    client.withdraw_watch(user, 1)
    assert client.balance(user) == 98
    client.delete(user)


def calls(raw, command):
    return raw.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


def test_each_script_is_sent_whole_once(fresh):
    server, raw = fresh
    with redislock.Client(server.url) as client:
        everything(client, "first")
        sent_whole = calls(raw, "eval")
        assert 0 < sent_whole <= 5
        for i in range(9):
            everything(client, f"user {i}")
        assert calls(raw, "eval") == sent_whole, "their digests are right"
        assert calls(raw, "evalsha") >= 70


def test_scripts_that_were_flushed_are_sent_again(fresh):
    server, raw = fresh
    with redislock.Client(server.url) as client:
        everything(client, "0")
        for i in range(1, 4):
            raw.script_flush()
            everything(client, str(i))


@on_server
def test_calls_that_wait_together_keep_their_order(client, kind, user, raw):
    client.init(user, 500)
    raw.script_flush()
    wanted = call("withdraw_lua", user, 1)
    if kind[0] == "threads":
        outcomes = [client.run(wanted) for _ in range(100)]
    else:
        outcomes = client.together([[wanted]] * 100)
    assert [each.balance for each in outcomes] == list(range(499, 399, -1))


@on_server
def test_a_logger_that_raises_costs_no_outcome(client, user, raw, caplog, monkeypatch):
    def refuse(record):
        raise RuntimeError(record.getMessage())

    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: ignored.append(str(each.exc_value)))
    caplog.set_level(logging.DEBUG, "redislock")
    client.init(user, 100)
    raw.script_flush()
    logger = logging.getLogger("redislock")
    logger.addFilter(refuse)
    try:
        assert client.withdraw_lua(user, 1, timeout=5).balance == 99
    finally:
        logger.removeFilter(refuse)
    assert any("did not know script" in each for each in ignored)
