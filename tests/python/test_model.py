"""Accounts against a model of a few lines: hypothesis looks for a story that they tell differently."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import redislock

LARGEST = 2**63 - 1
HISTORY_LIMIT = 4
STRATEGIES = ["lua", "lock", "watch", "naive"]
EDGES = [1, 2, 3, 2**53 - 1, 2**53, 2**53 + 1, LARGEST - 1, LARGEST]

users = st.sampled_from(["alice", "bob", "{alice}", "%7Balice%7D"])
amounts = st.sampled_from(EDGES) | st.integers(1, 20) | st.integers(1, LARGEST)
balances = st.just(0) | amounts
keys = st.none() | st.sampled_from(["a", "b", "a b"])

SETTINGS = settings(
    max_examples=150 if os.environ.get("CI") else 30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,  # the same stories in every run
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Account:
    """What an account is supposed to be."""

    def __init__(self):
        self.balance = None
        self.history = []
        self.records = {}

    def change(self, operation, amount, key, strategy):
        """Return status, balance and whether it is a replay; None for a mismatch."""
        if key is not None and key in self.records:
            asked, outcome = self.records[key]
            return (*outcome, True) if asked == (operation, amount) else None
        outcome = self._apply(operation, amount, key, strategy)
        if key is not None and outcome[0] != "missing":
            self.records[key] = (operation, amount), outcome
        return (*outcome, False)

    def _apply(self, operation, amount, key, strategy):
        if self.balance is None:
            return "missing", None
        sign = 1 if operation == "withdraw" else -1
        after = self.balance - sign * amount
        if after < 0:
            return "insufficient", self.balance
        if after > LARGEST:
            return "overflow", self.balance
        self.balance = after
        self.history = [(sign * amount, after, strategy, key), *self.history][:HISTORY_LIMIT]
        return "ok", after


class Story(RuleBasedStateMachine):
    """Tells the same story to a client and to the model."""

    def __init__(self, client, name):
        super().__init__()
        self.client = client
        self.name = name
        self.accounts = {}

    def account(self, user):
        return self.accounts.setdefault(user, Account())

    def called(self, user):
        return f"{self.name}-{user}"

    def compare(self, user):
        account = self.account(user)
        assert self.client.balance(self.called(user)) == account.balance
        told = self.client.history(self.called(user))
        assert [(e.amount, e.balance, e.strategy, e.idempotency_key) for e in told] == account.history

    def change(self, user, expected, what):
        if expected is None:
            with pytest.raises(redislock.IdempotencyMismatchError):
                what()
        else:
            result = what()
            assert (str(result.status), result.balance, result.replayed) == expected
            assert result.attempts == 1
        self.compare(user)

    @rule(user=users, balance=balances, if_missing=st.booleans())
    def init(self, user, balance, if_missing):
        account = self.account(user)
        if account.balance is None or not if_missing:
            account.balance, account.history = balance, []
        result = self.client.init(self.called(user), balance, if_missing=if_missing)
        assert (result.status, result.balance) == ("ok", account.balance)
        self.compare(user)

    @rule(user=users)
    def delete(self, user):
        account = self.account(user)
        status = "missing" if account.balance is None else "ok"
        account.balance, account.history = None, []
        assert self.client.delete(self.called(user)).status == status
        self.compare(user)

    @rule(user=users, amount=amounts, key=keys)
    def deposit(self, user, amount, key):
        expected = self.account(user).change("deposit", amount, key, "deposit")
        self.change(
            user, expected, lambda: self.client.deposit(self.called(user), amount, idempotency_key=key)
        )

    @rule(user=users, amount=amounts)
    def deposit_naive(self, user, amount):
        expected = self.account(user).change("deposit", amount, None, "deposit_naive")
        self.change(user, expected, lambda: self.client.deposit_naive(self.called(user), amount))

    @rule(user=users, amount=amounts, key=keys, strategy=st.sampled_from(STRATEGIES))
    def withdraw(self, user, amount, key, strategy):
        if strategy == "naive":
            key = None
        expected = self.account(user).change("withdraw", amount, key, strategy)
        self.change(
            user,
            expected,
            lambda: self.client.withdraw(strategy, self.called(user), amount, idempotency_key=key),
        )

    @rule(user=users, key=st.sampled_from(["a", "b", "a b"]))
    def outcome(self, user, key):
        found = self.client.outcome(self.called(user), key)
        recorded = self.account(user).records.get(key)
        if recorded is None:
            assert found is None
        else:
            assert (str(found.status), found.balance, found.replayed) == (*recorded[1], True)

    @rule(user=users, limit=st.integers(0, 6))
    def history(self, user, limit):
        told = self.client.history(self.called(user), limit)
        assert [e.balance for e in told] == [e[1] for e in self.account(user).history[:limit]]


@pytest.mark.parametrize("backend", ["server", "memory"])
def test_accounts_are_what_the_model_says(request, backend, user):
    url = request.getfixturevalue("server").url if backend == "server" else "memory://"
    told = iter(range(10**9))
    with redislock.Client(url, history_limit=HISTORY_LIMIT) as client:
        run_state_machine_as_test(lambda: Story(client, f"{user}-{next(told)}"), settings=SETTINGS)
