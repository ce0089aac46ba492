"""The same idempotency key charges once, whoever asks and however often; the first outcome stays."""

import pytest
from faces import call, on_server

import redislock

SAFE = ["lua", "lock", "watch"]
every_strategy = pytest.mark.parametrize("strategy", SAFE)

# What bears a key: the method, and whether it takes.
KEYED = ["withdraw_lua", "withdraw_lock", "withdraw_watch", "deposit"]
every_change = pytest.mark.parametrize("change", KEYED)


def make(client, change, user, amount, key):
    return client.run(call(change, user, amount, idempotency_key=key))


@every_change
def test_a_key_charges_once(client, change, user):
    client.init(user, 100)
    first = make(client, change, user, 3, "k")
    assert not first.replayed
    for _ in range(3):
        again = make(client, change, user, 3, "k")
        assert again.replayed
        assert (again.status, again.balance) == (first.status, first.balance)
    assert client.balance(user) == first.balance
    assert len(client.history(user)) == 1


@every_change
def test_each_key_charges_for_itself(client, change, user):
    client.init(user, 100)
    balances = {
        make(client, change, user, 3, key).balance for key in ["a", "b", "a:b", "A", "ä", "{a}", "a\r\nb"]
    }
    assert len(balances) == 7
    assert len(client.history(user)) == 7


@pytest.mark.parametrize("again", SAFE)
@every_strategy
def test_a_key_is_one_for_all_strategies(client, strategy, again, user):
    client.init(user, 100)
    first = client.withdraw_by(strategy, user, 3, idempotency_key="k")
    replay = client.withdraw_by(again, user, 3, idempotency_key="k")
    assert replay.replayed
    assert replay.balance == first.balance == client.balance(user) == 97


@every_change
def test_another_amount_under_the_same_key_is_an_error(client, change, user):
    client.init(user, 100)
    first = make(client, change, user, 3, "k")
    for amount in [2, 4, 30]:
        with pytest.raises(redislock.IdempotencyMismatchError, match="'k'"):
            make(client, change, user, amount, "k")
    assert client.balance(user) == first.balance
    assert make(client, change, user, 3, "k").replayed


@every_strategy
def test_another_operation_under_the_same_key_is_an_error(client, strategy, user):
    client.init(user, 100)
    client.withdraw_by(strategy, user, 3, idempotency_key="taken")
    client.deposit(user, 3, idempotency_key="paid")
    with pytest.raises(redislock.IdempotencyMismatchError):
        client.deposit(user, 3, idempotency_key="taken")
    with pytest.raises(redislock.IdempotencyMismatchError):
        client.withdraw_by(strategy, user, 3, idempotency_key="paid")
    assert client.balance(user) == 100


@every_strategy
def test_keys_belong_to_an_account(client, strategy, user):
    other = f"{user}-other"
    client.init(user, 10)
    client.init(other, 10)
    assert not client.withdraw_by(strategy, user, 3, idempotency_key="k").replayed
    assert not client.withdraw_by(strategy, other, 4, idempotency_key="k").replayed
    assert (client.balance(user), client.balance(other)) == (7, 6)


@every_strategy
def test_insufficient_stays_insufficient(client, strategy, user):
    client.init(user, 2)
    assert client.withdraw_by(strategy, user, 3, idempotency_key="k").status == "insufficient"
    client.deposit(user, 100)
    again = client.withdraw_by(strategy, user, 3, idempotency_key="k")
    assert (again.status, again.balance, again.replayed) == ("insufficient", 2, True)
    assert client.balance(user) == 102


def test_overflow_stays_overflow(client, user):
    client.init(user, 2**63 - 1)
    assert client.deposit(user, 1, idempotency_key="k").status == "overflow"
    client.withdraw_lua(user, 100)
    again = client.deposit(user, 1, idempotency_key="k")
    assert (again.status, again.balance, again.replayed) == ("overflow", 2**63 - 1, True)


@every_change
def test_missing_is_not_remembered(client, change, user):
    assert make(client, change, user, 3, "k").status == "missing"
    client.init(user, 10)
    result = make(client, change, user, 3, "k")
    assert (result.status, result.replayed) == ("ok", False)


@every_change
def test_the_outcome_can_be_looked_up_and_never_charges(client, change, user):
    client.init(user, 100)
    assert client.outcome(user, "k") is None
    first = make(client, change, user, 3, "k")
    found = client.outcome(user, "k")
    assert (found.status, found.balance, found.replayed) == ("ok", first.balance, True)
    assert client.outcome(user, "other") is None
    assert client.outcome(f"{user}-other", "k") is None
    assert client.balance(user) == first.balance


@every_strategy
def test_records_outlive_init_and_delete(client, strategy, user):
    client.init(user, 10)
    client.withdraw_by(strategy, user, 3, idempotency_key="k")
    client.init(user, 50)
    assert client.withdraw_by(strategy, user, 3, idempotency_key="k").replayed
    client.delete(user)
    again = client.withdraw_by(strategy, user, 3, idempotency_key="k")
    assert (again.status, again.balance, again.replayed) == ("ok", 7, True)
    assert client.balance(user) is None


@every_change
@on_server
def test_records_live_as_long_as_asked(connect, change, user, raw):
    client = connect(idempotency_ttl=100)
    client.init(user, 10)
    make(client, change, user, 3, "k")
    key = client.client.keys(user)["once"] + "k"
    assert 90_000 < raw.pttl(key) <= 100_000
    raw.delete(key)  # as if the time were over
    assert not make(client, change, user, 3, "k").replayed


@every_change
def test_a_key_may_be_a_kilobyte_long(client, change, user):
    client.init(user, 10)
    key = "ü" * 512
    make(client, change, user, 1, key)
    assert make(client, change, user, 1, key).replayed
    assert client.history(user)[0].idempotency_key == key


@every_change
def test_fifty_callers_with_one_key_make_one_charge(connect, change, user):
    client = connect(timeout=30)
    client.init(user, 1000)
    outcomes = client.together([[call(change, user, 3, idempotency_key="k")]] * 50)
    answered = [each for each in outcomes if isinstance(each, redislock.Result) and each.status == "ok"]
    balance = client.balance(user)
    assert abs(balance - 1000) == 3
    assert {each.balance for each in answered} == {balance}
    assert sum(not each.replayed for each in answered) == 1
    assert len(client.history(user)) == 1
    # A caller who lost every race may say so, and then asks again.
    assert {str(each.status) for each in outcomes} <= {"ok", "conflict", "lock_busy"}
    assert make(client, change, user, 3, "k").replayed


@every_strategy
def test_callers_with_keys_of_their_own_charge_once_each(connect, strategy, user):
    client = connect(timeout=30)
    client.init(user, 1000)
    sequences = [
        [call(f"withdraw_{strategy}", user, 1, idempotency_key=f"k{i % 8}", **PATIENT[strategy])]
        for i in range(32)
    ]
    outcomes = client.together(sequences)
    assert {str(each.status) for each in outcomes} == {"ok"}
    assert client.balance(user) == 992
    assert sum(not each.replayed for each in outcomes) == 8
    assert len({each.idempotency_key for each in client.history(user)}) == 8


PATIENT = {"lua": {}, "lock": {"lock_wait": 30}, "watch": {"max_retries": 1000}}
