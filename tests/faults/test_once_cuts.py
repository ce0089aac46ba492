"""What is done once, with the connection cut at every step: it is done once, and its result is kept."""

import itertools
import threading

import pytest
from waiting import eventually, in_background

import redislock


def measure(proxy, direction, once):
    before = proxy.carried[direction]
    once.run(lambda: 0)
    return proxy.carried[direction] - before


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_at_every_byte(direction, end, proxy, connect, server, user):
    client, other = connect(proxy.url), connect(server.url)
    client.once(f"{user}-0", ttl=60).run(lambda: 0)  # the scripts are known from here on
    length = measure(proxy, direction, client.once(f"{user}-1", ttl=60))
    assert length > (30 if direction == "reply" else 300)
    for position in range(length):
        key = f"{user}-{direction}-{position:05}"
        calls = []
        client.balance("nobody")
        proxy.cut(direction, position, end)
        said = client.once(key, ttl=60).run(
            lambda calls=calls, position=position: calls.append(1) or position
        )
        proxy.uncut()
        where = f"{direction} cut by {end} at byte {position}"
        assert (said, calls) == ((position, True), [1]), where
        assert other.once(key, ttl=60).run(lambda: "again") == (position, False), where


def test_a_result_whose_answer_is_lost_is_stored_once(proxy, connect, server, user):
    client, other = connect(proxy.url), connect(server.url)
    client.once(f"{user}-0", ttl=60).run(lambda: 0)
    once = client.once(user, ttl=60)
    entered = threading.Event()

    def work():
        proxy.hold("reply", later_too=False)
        entered.set()
        return "mine"

    running = in_background(lambda: once.run(work))
    assert entered.wait(5)
    eventually(lambda: other.once(user, ttl=60).peek() == ("mine", False))
    proxy.cut_all()
    assert running.result(10) == ("mine", True)


def test_a_result_that_may_not_have_been_stored_is_unknown(proxy, connect, server, user):
    client, other = connect(proxy.url, timeout=0.3), connect(server.url)
    client.once(f"{user}-0", ttl=60).run(lambda: 0)

    def work():
        proxy.hold("reply")
        return "mine"

    with pytest.raises(redislock.OutcomeUnknownError):
        client.once(user, ttl=60).run(work)
    proxy.release()
    assert other.once(user, ttl=60).peek() == ("mine", False)


@pytest.mark.parametrize("forbidden", ["set", "get"])
def test_a_forbidden_command_is_no_success(forbidden, start_server, user):
    server = start_server(port=0, config={"user": f"poor on >x ~* &* +@all -{forbidden}"})
    calls = itertools.count(1)
    with redislock.Client(f"redis://poor:x@127.0.0.1:{server.port}") as poor:
        with pytest.raises(redislock.PermissionDeniedError):
            poor.once(user, ttl=60).run(lambda: next(calls))
        with redislock.Client(server.url) as rich:
            assert rich.once(user, ttl=60, wait=10).run(lambda: "rich") == ("rich", True)
