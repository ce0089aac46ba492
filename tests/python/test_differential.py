"""memory:// against a real server: the same steps, the same answers, over keys that get in each other's way.

Several clients adopt balance keys that are the side keys of others: what is a balance to one is the
history, the lock or the record of another. So every step may meet a key of the wrong type, a corrupt
balance, a held lock or a strange record, on both backends alike, and nothing has to be planted.
"""

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import redislock

LARGEST = 2**63 - 1
EDGES = [1, 2, 3, 2**53 - 1, 2**53, 2**53 + 1, LARGEST - 1, LARGEST]

# The keys of the first: a:{user}, a:{user}:history, a:{user}:lock, a:{user}:once:k.
TEMPLATES = [
    "a:{{user}}",
    "a:{{user}}:history",
    "a:{{user}}:lock",
    "a:{{user}}:once:k",
    "a:{{user}}:history:once:k",
]
OPTIONS = {"history_limit": 3, "lock_wait": 0, "max_retries": 0}

amounts = st.sampled_from(EDGES) | st.integers(1, 9) | st.integers(1, LARGEST)
keyed = st.none() | st.sampled_from(["k", "k2"])
strategies = st.sampled_from(["lua", "lock", "watch", "naive"])

init = st.tuples(st.just("init"), st.just(0) | amounts, st.booleans())
withdraw = st.tuples(st.just("withdraw"), strategies, st.integers(1, 4) | amounts, keyed)
deposit = st.tuples(st.just("deposit"), amounts, keyed)
others = st.one_of(
    st.tuples(st.just("deposit_naive"), amounts),
    st.tuples(st.just("delete")),
    st.tuples(st.just("outcome"), st.just("k")),
    st.tuples(st.just("history"), st.integers(0, 5)),
)
steps = st.tuples(
    st.sampled_from([0, 0, 0, 0, *range(1, len(TEMPLATES))]),
    st.sampled_from(["alice", "alice", "bob"]),
    st.one_of(init, init, withdraw, withdraw, withdraw, deposit, others),
)


def known_story():
    """Meet everything once, by every strategy, so that no run is without it."""
    for strategy in ["lua", "lock", "watch", "naive"]:
        yield 0, "alice", ("init", 10, False)
        yield 0, "alice", ("withdraw", strategy, 3, "k")
        yield 0, "alice", ("withdraw", strategy, 4, "k")  # another amount
        yield 3, "alice", ("withdraw", strategy, 1, None)  # a record is no balance
        yield 4, "alice", ("withdraw", strategy, 1, None)
        yield 0, "alice", ("withdraw", strategy, 30, None)
        yield 0, "alice", ("deposit", LARGEST, "k2")
        yield 1, "alice", ("withdraw", strategy, 1, None)  # a history is no balance
        yield 1, "alice", ("init", 5, False)
        yield 0, "alice", ("withdraw", strategy, 1, None)  # and a balance no history
        yield 1, "alice", ("delete",)
        yield 2, "alice", ("init", 5, False)
        yield 0, "alice", ("withdraw", strategy, 1, None)  # but a held lock
        yield 2, "alice", ("delete",)
        yield 0, "bob", ("withdraw", strategy, 1, "k")


STORIES, LENGTH = (260, 40) if os.environ.get("CI") else (40, 40)


def perform(clients, story, step):
    """Make one step and tell everything that can be told of it."""
    which, name, (operation, *arguments) = step
    client, user = clients[which], f"{story}-{name}"
    try:
        if operation == "init":
            answer = client.init(user, arguments[0], if_missing=arguments[1])
        elif operation == "withdraw":
            strategy, amount, key = arguments
            answer = client.withdraw(
                strategy, user, amount, idempotency_key=None if strategy == "naive" else key
            )
        elif operation == "deposit":
            answer = client.deposit(user, arguments[0], idempotency_key=arguments[1])
        else:
            answer = getattr(client, operation)(user, *arguments)
    except redislock.Error as error:
        answer = error
    return [plain(answer), look(client, user), look(clients[0], user)]


def look(client, user):
    """What can be seen of an account: its balance and its history, or why they cannot be read."""
    seen = []
    for question in (client.balance, client.history):
        try:
            seen.append(plain(question(user)))
        except redislock.Error as error:  # noqa: PERF203
            seen.append(plain(error))
    return seen


def plain(answer):
    if isinstance(answer, redislock.Error):
        return type(answer).__name__, str(answer)
    if isinstance(answer, redislock.Result):
        return str(answer.status), answer.balance, answer.attempts, answer.replayed
    if isinstance(answer, list):
        return [(each.amount, each.balance, each.strategy, each.idempotency_key) for each in answer]
    return answer


@pytest.fixture
def backends(server):
    """The same clients twice: on a real server and on memory://."""
    name = f"memory://differential-{os.getpid()}"
    both = [
        [redislock.Client(url, balance_key=each, **OPTIONS) for each in TEMPLATES]
        for url in (server.url, name)
    ]
    yield both
    for clients in both:
        for each in clients:
            each.close()


def test_memory_answers_as_a_server_does(backends, user):
    told = 0
    made = 0
    seen = set()

    @settings(
        max_examples=STORIES,
        deadline=None,
        derandomize=True,  # the same stories in every run
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @example(list(known_story()))
    @given(st.lists(steps, min_size=LENGTH, max_size=LENGTH))
    def compare(story):
        nonlocal told, made
        told += 1
        for step in [(0, "alice", ("init", 10, False)), *story]:
            made += 1
            on_server, in_memory = (perform(each, f"{user}-{told}", step) for each in backends)
            seen.add(on_server[0][0] if isinstance(on_server[0], tuple) else "value")
            assert in_memory == on_server

    compare()
    assert made >= STORIES * LENGTH
    # The stories are worth telling only if they meet all this.
    assert seen >= {"ok", "insufficient", "missing", "overflow", "lock_busy", "value"}
    assert seen >= {"CorruptBalanceError", "WrongTypeError", "IdempotencyMismatchError"}
