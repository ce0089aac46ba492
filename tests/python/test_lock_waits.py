"""Who waits for whom, as the scripts of locks see it: no cycle is missed, and none is made up."""

import pytest
from lock_scripts import make_token

OTHER = b"redislock:wake:other"

A, B, C, D, E = (make_token(each) for each in "abcde")
STRANGER = b"deadbeef"  # as redis-py makes them


def parties(said):
    assert said[0] == b"deadlock"
    return [(said[i], said[i + 1]) for i in range(1, len(said), 3)]


def owner(token):
    return token.split(b"/")[0]


def test_a_cycle_is_told_from_the_waiter_on_with_when_each_began(locks, names):
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


def test_a_crowd_of_holders_is_not_taken_for_stuck(locks, bare, names):
    permits, lock, _ = names
    crowd = 1500
    for each in range(crowd):
        locks.acquire(permits, make_token(f"h{each}"), "p", limit=crowd)
    locks.acquire(lock, A)
    for each in range(crowd - 1):  # all but one of them wait for A, who waits for one of them
        assert locks.acquire(lock, make_token(f"h{each}"), wait=each + 1)[0] == b"queued"
    assert locks.acquire(permits, A, "p", limit=crowd, wait=9999)[0] == b"queued"
    bare.delete(*bare.scan_iter(match=b"*" + lock + b"*"), *bare.scan_iter(match=b"*" + permits + b"*"))


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


@pytest.mark.parametrize("first", [0, 1])
def test_a_task_that_waits_for_several_at_once_waits_for_all_of_them(locks, names, first):
    one, two, three = names
    locks.acquire(one, A)
    locks.acquire(two, B)
    locks.acquire(three, C)
    for number, each in enumerate([[two, three], [three, two]][first], 1):  # as asyncio.gather does it
        assert locks.acquire(each, make_token("a", number), wait=number)[0] == b"queued"
    locks.release(three, C)
    assert locks.claim(three, make_token("a", 2 - first))[0] == b"held"
    assert locks.acquire(one, B, wait=3)[0] == b"deadlock"


def test_a_task_that_waits_for_very_many_is_not_remembered_with_all(locks, bare, names):
    for number in range(100):
        locks.acquire(names[0], make_token("b", number), "p", limit=100)
    locks.acquire(names[1], B)
    for number in range(100):
        locks.acquire(names[1], make_token("a", number), wait=number + 1)
    edges = bare.hget(b"redislock:waits:host:1:nonce", b"a")
    assert len(edges) < 10_000
    for number in range(100):
        locks.release(names[1], make_token("a", number))
    assert not bare.hexists(b"redislock:waits:host:1:nonce", b"a")
