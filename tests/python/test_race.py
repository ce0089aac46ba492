"""A race in slow motion, on a real server and on memory://: the same every time."""

import os
import signal
import subprocess
import sys
import time

import pytest

import redislock
from redislock import _race

WATCH = ("WATCH balance history", "GET balance", "LLEN history", "TIME")
EXEC = ("MULTI", "DECRBY balance 1", "LPUSH history entry", "EXEC")
ACQUIRE = ("SET lock token NX PX 300000", "GET lock", "GET balance")
WRITE = ("SET balance 4", "LPUSH history entry", "LTRIM history 0 999")
SCRIPT = ("EVALSHA withdraw balance history",)
COMMIT = ("EVALSHA withdraw balance history lock",)

# Who did it, what it did, what went out, what came back, what the server held afterwards.
TIMELINES = {
    "naive": [
        ("A", "reads 5", ("GET balance", "TIME"), ("5", "the time"), 5),
        ("B", "reads 5", ("GET balance", "TIME"), ("5", "the time"), 5),
        ("A", "writes 4", WRITE, ("OK", "1", "OK"), 4),
        ("B", "writes 4", WRITE, ("OK", "2", "OK"), 4),
    ],
    "lua": [
        ("A", "script: 5 - 1 = 4", SCRIPT, ("ok 4",), 4),
        ("B", "script: 4 - 1 = 3", SCRIPT, ("ok 3",), 3),
    ],
    "lock": [
        ("A", "takes the lock, reads 5", ACQUIRE, ("OK", "token", "5"), 5),
        ("B", "lock busy, waits", ACQUIRE, ("nil", "token", "5"), 5),
        ("A", "script: 5 - 1 = 4, lock released", COMMIT, ("ok 4",), 4),
        ("B", "takes the lock, reads 4", ACQUIRE, ("OK", "token", "4"), 4),
        ("B", "script: 4 - 1 = 3, lock released", COMMIT, ("ok 3",), 3),
    ],
    "watch": [
        ("A", "watches, reads 5", WATCH, ("OK", "5", "0", "the time"), 5),
        ("B", "watches, reads 5", WATCH, ("OK", "5", "0", "the time"), 5),
        ("A", "EXEC: 5 - 1 = 4", EXEC, ("OK", "QUEUED", "QUEUED", "[4, 1]"), 4),
        ("B", "EXEC answers null", EXEC, ("OK", "QUEUED", "QUEUED", "nil"), 4),
        ("B", "watches, reads 4", WATCH, ("OK", "4", "1", "the time"), 4),
        ("B", "EXEC: 4 - 1 = 3", EXEC, ("OK", "QUEUED", "QUEUED", "[3, 2]"), 3),
    ],
}
# The step that decides, and the first words of why.
SAVED = {
    "lua": (2, "looking and taking are one step on the server: B meets the 4 that A left"),
    "lock": (2, "lock busy: A holds it"),
    "watch": (4, "null EXEC: A wrote since B's WATCH"),
}


@pytest.fixture(params=["server", "memory"])
def url(request, user):
    if request.param == "server":
        return request.getfixturevalue("server").url
    return f"memory://{user}"


@pytest.mark.parametrize("strategy", TIMELINES)
def test_the_timeline(url, user, strategy):
    seen = _race.run(url, strategy=strategy, prefix=user)
    told = [(each.buyer, each.does, each.sent, each.received, each.balance) for each in seen.steps]
    assert told == TIMELINES[strategy]
    assert [each.number for each in seen.steps] == list(range(1, len(told) + 1))
    moments = {each.number: each.saved for each in seen.steps if each.saved}
    if strategy == "naive":
        assert moments == {}
        assert [each.number for each in seen.steps if each.lost] == [4]
        assert seen.steps[3].lost.startswith("the server held 4 by now, and not the 5 that B read")
        assert (seen.verdict.word, seen.sold, seen.end) == ("lost 1", 2, 4)
    else:
        [(number, why)] = moments.items()
        assert number == SAVED[strategy][0]
        assert why.startswith(SAVED[strategy][1])
        assert not any(each.lost for each in seen.steps)
        assert (seen.verdict.word, seen.sold, seen.end) == ("held", 2, 3)


@pytest.mark.parametrize("strategy", TIMELINES)
def test_it_is_the_same_every_time(url, user, strategy):
    runs = [_race.run(url, strategy=strategy, prefix=user, buyers=3).as_dict() for _ in range(4)]
    assert runs[1:] == runs[:1] * 3


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch"])
@pytest.mark.parametrize(("balance", "amount", "buyers"), [(5, 1, 4), (5, 3, 3), (0, 1, 2), (1, 1, 12)])
def test_the_safe_ones_hold_with_more_buyers_and_too_little(url, user, strategy, balance, amount, buyers):
    seen = _race.run(url, strategy=strategy, prefix=user, balance=balance, amount=amount, buyers=buyers)
    paid = min(buyers, balance // amount)
    assert seen.verdict.word == "held"
    assert (seen.sold, seen.end) == (paid * amount, balance - paid * amount)
    statuses = [str(each.status) for each in seen.results.values()]
    assert sorted(statuses) == ["insufficient"] * (buyers - paid) + ["ok"] * paid
    assert [each.ended for each in seen.steps if each.ended].count("ok") == paid


def test_naive_sells_the_last_one_to_everybody(url, user):
    seen = _race.run(url, strategy="naive", prefix=user, balance=1, buyers=5)
    assert (seen.sold, seen.end, seen.verdict.lost) == (5, 0, 4)
    assert [bool(each.lost) for each in seen.steps] == [False] * 6 + [True] * 4


@pytest.mark.parametrize("strategy", TIMELINES)
def test_its_keys_are_deleted(server, raw, user, strategy):
    _race.run(server.url, strategy=strategy, prefix=user)
    assert raw.keys(f"{user}*") == []


@pytest.mark.parametrize(("strategy", "steps"), [("naive", 3), ("lock", 1), ("lock", 2), ("watch", 3)])
def test_its_keys_are_deleted_when_it_is_broken_off(server, raw, user, monkeypatch, strategy, steps):
    seen = []
    look = redislock.Client.balance

    def interrupted(self, *arguments):
        seen.append(1)
        if len(seen) == steps:
            raise KeyboardInterrupt
        return look(self, *arguments)

    monkeypatch.setattr(redislock.Client, "balance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _race.run(server.url, strategy=strategy, prefix=user)
    assert raw.keys(f"{user}*") == []


def test_a_server_that_falls_silent_is_told(start_server, user):
    running = start_server(port=0)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(redislock.TimeoutError):
            _race.run(running.url, prefix=user, timeout=0.3)
        assert time.monotonic() - began < 10
    finally:
        os.kill(running.pid, signal.SIGCONT)


def test_no_server_is_a_fault(user):
    with pytest.raises(redislock.ConnectionError):
        _race.run("redis://127.0.0.1:1", prefix=user)


@pytest.mark.parametrize(
    ("wrong", "kind", "why"),
    [
        ({"strategy": "sql"}, ValueError, "strategy must be one of"),
        ({"buyers": 0}, ValueError, "buyers must be from 1 to 26"),
        ({"buyers": 27}, ValueError, "buyers must be from 1 to 26"),
        ({"buyers": True}, TypeError, "buyers must be an int, not bool"),
        ({"amount": 0}, ValueError, "amount"),
        ({"balance": -1}, ValueError, "balance"),
    ],
)
def test_wrong_arguments(user, wrong, kind, why):
    with pytest.raises(kind, match=why):
        _race.run(f"memory://{user}", prefix=user, **wrong)


# ---- the native half


def make_stepper(user, **changed):
    client = redislock.Client(f"memory://{user}")
    wanted = {
        "prefix": user,
        "account": "a",
        "strategy": "naive",
        "buyers": 2,
        "amount": 1,
        "history_limit": 10,
        "max_retries": 3,
        "lock_wait": 1,
        "lock_lease": 1,
        **changed,
    }
    return redislock._core.Stepper(client._options, **wanted)


def test_a_stepper_that_is_closed_or_asked_for_nobody(user):
    stepper = make_stepper(user)
    assert stepper.settle(0, 1.0)
    assert stepper.next(0)["commands"] == [["GET", f"{user}:{{a}}:balance"], ["TIME"]]
    assert stepper.last(0) is None
    assert stepper.outcome(0) is None
    assert stepper.paused(0) is False
    for call in (stepper.next, stepper.last, stepper.outcome, stepper.paused, stepper.release):
        with pytest.raises(IndexError, match="no such buyer"):
            call(2)
    stepper.close(0.1)
    stepper.close(0.1)
    with pytest.raises(ValueError, match="closed"):
        stepper.next(0)
    assert stepper.settle(0, 1.0)  # there is nothing to wait for


@pytest.mark.parametrize("changed", [{"buyers": 0}, {"buyers": 1001}, {"lock_lease": 0.0001}, {"amount": 0}])
def test_a_stepper_refuses(user, changed):
    with pytest.raises(ValueError, match="must be"):
        make_stepper(user, **changed)


def test_a_stepper_may_be_forked(user):
    program = (
        "import os, redislock\n"
        "client = redislock.Client('memory://x')\n"
        "s = redislock._core.Stepper(client._options, prefix='p', account='a', strategy='lock', buyers=2,\n"
        "    amount=1, history_limit=1, max_retries=1, lock_wait=1, lock_lease=1)\n"
        "s.settle(0, 1.0)\n"
        "if os.fork() == 0:\n"
        "    del s\n"
        "    os._exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "s.release(0)\n"
        "assert s.settle(0, 1.0)\n"
        "print('fine')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
