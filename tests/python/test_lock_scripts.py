"""The scripts of locks in situations that clients rarely bring about, one at a time."""

import pytest
from lock_scripts import CHANNEL, LEASE, make_token, side

OTHER = b"redislock:wake:other"


@pytest.fixture
def heard(bare):
    """Listen to what is said to waiters; call it for all that came."""
    with bare.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(CHANNEL, OTHER)

        def take():
            bare.publish(CHANNEL, b"end")
            said = []
            while (message := listener.get_message(timeout=5)) is None or message["data"] != b"end":
                if message:
                    said.append((message["channel"], message["data"].split()))
            return said

        take()
        yield take


A, B, C, D, E = (make_token(each) for each in "abcde")
STRANGER = b"deadbeef"  # as redis-py makes them


# --- waiters that do not come


def test_who_does_not_come_leaves_the_line_and_is_told(locks, names, heard):
    locks.acquire(names[0], A)
    ticket = int(locks.acquire(names[0], B, wait=1)[1])
    locks.acquire(names[0], C, wait=2, channel=OTHER)
    locks.release(names[0], A)
    locks.end_lease(names[0], B)
    locks.refresh(names[0], channel=OTHER)
    assert locks.holders(names[0]) == {C}
    assert locks.line(names[0]) == [C]
    assert [(where, words[:2]) for where, words in heard()] == [
        (CHANNEL, [b"1", b"handed"]),
        (CHANNEL, [b"1", b"again"]),
        (OTHER, [b"2", b"handed"]),
    ]
    # It comes back to its old place.
    locks.acquire(names[0], D, wait=3, channel=OTHER)
    assert locks.claim(names[0], B) == [b"lost"]
    assert locks.acquire(names[0], B, wait=1, ticket=ticket) == [b"queued", b"%d" % ticket]
    assert locks.line(names[0])[0] == B


def test_a_waiter_nobody_remembers_delays_the_others_once(locks, names):
    # Its process lives, and waits for the same lock in another thread.
    locks.acquire(names[0], A)
    locks.acquire(names[0], B, wait=1)
    locks.acquire(names[0], C, wait=2)
    locks.release(names[0], A)
    locks.end_lease(names[0], B)
    locks.refresh(names[0])
    locks.refresh(names[0])
    assert locks.holders(names[0]) == {C}
    locks.claim(names[0], C)
    assert locks.line(names[0]) == []


def test_the_dead_are_forgotten_also_where_the_lock_stays_in_use(locks, bare, names):
    locks.acquire(names[0], A)
    for number in range(5):
        locks.acquire(names[0], make_token("dead", number), wait=number + 1, detect=False)
    locks.acquire(names[0], B, wait=9, channel=OTHER)
    locks.release(names[0], A)
    locks.end_lease(names[0], make_token("dead", 0))
    locks.refresh(names[0], channel=OTHER)
    locks.claim(names[0], B)
    locks.acquire(names[0], C, wait=10, channel=OTHER)
    locks.fall_silent(names[0], milliseconds=11_000)
    locks.release(names[0], B)
    assert locks.line(names[0]) == [C]
    assert bare.hkeys(side(names[0]) + b"waiters") == [C]


def test_processes_that_waited_once_are_not_remembered_for_ever(locks, bare, names):
    locks.acquire(names[0], A)
    for number in range(20):
        channel = b"redislock:wake:%d" % number
        locks.acquire(names[0], B, wait=1, channel=channel)
        locks.release(names[0], B)
        locks.fall_silent(names[0], channel, 60_000)
    locks.acquire(names[0], C, wait=1)
    assert bare.zcard(side(names[0]) + b"alive") == 1


@pytest.mark.parametrize("kind", ["m", "p", "r", "w"])
def test_a_free_lock_is_had_without_waiting_though_the_dead_stand_in_line(locks, names, kind):
    holder = "w" if kind == "r" else kind
    locks.acquire(names[0], A, holder)
    locks.acquire(names[0], B, kind, wait=1)
    locks.fall_silent(names[0])
    locks.end_lease(names[0], A)
    assert locks.acquire(names[0], C, kind)[0] == b"held"


def test_who_need_not_wait_does_not_pass_those_who_wait_alive(locks, names):
    locks.acquire(names[0], A, "r")
    locks.acquire(names[0], B, "w", wait=1)
    assert locks.acquire(names[0], C, "r") == [b"busy"]
    locks.acquire(names[1], A, "p", limit=3)
    locks.acquire(names[1], B, "p", limit=1, wait=1)
    assert locks.acquire(names[1], C, "p", limit=3) == [b"busy"]


def test_a_clock_set_back_leaves_the_order_and_one_set_forward_loses_nobody(locks, names):
    locks.acquire(names[0], A)
    locks.acquire(names[0], B, wait=1)
    ticket = int(locks.acquire(names[0], C, wait=2, channel=OTHER)[1])
    locks.fall_silent(names[0], milliseconds=-3_600_000)  # as if an hour was taken back
    locks.release(names[0], A)
    assert locks.holders(names[0]) == {B}
    locks.claim(names[0], B)
    locks.fall_silent(names[0], OTHER, 3_600_000)
    locks.fall_silent(names[0], CHANNEL, 3_600_000)
    assert locks.refresh(names[0], channel=OTHER)[0][0] == 0  # and is asked to get in line again
    locks.acquire(names[0], D, wait=3)
    locks.acquire(names[0], C, wait=2, channel=OTHER, ticket=ticket)
    assert locks.line(names[0]) == [C, D]


# --- places in line


def test_a_barger_that_waited_leaves_the_line_when_it_gets_the_lock(locks, names):
    locks.acquire(names[0], A)
    locks.acquire(names[0], B, wait=1, barging=True)
    locks.end_lease(names[0], A)
    assert locks.acquire(names[0], B, wait=1, barging=True)[0] == b"held"
    assert locks.line(names[0]) == []


def since(bare, seconds):
    """Return the ticket of who has stood there for so long."""
    now, micros = bare.time()
    return now * 1_000_000 + micros - int(seconds * 1_000_000)


def test_a_waiter_for_several_stands_at_all_of_them_until_all_are_free(locks, names):
    one, two, three = names
    locks.acquire(one, A)
    locks.acquire(three, B)
    ticket = int(locks.acquire(names, C, wait=1)[1])
    locks.release(one, A)
    assert [locks.line(each) for each in names] == [[C], [C], [C]]
    locks.acquire(one, D)  # meanwhile
    assert locks.acquire(names, C, wait=1, ticket=ticket) == [b"queued", b"%d" % ticket]
    locks.release(three, B)
    locks.release(one, D)
    assert locks.holders(one) == locks.holders(two) == locks.holders(three) == {C}
    assert locks.claim(names, C)[0] == b"held"
    assert [locks.line(each) for each in names] == [[], [], []]


@pytest.mark.parametrize(
    ("stood", "kept"),
    [(0.1, False), (0.3, True), (0.7, False), (1.5, True), (3, False), (6, True), (12, False), (24, True)],
)
def test_free_locks_are_kept_for_who_waits_for_several_but_not_for_ever(locks, bare, names, stood, kept):
    one, two, _ = names
    locks.acquire(two, A)
    locks.acquire([one, two], B, wait=1, ticket=since(bare, stood))
    assert locks.acquire(one, C) == [b"busy"] if kept else locks.acquire(one, C)[0] == b"held"
    if kept:
        assert locks.acquire(one, C, wait=2)[0] == b"queued"
        locks.release(two, A)
        assert locks.holders(one) == locks.holders(two) == {B}
        assert locks.claim([one, two], B)[0] == b"held"
        locks.release([one, two], B)
        assert locks.holders(one) == {C}


def test_what_is_kept_for_a_waiter_for_several_goes_on_when_it_leaves(locks, bare, names):
    one, two, _ = names
    locks.acquire(two, A)
    locks.acquire([one, two], B, wait=1, ticket=since(bare, 6))
    locks.acquire(one, C, wait=2)
    assert locks.holders(one) == set()
    locks.release([one, two], B)
    assert locks.holders(one) == {C}
    assert locks.line(two) == []


def test_what_is_kept_for_a_process_that_is_gone_goes_on(locks, bare, names):
    one, two, _ = names
    locks.acquire(two, A)
    locks.acquire([one, two], B, wait=1, channel=OTHER, ticket=since(bare, 6))
    locks.acquire(one, C, wait=2)
    assert locks.holders(one) == set()
    locks.fall_silent(one, OTHER)
    locks.refresh(one)
    assert locks.holders(one) == {C}


def test_of_two_waiters_for_several_the_older_is_next_everywhere(locks, bare, names):
    one, two, three = names
    locks.acquire(two, A)
    locks.acquire([one, two], B, wait=1, ticket=since(bare, 6.1))
    locks.acquire([two, three], C, wait=2, channel=OTHER, ticket=since(bare, 6))
    locks.release(two, A)
    assert locks.holders(one) == locks.holders(two) == {B}
    assert locks.holders(three) == set()
    assert locks.claim([one, two], B)[0] == b"held"
    locks.release([one, two], B)
    assert locks.holders(two) == locks.holders(three) == {C}


def test_who_did_not_come_for_several_leaves_all_lines(locks, names):
    one, two, _ = names
    locks.acquire(two, A)
    locks.acquire([one, two], B, wait=1, channel=OTHER)
    locks.release(two, A)
    assert locks.holders(one) == locks.holders(two) == {B}
    locks.acquire(one, C, wait=2)
    for each in (one, two):  # in time, both at once
        locks.end_lease(each, B)
    locks.refresh(one)
    assert locks.holders(one) == {C}
    assert locks.line(two) == []


def test_a_process_speaks_for_its_waiter_in_all_lines(locks, names):
    one, _, three = names
    locks.acquire(one, A)
    locks.acquire(three, B)
    locks.acquire(names, C, wait=1)
    assert [each[0] for each in locks.refresh(*names)] == [1, 1, 1]


def test_half_of_several_is_handed_to_those_who_wait_for_it(locks, names):
    one, two, _ = names
    locks.acquire([one, two], A)
    locks.acquire(two, B, wait=1, channel=OTHER)
    locks.end_lease(one, A)
    locks.acquire(one, C)
    assert locks.acquire([one, two], A, wait=2)[0] == b"queued"
    assert locks.holders(two) == {B}


def test_a_victim_in_front_lets_those_behind_pass(locks, names):
    lock, other, _ = names
    locks.acquire(lock, A, "r")
    locks.acquire(other, B)
    ticket = int(locks.acquire(lock, B, "w", wait=1, detect=False)[1])
    locks.acquire(lock, C, "r", wait=2, channel=OTHER)
    locks.acquire(other, A, wait=3)
    assert locks.acquire(lock, B, "w", wait=1, ticket=ticket)[0] == b"deadlock"
    assert locks.holders(lock) == {A, C}


@pytest.mark.parametrize(
    "strange", [b"a b", b"a:b:c:d e/f", b"x/y", b"/", b"a:b:c:/x", b"a:b:c:d/\n \0\xff", b"1"]
)
def test_tokens_that_others_made_hold_and_wait_like_ours(locks, names, strange):
    locks.acquire(names[0], A)
    locks.acquire(names[1], strange)
    assert locks.acquire(names[0], strange, wait=1)[0] == b"queued"
    locks.acquire(names[1], B, wait=2)
    locks.release(names[0], A)
    assert locks.claim(names[0], strange)[0] == b"held"
    assert locks.release(names[1], strange)
    assert locks.holders(names[1]) == {B}


def test_redis_pys_holders_are_waited_for(locks, bare, names):
    theirs = bare.lock(names[0], timeout=60)
    assert theirs.acquire(blocking=False)
    assert locks.acquire(names[0], A) == [b"busy"]
    locks.acquire(names[0], A, wait=1)
    theirs.release()
    locks.refresh(names[0])
    assert locks.claim(names[0], A)[0] == b"held"
    assert not bare.lock(names[0], timeout=60).acquire(blocking=False)


# --- keys that somebody else has spoilt


def test_one_spoilt_lock_does_not_stop_the_renewal_of_others(locks, bare, names):
    one, two, three = names
    locks.acquire(one, A)
    bare.rpush(two, b"no lock")
    locks.acquire(three, A, "p")
    assert locks.renew((one, "m", A), (two, "m", A), (three, "p", A)) == [1, 0, 1]
    assert locks.renew((two, "p", A), (two, "r", A), (one, "m", A)) == [0, 0, 1]


def test_one_spoilt_lock_does_not_silence_the_other_lines(locks, bare, names):
    one, two, three = names
    for each in (one, three):
        locks.acquire(each, A)
        locks.acquire(each, make_token("w", len(each)), wait=1)
    locks.acquire(two, A)
    locks.acquire(two, B, wait=2)
    bare.delete(two)
    bare.rpush(two, b"no lock")
    for each in names:
        locks.fall_silent(each, milliseconds=500)
    assert [each[0] for each in locks.refresh(*names)] == [1, 0, 1]  # asked again, it is told why


def test_what_was_left_of_lost_holders_is_not_kept(locks, bare, names):
    locks.acquire(names[0], A, "p", limit=2)
    bare.delete(names[0])  # evicted, say
    locks.acquire(names[0], B, "p", limit=2)
    assert bare.hkeys(side(names[0]) + b"holders") == [B]


def test_side_keys_end_by_themselves(locks, bare, names):
    for kind in "mpw":
        locks.acquire(names[0], A, kind)
        locks.acquire(names[0], B, kind, wait=1)
        for key in bare.scan_iter(match=b"*" + names[0] + b"*"):
            assert bare.pttl(key) > 0, key
        assert all(0 < bare.pttl(key) <= LEASE for key in bare.scan_iter(match=b"redislock:waits:host:1*"))
        locks.release(names[0], B, kind)
        locks.release(names[0], A, kind)
        assert list(bare.scan_iter(match=b"*" + names[0] + b"*queue")) == []
        bare.delete(*bare.scan_iter(match=b"*" + names[0] + b"*"))
    assert list(bare.scan_iter(match=b"redislock:waits:host:1*")) == []
