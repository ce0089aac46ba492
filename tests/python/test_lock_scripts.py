"""The scripts of locks in situations that clients rarely bring about, one at a time."""

import pytest
import redis
from lock_scripts import CHANNEL, LEASE, Scripts, make_token, side

OTHER = b"redislock:wake:other"


@pytest.fixture
def raw(server):
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def locks(raw):
    raw.delete(b"redislock:waits:host:1:nonce")  # their owners have the same names in all tests
    return Scripts(raw)


@pytest.fixture
def names(user):
    """Three locks that no other test uses."""
    return [f"{user}-{each}".encode() for each in "abc"]


@pytest.fixture
def heard(raw):
    """Listen to what is said to waiters; call it for all that came."""
    with raw.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(CHANNEL, OTHER)

        def take():
            raw.publish(CHANNEL, b"end")
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


def test_the_dead_are_forgotten_also_where_the_lock_stays_in_use(locks, raw, names):
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
    assert raw.hkeys(side(names[0]) + b"waiters") == [C]


def test_processes_that_waited_once_are_not_remembered_for_ever(locks, raw, names):
    locks.acquire(names[0], A)
    for number in range(20):
        channel = b"redislock:wake:%d" % number
        locks.acquire(names[0], B, wait=1, channel=channel)
        locks.release(names[0], B)
        locks.fall_silent(names[0], channel, 60_000)
    locks.acquire(names[0], C, wait=1)
    assert raw.zcard(side(names[0]) + b"alive") == 1


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


def test_a_waiter_for_several_that_comes_back_has_one_place(locks, names):
    one, two, three = names
    locks.acquire(one, A)
    locks.acquire(three, B)
    ticket = int(locks.acquire(names, C, wait=1)[1])
    locks.release(one, A)
    assert [locks.line(each) for each in names] == [[], [], [C]]
    locks.acquire(one, D)
    assert locks.acquire(names, C, wait=1, ticket=ticket) == [b"queued", b"%d" % ticket]
    assert sum(C in locks.line(each) for each in names) == 1
    locks.release(three, B)
    locks.release(one, D)
    assert locks.holders(one) == locks.holders(two) == locks.holders(three) == {C}


def test_a_process_is_alive_in_every_line_that_its_waiter_may_move_to(locks, names):
    one, _, three = names
    locks.acquire(one, A)
    locks.acquire(three, B)
    locks.acquire(names, C, wait=1)
    # Which of them it stands at need not be known to its process: it speaks of all.
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


# --- who waits for whom


def parties(said):
    assert said[0] == b"deadlock"
    return [(said[i], said[i + 1]) for i in range(1, len(said), 3)]


def owner(token):
    return token.split(b"/")[0]


def test_a_cycle_is_told_from_the_waiter_on_with_when_each_began(locks, raw, names):
    one, two, three = names
    for name, token in zip(names, (A, B, C), strict=True):
        locks.acquire(name, token)
    locks.acquire(two, A, wait=1)
    ticket = int(locks.acquire(three, B, wait=2)[1])
    locks.acquire(three, B, wait=2, ticket=ticket)  # asks again: since when stays the same
    said = locks.acquire(one, C, wait=3)
    assert parties(said) == [(owner(C), one), (owner(A), two), (owner(B), three)]
    assert int(said[9]) == ticket // 1000
    assert locks.line(one) == []
    # The victim alone: the others wait on, and get what it gives up.
    locks.release(three, C)
    assert locks.holders(three) == {B}


def test_who_was_handed_a_permit_waits_for_nobody(locks, names):
    permits, lock, _ = names
    locks.acquire(permits, B, "p", limit=2)
    locks.acquire(permits, C, "p", limit=2)
    locks.acquire(lock, A)
    locks.acquire(permits, A, "p", limit=2, wait=1)
    locks.release(permits, C, "p")
    assert locks.holders(permits) == {A, B}  # A has not claimed it yet
    assert locks.acquire(lock, B, wait=2)[0] == b"queued"


def test_who_was_let_in_as_a_reader_waits_for_nobody(locks, names):
    shared, lock, _ = names
    locks.acquire(shared, C, "w")
    locks.acquire(lock, A)
    locks.acquire(shared, A, "r", wait=1)
    locks.acquire(shared, B, "r", wait=2, channel=OTHER)
    locks.release(shared, C, "w")
    assert locks.claim(shared, B, "r")[0] == b"held"
    assert locks.acquire(lock, B, wait=3)[0] == b"queued"


def test_a_free_permit_that_a_slow_process_has_not_been_given_yet_is_no_deadlock(locks, names):
    permits, lock, _ = names
    locks.acquire(permits, B, "p", limit=2)
    locks.acquire(permits, C, "p", limit=2)
    locks.acquire(lock, A)
    locks.acquire(permits, A, "p", limit=2, wait=1)
    locks.fall_silent(permits)
    locks.release(permits, C, "p")
    assert locks.holders(permits) == {B}
    assert locks.acquire(lock, B, wait=2)[0] == b"queued"


def test_a_reader_whom_no_writer_keeps_out_is_no_deadlock(locks, names):
    shared, lock, _ = names
    locks.acquire(shared, C, "w")
    locks.acquire(lock, A)
    locks.acquire(shared, A, "r", wait=1)
    locks.fall_silent(shared)
    locks.release(shared, C, "w")
    locks.acquire(shared, B, "r")
    assert locks.acquire(lock, B, wait=2)[0] == b"queued"


def test_a_reader_behind_a_writer_waits_for_the_readers_before_it(locks, names):
    shared, lock, _ = names
    locks.acquire(shared, B, "r")
    locks.acquire(shared, C, "w", wait=1)
    locks.acquire(lock, A)
    locks.acquire(shared, A, "r", wait=2)
    assert parties(locks.acquire(lock, B, wait=3)) == [(owner(B), lock), (owner(A), shared)]


def test_two_readers_who_both_want_to_write_wait_for_each_other(locks, names):
    locks.acquire(names[0], A, "r")
    locks.acquire(names[0], B, "r")
    assert locks.acquire(names[0], make_token("a", 1), "w", wait=1)[0] == b"queued"
    assert len(parties(locks.acquire(names[0], make_token("b", 1), "w", wait=2))) == 2


def test_every_permit_must_be_out_of_reach(locks, names):
    permits, one, two = names
    locks.acquire(permits, A, "p", limit=2)
    locks.acquire(permits, B, "p", limit=2)
    locks.acquire(one, C)
    locks.acquire(two, C)
    locks.acquire(one, A, wait=1)
    assert locks.acquire(permits, C, "p", limit=2, wait=2)[0] == b"queued"
    assert locks.acquire(two, B, wait=3)[0] == b"deadlock"


def test_a_permit_whose_holder_waits_for_the_one_who_waits_for_a_permit(locks, names):
    # A needs one of two permits: of C, who waits for A, or of B, who waits for A too.
    permits, one, two = names
    locks.acquire(permits, B, "p", limit=2)
    locks.acquire(permits, C, "p", limit=2)
    locks.acquire(one, A)
    locks.acquire(two, A)
    locks.acquire(permits, A, "p", limit=2, wait=1)
    assert locks.acquire(one, B, wait=2)[0] == b"queued"
    assert locks.acquire(two, C, wait=3)[0] == b"deadlock"


def test_a_knot_that_others_are_in_is_not_the_newcomers(locks, names):
    one, two, three = names
    locks.acquire(one, A)
    locks.acquire(two, B)
    locks.acquire(two, A, wait=1)
    assert locks.acquire(one, B, wait=2)[0] == b"deadlock"
    locks.acquire(three, C)
    assert locks.acquire(one, C, wait=3)[0] == b"queued"


def test_a_waiter_for_several_waits_for_the_holders_of_all(locks, names):
    one, two, lock = names
    locks.acquire(one, C)
    locks.acquire(two, B)
    locks.acquire(lock, A)
    locks.acquire([one, two], A, wait=1)  # stands at the first
    assert parties(locks.acquire(lock, B, wait=2)) == [(owner(B), lock), (owner(A), two)]


def test_a_waiter_that_moved_to_another_line_still_waits(locks, names):
    one, two, lock = names
    locks.acquire(one, C)
    locks.acquire(two, B)
    locks.acquire(lock, A)
    locks.acquire([one, two], A, wait=1)
    locks.release(one, C)
    assert locks.line(two) == [A]
    assert parties(locks.acquire(lock, B, wait=2)) == [(owner(B), lock), (owner(A), two)]


@pytest.mark.parametrize("kind", ["m", "p", "w"])
@pytest.mark.parametrize("size", [2, 3, 10, 100])
def test_cycles_of_any_length(locks, user, kind, size):
    ring = [f"{user}-{each}".encode() for each in range(size)]
    members = [make_token(f"m{each}") for each in range(size)]
    for name, token in zip(ring, members, strict=True):
        locks.acquire(name, token, kind)
    for at in range(size - 1):
        assert locks.acquire(ring[at + 1], make_token(f"m{at}", 1), kind, wait=at + 1)[0] == b"queued"
    said = locks.acquire(ring[0], make_token(f"m{size - 1}", 1), kind, wait=size)
    assert len(parties(said)) == size


def test_locks_without_one_owner_make_no_edges(locks, names):
    one, two, _ = names
    locks.acquire(one, STRANGER)
    locks.acquire(two, B)
    locks.acquire(two, STRANGER, wait=1)
    assert locks.acquire(one, B, wait=2)[0] == b"queued"


@pytest.mark.parametrize(
    "strange", [b"a b", b"new\nline", b"nul\0", b"\xff\xfe", b"{tag}x", b"{a b}", b"}{", b"%s"]
)
def test_any_bytes_are_a_name(locks, user, strange):
    one, two = strange + user.encode(), strange + user.encode() + b"2"
    locks.acquire(one, A)
    locks.acquire(two, B)
    locks.acquire([one, two], C, wait=1)
    locks.acquire(two, A, wait=2)
    assert parties(locks.acquire(one, B, wait=3)) == [(owner(B), one), (owner(A), two)]
    locks.release(one, A)
    locks.release(two, B)
    assert locks.holders(one) == {C}


# --- keys that somebody else has spoilt


def test_one_spoilt_lock_does_not_stop_the_renewal_of_others(locks, raw, names):
    one, two, three = names
    locks.acquire(one, A)
    raw.rpush(two, b"no lock")
    locks.acquire(three, A, "p")
    assert locks.renew((one, "m", A), (two, "m", A), (three, "p", A)) == [1, 0, 1]
    assert locks.renew((two, "p", A), (two, "r", A), (one, "m", A)) == [0, 0, 1]


def test_one_spoilt_lock_does_not_silence_the_other_lines(locks, raw, names):
    one, two, three = names
    for each in (one, three):
        locks.acquire(each, A)
        locks.acquire(each, make_token("w", len(each)), wait=1)
    locks.acquire(two, A)
    locks.acquire(two, B, wait=2)
    raw.delete(two)
    raw.rpush(two, b"no lock")
    for each in names:
        locks.fall_silent(each, milliseconds=500)
    assert [each[0] for each in locks.refresh(*names)] == [1, 0, 1]  # asked again, it is told why


def test_what_was_left_of_lost_holders_is_not_kept(locks, raw, names):
    locks.acquire(names[0], A, "p", limit=2)
    raw.delete(names[0])  # evicted, say
    locks.acquire(names[0], B, "p", limit=2)
    assert raw.hkeys(side(names[0]) + b"holders") == [B]


def test_side_keys_end_by_themselves(locks, raw, names):
    for kind in "mpw":
        locks.acquire(names[0], A, kind)
        locks.acquire(names[0], B, kind, wait=1)
        for key in raw.scan_iter(match=b"*" + names[0] + b"*"):
            assert raw.pttl(key) > 0, key
        assert all(0 < raw.pttl(key) <= LEASE for key in raw.scan_iter(match=b"redislock:waits:host:1*"))
        locks.release(names[0], B, kind)
        locks.release(names[0], A, kind)
        assert list(raw.scan_iter(match=b"*" + names[0] + b"*queue")) == []
        raw.delete(*raw.scan_iter(match=b"*" + names[0] + b"*"))
    assert list(raw.scan_iter(match=b"redislock:waits:host:1*")) == []
