"""Many callers on one account: money is conserved, whatever the strategy, and the races are real."""

import collections
import itertools

import pytest
from faces import call

import redislock

SAFE = ["lua", "lock", "watch"]
every_strategy = pytest.mark.parametrize("strategy", SAFE)


@pytest.fixture
def client(connect):
    """A face that is patient: many callers on a slow machine take their time."""
    return connect(timeout=30)


def counts(outcomes):
    unexpected = [each for each in outcomes if not isinstance(each, redislock.Result)]
    assert unexpected == []
    return collections.Counter(str(each.status) for each in outcomes)


def check_books(client, user, start, outcomes):
    """Compare the balance and the history with what the callers were told."""
    taken = [each.balance for each in outcomes if each.status == "ok"]
    entries = client.history(user)
    assert client.balance(user) == start - sum(each.amount for each in entries)
    assert sorted(each.balance for each in entries) == sorted(taken)
    for newer, older in itertools.pairwise(entries):
        assert newer.balance == older.balance - newer.amount


@every_strategy
def test_64_callers_on_one_account(client, strategy, user):
    client.init(user, 1000)
    outcomes = client.together([[call(f"withdraw_{strategy}", user, 3)] * 2] * 64)
    seen = counts(outcomes)
    assert set(seen) <= {"lua": {"ok"}, "lock": {"ok", "lock_busy"}, "watch": {"ok", "conflict"}}[strategy]
    assert seen["ok"] > 0
    assert client.balance(user) == 1000 - 3 * seen["ok"]
    check_books(client, user, 1000, outcomes)


@every_strategy
def test_no_more_is_taken_than_there_is(client, strategy, user):
    client.init(user, 50)
    patience = {"lock": {"lock_wait": 10}, "watch": {"max_retries": 1000}}.get(strategy, {})
    outcomes = client.together([[call(f"withdraw_{strategy}", user, 4, **patience)]] * 32)
    assert counts(outcomes) == {"ok": 12, "insufficient": 20}
    assert client.balance(user) == 2
    check_books(client, user, 50, outcomes)


def test_strategies_and_deposits_may_be_mixed(client, user):
    client.init(user, 500)
    methods = ["withdraw_lua", "withdraw_lock", "withdraw_watch", "deposit"]
    outcomes = client.together([[call(methods[i % 4], user, 1 + i % 5)] * 3 for i in range(32)])
    assert set(counts(outcomes)) <= {"ok", "lock_busy", "conflict"}
    check_books(client, user, 500, outcomes)


def test_accounts_do_not_disturb_each_other(client, user):
    users = [f"{user}-{i}" for i in range(32)]
    for each in users:
        client.init(each, 10)
    outcomes = client.together([[call("withdraw_watch", each, 1)] * 4 for each in users])
    assert counts(outcomes) == {"ok": 128}
    assert all(each.attempts == 1 for each in outcomes), "nobody raced on the same key"
    assert [client.balance(each) for each in users] == [6] * 32


# A client that lets its callers wait for each other would never see one.
@pytest.mark.timing
def test_watch_conflicts_when_callers_race(client, user):
    client.init(user, 10_000)
    seen = collections.Counter()
    for _ in range(100):
        outcomes = client.together([[call("withdraw_watch", user, 1, max_retries=0)] * 2] * 32)
        seen += counts(outcomes)
        assert all(each.attempts == 1 for each in outcomes)
        if seen["conflict"]:
            break
    assert set(seen) == {"ok", "conflict"}
    assert client.balance(user) == 10_000 - seen["ok"]


@pytest.mark.timing
def test_a_conflict_tells_its_attempts(client, user):
    client.init(user, 10_000)
    for _ in range(100):
        outcomes = client.together([[call("withdraw_watch", user, 1, max_retries=1)] * 2] * 64)
        lost = [each for each in outcomes if each.status == "conflict"]
        assert all(each.attempts == 2 and each.balance is None for each in lost)
        if lost:
            return
    pytest.fail("no conflict was seen")


@pytest.mark.timing
def test_naive_loses_updates_when_callers_race(client, user):
    for _ in range(100):
        client.init(user, 1000)
        seen = counts(client.together([[call("withdraw_naive", user, 1)] * 2] * 32))
        assert set(seen) == {"ok"}
        if client.balance(user) > 1000 - seen["ok"]:
            return
    pytest.fail("the naive strategy raced 100 times and lost nothing")


# A lease shorter than the work: some commits come too late, and none of them changes anything.
def test_a_lease_that_is_too_short_costs_no_money(client, user):
    client.init(user, 1000)
    outcomes = client.together([[call("withdraw_lock", user, 1, lock_lease=0.001)] * 2] * 32)
    assert set(counts(outcomes)) <= {"ok", "lock_busy", "lock_lost"}
    check_books(client, user, 1000, outcomes)


def test_exclusive_connections_are_few_and_queued_for_fairly(connect, user):
    client = connect(max_connections=2, timeout=30)
    users = [f"{user}-{i}" for i in range(16)]
    for each in users:
        client.init(each, 10)
    outcomes = client.together([[call("withdraw_watch", each, 1)] * 3 for each in users])
    assert counts(outcomes) == {"ok": 48}
