"""What a listing of locks says: owners read out of tokens, names for people, who waits for whom."""

import pytest

pytest.importorskip("typer")

from redislock.cli._common import in_brief
from redislock.cli._holders import find_edges, parse_owner, read_lock, readable, shortened


def test_owners_are_read_out_of_tokens():
    random = "0123456789abcdef" * 2
    one = parse_owner(f"web-1:4711:abc:t3/{random}/shop".encode())
    assert one.words == "web-1 pid 4711 thread 3 (shop)"
    assert one.identity == b"web-1:4711:abc:t3"
    assert parse_owner(f"h:1:n:a7/{random}".encode()).words == "h pid 1 task 7"
    assert parse_owner(f"h:1:n:g5/{random}".encode()).words == "h pid 1 greenlet 5"
    assert parse_owner(f"h:1:n:job/{random}".encode()).words == "h pid 1 job"


def test_what_all_threads_share_has_no_single_owner():
    shared = parse_owner(b"h:1:n:/" + b"0" * 32)
    assert (shared.words, shared.identity) == ("h pid 1", None)


@pytest.mark.parametrize("token", [b"", b"x", b"h:1:n:t3", b"h:1:n:t3/xyz", b"a" * 32, b"\xff" * 40])
def test_foreign_tokens_are_shown_as_they_are(token):
    foreign = parse_owner(token)
    assert (foreign.ours, foreign.identity, foreign.as_dict()) == (False, None, None)
    assert readable(token).startswith(foreign.words.rstrip("…"))
    assert len(foreign.words) <= 17


def test_a_name_cannot_move_a_cursor():
    assert (
        readable(b"a\x1b[2Jb\nc\xff\xc2\x9b \xe2\x80\xae\xc3\xa9") == "a\\x1b[2Jb\\nc\\xff\\x9b \\u202e\xe9"
    )


def test_a_long_name_keeps_its_two_ends():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcd…ghijk"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (120, "2 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_for_a_column(seconds, words):
    assert in_brief(seconds) == words


def seen(name, holders, waiters, kind="m"):
    """Return a lock as the core lists it; owners are numbers."""

    def token(who):
        return f"h:1:n:t{who}/{'0' * 32}".encode()

    return read_lock(
        {
            "name": name.encode(),
            "now": 1000.0,
            "holders": [{"token": token(each), "kind": kind, "fence": 1, "left": 1.0} for each in holders],
            "waiters": [{"token": token(each), "kind": kind, "since": 999.0} for each in waiters],
            "waiting": len(waiters),
        }
    )


def marked(*locks):
    return {(each.owner.number, each.lock.name): each.deadlock for each in find_edges(locks)}


def test_edges_are_of_those_who_hold_and_wait():
    assert marked(seen("a", [1], [2, 3]), seen("b", [2], [])) == {(2, "a"): False}


def test_a_cycle_is_marked_and_who_waits_behind_it_is_not():
    three = [seen("a", [1], [3, 4]), seen("b", [2], [1]), seen("c", [3], [2]), seen("d", [4], [])]
    assert marked(*three) == {(1, "b"): True, (2, "c"): True, (3, "a"): True, (4, "a"): False}


def test_waiting_for_oneself_is_no_cycle():
    assert marked(seen("a", [1], [1])) == {(1, "a"): False}


def test_a_permit_is_stuck_only_if_all_holders_are():
    assert marked(seen("s", [1, 9], [2], "p"), seen("b", [2], [1])) == {(2, "s"): False, (1, "b"): False}
    assert marked(seen("s", [1, 1], [2], "p"), seen("b", [2], [1])) == {(2, "s"): True, (1, "b"): True}


def test_one_reader_is_enough_to_be_stuck_behind():
    assert marked(seen("s", [1, 9], [2], "w"), seen("b", [2], [1])) == {(2, "s"): True, (1, "b"): True}
