"""What can be asked of an account, on every front end and backend, by every strategy."""

import time

import pytest
from faces import on_server

import redislock

STRATEGIES = ["lua", "lock", "watch", "naive"]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)

LARGEST = 2**63 - 1


# --- withdrawing --------------------------------------------------------------------------------


@every_strategy
def test_takes_an_amount(client, strategy, user):
    client.init(user, 100)
    result = client.withdraw_by(strategy, user, 3)
    assert result
    assert (result.status, result.balance, result.attempts) == ("ok", 97, 1)
    assert not result.replayed
    assert 0 < result.elapsed < 5
    assert client.balance(user) == 97


@every_strategy
def test_the_strategy_can_be_named(client, strategy, user):
    client.init(user, 100)
    assert client.withdraw(strategy, user, 3).balance == 97
    assert client.history(user)[0].strategy == strategy


@every_strategy
def test_takes_all_and_not_more(client, strategy, user):
    client.init(user, 5)
    refused = client.withdraw_by(strategy, user, 6)
    assert (refused.status, refused.balance, bool(refused)) == ("insufficient", 5, False)
    assert client.withdraw_by(strategy, user, 5).balance == 0
    assert client.withdraw_by(strategy, user, 1).status == "insufficient"
    assert client.balance(user) == 0
    assert len(client.history(user)) == 1


@every_strategy
def test_an_account_that_does_not_exist(client, strategy, user):
    result = client.withdraw_by(strategy, user, 1)
    assert (result.status, result.balance) == ("missing", None)
    assert client.balance(user) is None
    assert client.history(user) == []


# --- exact integers -----------------------------------------------------------------------------

EXACT = [2**53 - 1, 2**53, 2**53 + 1, 10**18 + 1, LARGEST - 1, LARGEST]


@every_strategy
def test_balances_are_exact(client, strategy, user):
    for balance in EXACT:
        assert client.init(user, balance).balance == balance
        assert client.balance(user) == balance
        result = client.withdraw_by(strategy, user, 1)
        assert result.balance == balance - 1
        assert client.balance(user) == balance - 1
        assert client.history(user)[0].balance == balance - 1


@every_strategy
def test_amounts_are_exact(client, strategy, user):
    for amount in EXACT:
        client.init(user, amount - 1)
        assert client.withdraw_by(strategy, user, amount).status == "insufficient"
        client.init(user, amount)
        assert client.withdraw_by(strategy, user, amount).balance == 0
        assert client.history(user)[0].amount == amount


@pytest.mark.parametrize("deposit", ["deposit", "deposit_naive"])
def test_deposits_are_exact(client, deposit, user):
    for amount in EXACT:
        client.init(user, 0)
        result = getattr(client, deposit)(user, amount)
        assert (result.status, result.balance) == ("ok", amount)
        assert client.balance(user) == amount
        assert client.history(user)[0].amount == -amount


# --- depositing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("deposit", ["deposit", "deposit_naive"])
def test_adds_an_amount(client, deposit, user):
    client.init(user, 1)
    result = getattr(client, deposit)(user, 2)
    assert (result.status, result.balance) == ("ok", 3)
    assert client.balance(user) == 3


@pytest.mark.parametrize("deposit", ["deposit", "deposit_naive"])
def test_adds_nothing_to_nobody(client, deposit, user):
    assert getattr(client, deposit)(user, 2).status == "missing"
    assert client.balance(user) is None


@pytest.mark.parametrize("deposit", ["deposit", "deposit_naive"])
def test_adds_up_to_the_largest_balance(client, deposit, user):
    for balance, amount, status in [
        (LARGEST, 1, "overflow"),
        (1, LARGEST, "overflow"),
        (2**62, 2**62, "overflow"),
        (LARGEST - 1, 1, "ok"),
        (2**62 - 1, 2**62, "ok"),
    ]:
        client.init(user, balance)
        result = getattr(client, deposit)(user, amount)
        assert result.status == status
        after = balance + amount if status == "ok" else balance
        assert result.balance == after
        assert client.balance(user) == after


# --- init and delete ----------------------------------------------------------------------------


def test_init_sets_the_balance_and_clears_the_history(client, user):
    assert client.init(user, 10).status == "ok"
    client.withdraw_lua(user, 1)
    result = client.init(user, 0)
    assert (result.status, result.balance) == ("ok", 0)
    assert client.balance(user) == 0
    assert client.history(user) == []


def test_init_if_missing_leaves_an_account_alone(client, user):
    assert client.init(user, 10, if_missing=True).balance == 10
    client.withdraw_lua(user, 1)
    result = client.init(user, 50, if_missing=True)
    assert (result.status, result.balance) == ("ok", 9)
    assert client.balance(user) == 9
    assert len(client.history(user)) == 1


def test_delete_removes_balance_and_history(client, user):
    assert client.delete(user).status == "missing"
    client.init(user, 10)
    client.withdraw_lua(user, 1)
    result = client.delete(user)
    assert (result.status, result.balance) == ("ok", None)
    assert client.balance(user) is None
    assert client.history(user) == []
    assert client.delete(user).status == "missing"


# --- history ------------------------------------------------------------------------------------


def test_history_tells_every_change_newest_first(client, user):
    client.init(user, 100)
    began = time.time()
    client.withdraw_lua(user, 1, idempotency_key="k 1")
    client.withdraw_lock(user, 2)
    client.withdraw_watch(user, 3, idempotency_key="k{3}\r\n")
    client.deposit(user, 4, idempotency_key="k4")
    client.withdraw_naive(user, 5)
    client.deposit_naive(user, 6)
    entries = client.history(user)
    assert [(e.amount, e.balance, e.strategy, e.idempotency_key) for e in entries] == [
        (-6, 99, "deposit_naive", None),
        (5, 93, "naive", None),
        (-4, 98, "deposit", "k4"),
        (3, 94, "watch", "k{3}\r\n"),
        (2, 97, "lock", None),
        (1, 99, "lua", "k 1"),
    ]
    times = [e.time_ms / 1000 for e in reversed(entries)]
    assert times == sorted(times)
    assert began - 1 < times[0] <= times[-1] < time.time() + 1


def test_history_can_be_asked_for_in_part(client, user):
    client.init(user, 10)
    for _ in range(4):
        client.withdraw_lua(user, 1)
    assert [e.balance for e in client.history(user, 2)] == [6, 7]
    assert [e.balance for e in client.history(user, limit=100)] == [6, 7, 8, 9]
    assert client.history(user, 0) == []


@every_strategy
def test_history_is_bounded(connect, strategy, user):
    client = connect(history_limit=3)
    client.init(user, 10)
    for _ in range(5):
        client.withdraw_by(strategy, user, 1)
    client.deposit(user, 2)
    assert [e.amount for e in client.history(user, 100)] == [-2, 1, 1]


@every_strategy
def test_history_can_be_left_out(connect, strategy, user):
    client = connect(history_limit=0)
    client.init(user, 10)
    assert client.withdraw_by(strategy, user, 1).balance == 9
    client.deposit(user, 1)
    client.deposit_naive(user, 1)
    assert client.history(user, 100) == []


# --- users and keys -----------------------------------------------------------------------------


def test_a_number_is_its_digits(client, user):
    number = abs(hash(user))
    client.init(number, 5)
    assert client.balance(str(number)) == 5
    assert client.withdraw_watch(str(number), 1).balance == 4
    assert client.balance(number) == 4


NAMES = ["a b", "jörg", "日本", "a:b", "{a}", "a}b{", "100%", "%7B", "a\r\nb", "a\0b", "🙂", "x" * 500]


@every_strategy
def test_users_may_be_called_anything(client, strategy, user):
    for name in (user + each for each in NAMES):
        client.init(name, 7)
        assert client.withdraw_by(strategy, name, 2).balance == 5
        assert client.balance(name) == 5
        assert [e.balance for e in client.history(name)] == [5]


def test_users_who_look_alike_are_different(client, user):
    names = [f"{user}{end}" for end in ["{", "%7B", "%257B", "}", "%", "%25", ""]]
    for balance, name in enumerate(names):
        client.init(name, balance)
    assert [client.balance(name) for name in names] == list(range(len(names)))


def test_keys_of_an_account(connect, user):
    client = connect(prefix="shop")
    assert client.client.keys(user) == {
        "balance": f"shop:{{{user}}}:balance",
        "history": f"shop:{{{user}}}:history",
        "lock": f"shop:{{{user}}}:lock",
        "once": f"shop:{{{user}}}:once:",
    }
    assert connect(prefix="").client.keys(7)["balance"] == "{7}:balance"


@on_server
def test_keys_are_those_that_are_used(client, user, raw):
    keys = client.client.keys(user)
    client.init(user, 10)
    client.withdraw_lock(user, 1, idempotency_key="k")
    assert raw.get(keys["balance"]) == "9"
    assert raw.llen(keys["history"]) == 1
    assert raw.get(keys["once"] + "k") == "withdraw 1 ok 9"
    assert not raw.exists(keys["lock"])


def test_prefixes_separate(connect, user):
    one, other = connect(prefix="one"), connect(prefix="other")
    one.init(user, 1)
    assert other.balance(user) is None


# --- adopting balances that exist ---------------------------------------------------------------


@every_strategy
@on_server
def test_adopts_balances_that_exist(connect, strategy, user, raw):
    client = connect(balance_key="acct:{user}:bal")
    raw.set(f"acct:{user}:bal", "50")
    assert client.balance(user) == 50
    assert client.withdraw_by(strategy, user, 8).balance == 42
    assert raw.get(f"acct:{user}:bal") == "42"
    assert [e.balance for e in client.history(user)] == [42]


@pytest.mark.parametrize("template", ["acct:{user}:bal", "{user}", "acct:{{user}}", "{shop}:{user}"])
def test_adopted_accounts_can_do_everything(connect, template, user):
    client = connect(balance_key=template)
    client.init(user, 10)
    for strategy in STRATEGIES:
        client.withdraw_by(strategy, user, 1)
    client.deposit(user, 4, idempotency_key="k")
    assert client.outcome(user, "k").balance == 10
    assert len(client.history(user)) == 5
    assert client.client.keys(user)["balance"] == template.replace("{user}", user)


def test_adopted_users_cannot_break_out(connect):
    client = connect(balance_key="acct:{user}:bal")
    for name in ["a{b", "a}b", "a\rb", "a\nb", "a\0b"]:
        with pytest.raises(ValueError, match="user"):
            client.balance(name)


# --- deadlines ----------------------------------------------------------------------------------


@on_server
def test_a_deadline_can_be_given_per_call(connect, client, user):
    client.init(user, 1)
    with pytest.raises(redislock.TimeoutError, match="timed out after 1e-09 s"):
        connect().withdraw_lua(user, 1, timeout=1e-9)  # over before a connection is made
    assert client.balance(user, timeout=5) == 1
