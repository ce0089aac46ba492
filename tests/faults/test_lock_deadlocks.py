"""Waits that would never end, across processes: one victim, at once, the youngest."""

import itertools
import time

import pytest
from locking import line_of, make_token
from waiting import eventually, in_background

from redislock._errors import DeadlockError

_numbers = itertools.count(1)

# Owners that hold one lock each and wait for another.
PARTIES = """
    import sys, threading
    from locking import Locker, make_token
    locker, holds = Locker(sys.argv[1]), {}
    def wait(who, name, kind):
        got = locker.acquire(name, token=make_token(who), kind=kind, wait=60)
        sys.stdout.write(f"{who} {locker.release(got)} {locker.release(holds[who])}\\n")  # one write
    for line in sys.stdin:
        what, who, name, kind = line.split()
        if what == "take":
            holds[who] = locker.acquire(name, token=make_token(who), kind=kind, lease=60)
            print("took")
        else:
            threading.Thread(target=wait, args=(who, name, kind), daemon=True).start()
"""


def say(program, words):
    program.stdin.write(words + "\n")
    program.stdin.flush()


@pytest.mark.parametrize("size", [2, 3, 10])
@pytest.mark.parametrize("kinds", ["m", "p", "w", "pwm"])
def test_a_cycle_has_one_victim_at_once_the_youngest(kinds, size, server, started, locker, raw, name):
    ring = [f"{name}-{each}" for each in range(size)]
    kind = [kinds[each % len(kinds)] for each in range(size)]
    owners = [f"c{next(_numbers)}" for _ in range(size)]
    client = locker(server.url)
    others = [started(PARTIES, server.url) for _ in range(2)]
    for at in range(size - 1):
        say(others[at % 2], f"take {owners[at]} {ring[at]} {kind[at]}")
        assert others[at % 2].stdout.readline() == "took\n"
    held = client.acquire(ring[-1], token=make_token(owners[-1]), kind=kind[-1])
    for at in range(size - 1):
        say(others[at % 2], f"wait {owners[at]} {ring[at + 1]} {kind[at + 1]}")
        eventually(lambda at=at: raw.zcard(line_of(ring[at + 1])) == 1)
    begun = time.monotonic()
    with pytest.raises(DeadlockError) as caught:
        client.acquire(ring[0], token=make_token(owners[-1]), kind=kind[0], wait=30)
    assert time.monotonic() - begun < 5
    parties = caught.value.parties
    assert [each[0].split(":")[-1] for each in parties] == [owners[-1], *owners[:-1]]
    assert [each[1] for each in parties] == ring
    assert all(abs(each[2] - time.time()) < 60 for each in parties)
    # It gives up what it holds, and the others go on one after the other; what they print of that may
    # come in another order.
    assert client.release(held)
    told = [others[at % 2].stdout.readline() for at in range(size - 1)]
    assert sorted(told) == sorted(f"{each} True True\n" for each in owners[:-1])


def test_a_deadlock_names_locks_of_any_bytes(server, locker, raw, user):
    client = locker(server.url)
    names = [b"\xff\xfe {x" + user.encode(), b"a\nb\0" + user.encode()]
    owners = [f"c{next(_numbers)}" for _ in range(2)]
    holds = [client.acquire(each, token=make_token(who)) for each, who in zip(names, owners, strict=True)]
    waiting = in_background(lambda: client.acquire(names[1], token=make_token(owners[0]), wait=30))
    eventually(lambda: raw.zcard(b"{" + names[1] + b"}:redislock:queue") == 1)
    with pytest.raises(DeadlockError, match="xff") as caught:
        client.acquire(names[0], token=make_token(owners[1]), wait=30)
    assert [each[1][:4] for each in caught.value.parties] == ["\\xff", "a\nb\0"]
    client.release(holds[1])
    client.release(waiting.result(20))
    client.release(holds[0])


def test_a_waiter_for_several_is_found_at_whichever_lock_it_stands(server, locker, raw, name):
    client = locker(server.url)
    one, two, lock = (f"{name}-{each}" for each in "abc")
    mine, theirs = (f"c{next(_numbers)}" for _ in range(2))
    first = client.acquire(one)
    second = client.acquire(two, token=make_token(theirs))
    kept = client.acquire(lock, token=make_token(mine))
    waiting = in_background(lambda: client.acquire([one, two], token=make_token(mine), wait=60))
    eventually(lambda: raw.zcard(line_of(one)) == 1)
    client.release(first)
    eventually(lambda: raw.zcard(line_of(two)) == 1)
    # Long enough to be given up, if its process did not speak for it where it stands now.
    time.sleep(1.0)
    with pytest.raises(DeadlockError):
        client.acquire(lock, token=make_token(theirs), wait=30)
    client.release(second)
    got = waiting.result(5)
    assert len(got.fences) == 2
    client.release(got)
    client.release(kept)
